"""Formats of outputs: what each keeps, and those that are refused before anything is loaded."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from helpers import profile
from rembg_sessions.core import cli
from rembg_sessions.core.cli import needed
from rembg_sessions.core.imaging.formats import WRITTEN, is_written

WIDE = profile()
COLOUR = (40, 200, 60)
IN_SRGB = (0, 205, 0)


class Session:
    """Finds everything but the first column."""

    provider = "CPU"

    def open(self):
        pass

    def predict(self, image, **options):
        mask = np.full((image.height, image.width), 255, np.uint8)
        mask[:, 0] = 0
        return [Image.fromarray(mask)]


@pytest.fixture
def cut_out(tmp_path, monkeypatch):
    """Cut out a picture with a wide profile; the arguments follow the output's suffix."""
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Session())
    picture = Image.new("RGB", (60, 50), COLOUR)
    picture.save(tmp_path / "in.png", icc_profile=WIDE, dpi=(300, 300))

    def run(suffix, *arguments):
        if not is_written(suffix):
            pytest.skip(f"this Pillow writes no {suffix}")
        target = tmp_path / f"out{suffix}"
        assert cli.main(["cutout", str(tmp_path / "in.png"), str(target), *arguments]) == 0
        with Image.open(target) as result:
            result.load()
        return result

    return run


@pytest.mark.parametrize("suffix", WRITTEN)
def test_what_a_format_keeps(suffix, cut_out):
    row = WRITTEN[suffix]
    result = cut_out(suffix, *(() if row.alpha else ("--bgcolor", "white")))
    assert (result.format, result.size) == (row.format, (60, 50))
    assert result.has_transparency_data == row.alpha
    assert (result.info.get("icc_profile") == WIDE) == row.profile
    expected = COLOUR if row.profile else IN_SRGB
    loss = 3 if row.format in ("JPEG", "AVIF") else 0
    assert np.abs(np.subtract(result.convert("RGB").getpixel((30, 25)), expected)).max() <= loss
    dpi = [round(float(side)) for side in result.info.get("dpi", ())]
    assert (dpi == [300, 300]) == row.dpi


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_mask_in_every_format(suffix, cut_out):
    result = cut_out(suffix, "--only-mask")
    assert result.size == (60, 50) and result.convert("L").getpixel((30, 25)) == 255


OTHERS = ".icns .ico .xbm .msp .palm .blp .hdf .h5 .bufr .grib .wmf .emf .eps .pdf .psd .mpo .im"


@pytest.mark.parametrize("suffix", [*OTHERS.split(), ".pgm", ".", ".png/x", ".p ng", "\x1b[2J"])
@pytest.mark.parametrize("many", [False, True])
def test_other_formats_are_refused_before_a_model_is_loaded(
    suffix, many, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(needed, "get_session", None)
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    target = tmp_path / "out" if many else tmp_path
    source = tmp_path if many else tmp_path / "in.png"
    arguments = ("cutout", source, target, "--suffix", suffix, "--bgcolor", "white")
    assert cli.main([*map(str, arguments)]) == 1
    said = capsys.readouterr().err
    assert "is not an image format here; use one of .png, .webp," in said
    assert "\x1b" not in said and [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_formats_that_this_pillow_does_not_write(tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(Image.SAVE, "WEBP", raising=False)
    monkeypatch.setattr(Image, "init", lambda: None)
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    assert cli.main(["cutout", str(tmp_path / "in.png"), str(tmp_path / "x.WebP")]) == 1
    assert "installed Pillow writes no WEBP; update it, or use .png." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("new", "The output 'new' is no folder that is there, and no name with a suffix"),
        (".png", "The output '.png' is no folder that is there, and no name with a suffix"),
    ],
)
def test_outputs_that_are_no_files_names(output, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("in.png")
    assert cli.main(["cutout", "in.png", output]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("name", "shown"), [("", "''"), ("a\0b.png", r"'a\x00b.png'")])
def test_names_that_no_file_has(name, shown, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("in.png")
    assert cli.main(["cutout", "in.png", "out.png", "--trimap", name]) == 1
    assert f"There is no file {shown}." in capsys.readouterr().err
    if name:
        assert cli.main(["cutout", name, "out.png"]) == 1
        assert f"There is no file or folder {shown}." in capsys.readouterr().err


@pytest.fixture
def taken(tmp_path, monkeypatch):
    """A photo on its side, as a camera writes it, with a preview of the whole scene."""
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Session())
    exif = Image.Exif()
    exif.update(
        {0x0112: 6, 0x010F: "Camera & Co", 0x8298: "© me".encode(), 0x0132: "2026:01:02 03:04:05"}
    )
    exif[0x8769] = {0x829A: 0.01, 0xA002: 60, 0xA003: 50, 0x927C: b"a preview"}
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (60, 50), COLOUR).save(path, exif=exif, icc_profile=WIDE)
    return path


@pytest.mark.parametrize("suffix", [name for name, row in WRITTEN.items() if row.exif])
def test_metadata_is_kept_on_demand(taken, suffix):
    if not is_written(suffix):
        pytest.skip(f"this Pillow writes no {suffix}")
    target = taken.with_name(f"out{suffix}")
    line = ["cutout", str(taken), str(target), "--bgcolor", "white"]
    assert cli.main(line) == 0
    with Image.open(target) as plain:
        assert 0x010F not in plain.getexif() and plain.size == (50, 60)
    assert cli.main([*line, "--keep-metadata", "--overwrite"]) == 0
    with Image.open(target) as result:
        assert result.size == (50, 60)  # turned once, and no viewer turns it again
        assert ImageOps.exif_transpose(result).size == (50, 60)
        assert result.info["icc_profile"] == WIDE
        found = result.getexif()
        assert found[0x010F] == "Camera & Co" and found[0x8298].encode("latin-1") == "© me".encode()
        assert found.get(0x0112, 1) == 1
        assert found.get_ifd(0x8825)[2] == (48.0, 8.0, 0.0)
        assert float(found.get_ifd(0x8769)[0x829A]) == 0.01
        assert not {0xA002, 0xA003, 0x927C} & set(found.get_ifd(0x8769))


def test_metadata_that_is_damaged_or_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Session())
    path = tmp_path / "a.jpg"
    picture = Image.new("RGB", (60, 50), COLOUR)
    for name, options in (("b.png", {}), ("c.png", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\xff"})):
        picture.save(path, **options)
        assert cli.main(["cutout", str(path), str(tmp_path / name), "--keep-metadata"]) == 0
        with Image.open(tmp_path / name) as result:
            assert not result.getexif()


@pytest.mark.parametrize("suffix", [".bmp", ".tga"])
def test_metadata_in_a_format_that_keeps_none(tmp_path, suffix, capsys):
    line = ["cutout", "a.png", str(tmp_path / f"b{suffix}"), "--keep-metadata", "--bgcolor=white"]
    assert cli.main(line) == 1
    assert f"{suffix} keeps no EXIF data; leave --keep-metadata out" in capsys.readouterr().err
