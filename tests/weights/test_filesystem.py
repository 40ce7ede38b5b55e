"""Files in use on Windows, and names that are too long."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from weights_server import DATA, model, row

from rembg_sessions.core.errors import WeightsError
from rembg_sessions.core.weights import filesystem
from rembg_sessions.core.weights import store as weights
from rembg_sessions.core.weights.disk import on_disk
from rembg_sessions.core.weights.filesystem import is_too_long, remove, replace


@pytest.fixture
def windows(monkeypatch):
    """Pretend to be on Windows, with files that others have open for some tries."""
    tries = []

    def hold(times, pretend="win32"):
        def held(act):
            def try_it(path, *args, **kwargs):
                tries.append(path)
                if len(tries) <= times:
                    raise PermissionError(errno.EACCES, "Access is denied", str(path))
                return act(path, *args, **kwargs)

            return try_it

        monkeypatch.setattr(filesystem, "sys", SimpleNamespace(platform=pretend))
        for name in ("replace", "unlink"):
            monkeypatch.setattr(Path, name, held(getattr(Path, name)))
        return tries

    monkeypatch.setattr(filesystem, "PAUSE", 0.001)
    return hold


def test_a_file_in_use_is_asked_for_again(windows, tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    tries = windows(3)
    replace(source, target)
    assert len(tries) == 4 and target.read_bytes() == b"new" and not source.exists()
    tries.clear()
    remove(target)
    assert len(tries) == 4 and not target.exists()
    tries.clear()
    remove(target, missing_ok=True)
    with pytest.raises(FileNotFoundError):
        remove(target)


def test_a_file_that_stays_in_use(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem, "PATIENCE", 0.1)
    (tmp_path / "a").touch()
    windows(10**6)
    begin = time.monotonic()
    with pytest.raises(PermissionError, match="another program may have it open") as caught:
        remove(tmp_path / "a")
    assert time.monotonic() - begin >= 0.1
    assert (caught.value.errno, caught.value.filename) == (errno.EACCES, str(tmp_path / "a"))


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_elsewhere_a_refusal_is_one(windows, tmp_path, system):
    (tmp_path / "a").touch()
    tries = windows(1, system)
    with pytest.raises(PermissionError, match=r"Access is denied: "):
        remove(tmp_path / "a")
    assert len(tries) == 1


def test_a_download_waits_for_the_virus_scanner(server, tmp_path, windows):
    tries = windows(2)
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert [path.name for path in tries[:3]] == ["tiny.onnx.part"] * 3


def test_a_download_that_stays_in_use_says_so(server, tmp_path, windows, monkeypatch):
    monkeypatch.setattr(filesystem, "PATIENCE", 0.1)
    windows(10**6)
    with pytest.raises(WeightsError, match=r"another program may have it open.*By hand"):
        weights.ensure(model(row(server)), folders=[tmp_path])


# -- long names ------------------------------------------------------------------------------

SHORT, LONG = Path("/models/tiny.onnx"), Path("/models", "x" * 240, "tiny.onnx")


def error_of(code, number=None, path=None):
    """What Python makes of an error of Windows."""
    error = OSError(code, os.strerror(code), None if path is None else str(path))
    if number is not None:
        error.winerror = number
    return error


@pytest.mark.parametrize(
    ("error", "path", "expected"),
    [
        (error_of(errno.ENAMETOOLONG), SHORT, True),
        (error_of(errno.ENOENT, 206), SHORT, True),
        (error_of(errno.ENOENT, 3), LONG, True),
        (error_of(errno.EINVAL, 123), LONG, True),
        (error_of(errno.ENOENT, 3, LONG), SHORT, True),
        (error_of(errno.ENOENT, 3), SHORT, False),
        (error_of(errno.EINVAL, 123), SHORT, False),
        (error_of(errno.ENOENT, 3, SHORT), LONG, False),
        (error_of(errno.ENOENT, 2), LONG, False),
        (error_of(errno.ENOENT), LONG, False),
        (error_of(errno.EACCES, 5), LONG, False),
    ],
)
def test_names_that_are_too_long(error, path, expected):
    assert is_too_long(error, path) is expected


def test_a_model_folder_that_is_too_long_was_not_removed(server):
    with (
        pytest.raises(WeightsError, match="its name is too long for its disk") as caught,
        on_disk(row(server), LONG),
    ):
        raise error_of(errno.ENOENT, 3)
    assert "was removed" not in str(caught.value)
    assert "shorter path ($U2NET_HOME" in str(caught.value)
