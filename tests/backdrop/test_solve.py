"""The model for plain backdrops, on pictures whose alpha and colours are known exactly."""

from __future__ import annotations

import io
import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from rembg_sessions.core.backdrop.solve import CONFIDENT, low_confidence_message, solve
from rembg_sessions.core.errors import ImageError, LowConfidenceError, OptionError, ProviderError
from rembg_sessions.core.imaging.components import Regions
from rembg_sessions.core.session.factory import sessions

BackdropSession = sessions["backdrop"]
SIZE = 240
RED = (200, 40, 30)


def disc(centre=(120, 120), radius=60.0, blur=4.0, size=SIZE, hole=0.0):
    """Alpha of a disc whose edge is ``blur`` pixels wide."""
    y, x = np.mgrid[:size, :size] + 0.5
    distance = np.hypot(y - centre[0], x - centre[1])
    alpha = np.clip((radius - distance) / blur + 0.5, 0, 1)
    if hole:
        alpha *= np.clip((distance - hole) / blur + 0.5, 0, 1)
    return alpha.astype(np.float32)


def over(alpha, colour, backdrop, noise=0.0, jpeg=None):
    a = alpha[..., None]
    picture = a * np.float32(colour) + (1 - a) * np.float32(backdrop)
    picture = picture + np.random.default_rng(1).normal(0, 1, picture.shape) * noise
    image = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    if jpeg:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=jpeg)
        image = np.asarray(Image.open(file).convert("RGB"))
    return image


def graded(first, last, size=SIZE):
    t = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    return np.broadcast_to((1 - t) * np.float32(first) + t * np.float32(last), (size, size, 3))


def iou(alpha, truth):
    return ((alpha > 0.5) & (truth > 0.5)).sum() / ((alpha > 0.5) | (truth > 0.5)).sum()


def edge_error(alpha, truth):
    soft = (truth > 0.02) & (truth < 0.98)
    return np.abs(alpha - truth)[soft].mean()


BACKDROPS = {
    "white": (250, 250, 248),
    "green": (30, 190, 60),
    "black": (4, 4, 6),
    "graded": graded((60, 120, 200), (200, 225, 250)),
}


@pytest.mark.parametrize("backdrop", BACKDROPS.values(), ids=BACKDROPS)
@pytest.mark.parametrize("blur", [2, 6])
def test_a_soft_disc_is_solved(backdrop, blur):
    truth = disc(blur=blur)
    found = solve(over(truth, RED, backdrop))
    assert found.alpha.dtype == np.float32 and found.alpha.shape == truth.shape
    assert iou(found.alpha, truth) > 0.99
    assert np.abs(found.alpha - truth).mean() < 0.004
    assert edge_error(found.alpha, truth) < 0.02
    assert found.confidence > 0.9
    # what is as good as opaque is opaque: it would show in files that truncate
    assert not ((found.alpha > 0.995) & (found.alpha < 1)).any()


@pytest.mark.parametrize(("noise", "jpeg"), [(4, None), (1, 85)])
def test_noise_and_jpeg(noise, jpeg):
    truth = disc(blur=5)
    found = solve(over(truth, RED, graded((120, 150, 160), (210, 220, 225)), noise, jpeg))
    assert iou(found.alpha, truth) > 0.98
    assert edge_error(found.alpha, truth) < 0.1
    # nothing of the noise stays behind far from the subject
    assert found.alpha[:40].max() == 0
    assert found.alpha[disc(radius=72, blur=1) == 0].max() == 0
    assert found.alpha[100:140, 100:140].min() == 1


def test_a_vignette_is_backdrop():
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    backdrop = np.float32((235, 215, 190)) * (1 - 0.8 * (x**2 + y**2)[..., None])
    truth = disc()
    assert np.abs(solve(over(truth, RED, backdrop, 1)).alpha - truth).mean() < 0.004


def test_white_in_front_of_off_white():
    truth = disc(blur=3)
    found = solve(over(truth, (222, 222, 226), (246, 245, 240), 1))
    assert iou(found.alpha, truth) > 0.97
    assert found.alpha[100:140, 100:140].min() == 1


@pytest.mark.parametrize("centre", [(120, 10), (230, 10)], ids=["left", "corner"])
def test_a_subject_may_touch_borders(centre):
    truth = disc(centre, radius=90)
    found = solve(over(truth, RED, graded((90, 140, 90), (140, 200, 150)), 1))
    assert iou(found.alpha, truth) > 0.98
    assert found.confidence >= CONFIDENT


def test_several_subjects_of_different_colour():
    first, second = disc((70, 70), 40), disc((170, 160), 45)
    image = over(second, (20, 30, 160), over(first, RED, (190, 190, 190)))
    assert iou(solve(image).alpha, np.maximum(first, second)) > 0.98


def test_a_ring_has_a_hole_unless_told_otherwise():
    image = over(disc(hole=25), RED, (210, 220, 230), 1)
    assert solve(image).alpha[110:130, 110:130].max() < 0.02
    assert solve(image, holes=False).alpha[110:130, 110:130].min() == 1


def test_an_enclosed_patch_that_only_resembles_the_backdrop_stays():
    patch = disc(radius=20, blur=2)
    image = over(patch, (228, 232, 240), over(disc(), RED, (210, 220, 230)))
    assert solve(image).alpha[115:125, 115:125].min() == 1


def test_dark_fur_in_front_of_black_is_not_a_hole():
    # almost the backdrop's colour, but not closely enough
    grain = np.random.default_rng(5).normal(0, 12, (SIZE, SIZE, 3))
    fur = np.float32((9, 9, 11)) + np.abs(grain) * 0.5
    image = over(disc(), over(disc(radius=28, blur=6), fur, (230, 228, 225)), (9, 9, 11), 1.5)
    assert solve(image).alpha[110:130, 110:130].mean() > 0.9


def test_jpeg_leaves_no_bright_line_around_a_product():
    y, x = np.mgrid[:900, :900] + 0.5
    distance = np.hypot(y - 450, x - 450)
    truth = np.clip(250 - distance + 0.5, 0, 1) * np.clip(distance - 130 + 0.5, 0, 1)
    found = solve(over(truth.astype(np.float32), RED, (228, 230, 234), jpeg=85))
    beside = (truth == 0) & (
        (distance < 252.5) & (distance > 251) | (distance < 129) & (distance > 127.5)
    )
    assert np.quantile(found.alpha[beside], 0.95) < 0.2


def test_green_spill_is_unmixed():
    truth = disc(blur=8)
    image = over(truth, RED, (30, 190, 60))
    found = solve(image)
    assert len(found.edge.pixels) == len(found.edge.colours) > 100
    alpha = found.alpha.ravel()[found.edge.pixels]
    assert ((alpha >= 1 / 255) & (alpha < 253.5 / 255)).all()
    clear = alpha > 0.15
    assert np.abs(found.edge.colours[clear] - RED).mean() < 12
    # green is 190 in the backdrop and 40 in the subject: hardly any of it is left
    assert np.median(found.edge.colours[clear][:, 1]) < 55
    # colours and alpha give the image again
    a = alpha[:, None]
    again = a * found.edge.colours + (1 - a) * np.float32((30, 190, 60))
    assert np.abs(again - image.reshape(-1, 3)[found.edge.pixels]).mean() < 1.5


def test_between_hairs_and_on_a_thin_stem():
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    angle = np.arctan2(y - 100, x - 120)
    distance = np.hypot(y - 100, x - 120)
    hairs = (np.sin(45 * angle) > 0) & (distance < 75)
    stem = (abs(x - 120) < 4) & (y > 100) & (y < 230)
    truth = np.float32((distance < 55) | hairs | stem)
    backdrop = np.float32((60, 120, 160))
    found = solve(over(truth, (160, 50, 130), backdrop, 1))
    ring = (distance > 60) & (distance < 72) & ~stem
    assert found.alpha[ring & ~hairs].mean() < 0.2
    assert found.alpha[ring & hairs].mean() > 0.8
    assert found.alpha[190:220, 119:121].mean() > 0.95


def shadowed():
    truth = disc((100, 100), 50, 3)
    cast = Image.fromarray(np.uint8(255 * disc((125, 120), 50, 3)))
    cast = np.asarray(cast.filter(ImageFilter.GaussianBlur(12)), np.float32) / 255 * 0.4
    backdrop = np.float32((220, 215, 205)) * (1 - cast[..., None])
    return over(truth, RED, backdrop, 1), truth, cast


def test_a_soft_shadow_is_cut_off():
    image, truth, _ = shadowed()
    found = solve(image)
    assert iou(found.alpha, truth) > 0.97
    assert found.alpha[170:, 100:200].max() < 0.05


def test_a_soft_shadow_can_be_kept_as_black():
    image, truth, cast = shadowed()
    found = solve(image, keep_shadow=True)
    outside = (truth == 0) & (disc((100, 100), 60, 1) == 0)
    assert np.abs(found.alpha - cast)[outside].mean() < 0.02
    assert found.alpha[165, 135] == pytest.approx(cast[165, 135], abs=0.06)
    colours = np.full((SIZE * SIZE, 3), -1, np.float32)
    colours[found.edge.pixels] = found.edge.colours
    assert colours.reshape(SIZE, SIZE, 3)[165, 135].max() < 10
    assert found.alpha[80:120, 80:120].min() == 1
    partial = found.alpha[(found.alpha > 0) & (found.alpha < 1)]
    assert len(partial) == len(found.edge.pixels) and partial.min() >= 1 / 255 - 1e-6


def photo_like(size=SIZE):
    rng = np.random.default_rng(3)
    image = Image.new("RGB", (size, size), (90, 110, 70))
    draw = ImageDraw.Draw(image)
    for _ in range(400):
        x, y, r = *rng.integers(0, size, 2), rng.integers(3, 30)
        draw.ellipse((x - r, y - r, x + r, y + r), tuple(int(c) for c in rng.integers(0, 255, 3)))
    return image.filter(ImageFilter.GaussianBlur(1))


def random_noise():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 150, 3), np.uint8))


@pytest.mark.parametrize("make", [photo_like, random_noise])
def test_pictures_without_a_plain_backdrop_are_refused(make, caplog):
    image = make()
    confidence = solve(np.asarray(image)).confidence
    assert confidence < CONFIDENT
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        BackdropSession().predict(image)
    assert [record.getMessage() for record in caplog.records] == [
        low_confidence_message(confidence)
    ]
    assert f"{confidence:.2f}" in caplog.text and "isnet-general-use" in caplog.text
    with pytest.raises(LowConfidenceError, match="birefnet-general-lite"):
        BackdropSession(strict=True).predict(image)


def test_a_picture_without_a_subject_is_refused():
    image = over(np.zeros((SIZE, SIZE), np.float32), RED, (246, 245, 243), 1)
    assert solve(image).confidence < CONFIDENT


@pytest.mark.parametrize("darker", [4, 8, 16, 30])
def test_a_subject_a_little_darker_than_its_backdrop_is_not_a_shadow(darker):
    truth = disc(blur=3)
    backdrop = np.float32((246, 245, 243))
    found = solve(over(truth, backdrop - darker, backdrop, 1))
    assert iou(found.alpha, truth) > 0.95
    assert found.alpha[100:140, 100:140].min() == 1


def test_an_outline_that_fades_into_the_backdrop_lowers_the_confidence():
    y = (np.mgrid[:SIZE, :SIZE][0] / SIZE)[..., None]
    backdrop = np.float32((246, 245, 243))
    colours = backdrop - 80 * np.clip(2 * y - 1, 0, 1) * np.float32((0, 1, 1))
    clear = solve(over(disc(blur=3), RED, backdrop, 1)).confidence
    faded = solve(over(disc(blur=3), colours, backdrop, 1)).confidence
    assert clear > 0.95 and faded < 0.9


def test_strands_too_fine_to_be_told_apart_lower_the_confidence():
    y, x = np.mgrid[:800, :800] - 399.5
    strands = np.float32((np.sin(300 * np.arctan2(y, x)) > 0) & (np.hypot(y, x) < 280))
    assert solve(over(strands, (200, 60, 60), (60, 120, 160), 1)).confidence < CONFIDENT


def test_letterbox_bars_are_not_a_backdrop():
    image = np.zeros((200, 240, 3), np.uint8)
    image[40:160] = np.asarray(photo_like(240))[:120]
    assert solve(image).confidence < CONFIDENT


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (3, 1), (5, 5), (20000, 10), (10, 900)])
def test_any_size_and_a_constant_picture(shape):
    found = solve(np.full((*shape, 3), 77, np.uint8))
    assert found.alpha.shape == shape
    assert found.alpha.max() == 0 and len(found.edge.pixels) == 0
    noisy = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = solve(noisy, keep_shadow=True)
    assert np.isfinite(found.alpha).all() and 0 <= found.alpha.min() <= found.alpha.max() <= 1
    assert np.isfinite(found.edge.colours).all() and 0 <= found.confidence <= 1


def test_a_large_picture_keeps_its_fine_edge():
    truth = disc((500, 500), 290, 3, size=1000)
    image = over(truth, RED, graded((90, 150, 210), (190, 220, 250), 1000))
    alpha = solve(image).alpha
    assert iou(alpha, truth) > 0.995
    assert edge_error(alpha, truth) < 0.08


def test_a_small_subject_is_solved_from_close_by():
    y, x = np.mgrid[:70, :70] - 34.5
    rays = np.float32((np.sin(15 * np.arctan2(y, x)) > 0) & (np.hypot(y, x) < 31))
    truth = np.zeros((800, 1000), np.float32)
    truth[400:470, 200:270] = rays
    backdrop = np.linspace(150, 220, 1000)[None, :, None] * np.float32((0.7, 0.9, 1))
    image = over(truth, RED, backdrop, 1)
    found = solve(image)
    assert iou(found.alpha, truth) > 0.99  # 0.90 from afar
    assert found.confidence > 0.8
    assert found.alpha[300:390].max() == 0
    # colours belong to the pixels they are given for
    a = found.alpha.ravel()[found.edge.pixels][:, None]
    behind = np.broadcast_to(backdrop, image.shape).reshape(-1, 3)[found.edge.pixels]
    composed = a * found.edge.colours + (1 - a) * behind
    assert np.abs(composed - image.reshape(-1, 3)[found.edge.pixels]).mean() < 4


def test_a_small_subject_in_noise_is_solved_from_afar():
    y, x = np.mgrid[:900, :900] + 0.5
    truth = np.clip(72 - np.hypot(y - 420, x - 480) + 0.5, 0, 1).astype(np.float32)
    found = solve(over(truth, (80, 80, 80), (180, 180, 180), noise=15))
    assert found.confidence > 0.9
    assert iou(found.alpha, truth) > 0.98


def test_without_memory_for_the_solver_colours_decide(monkeypatch, caplog):
    monkeypatch.setattr("rembg_sessions.core.matting.closed_form.memory.free_memory", lambda: 100)
    truth = disc(blur=4)
    found = solve(over(truth, RED, (30, 190, 60)))
    assert iou(found.alpha, truth) > 0.98
    assert "by colour alone" in caplog.text


def test_the_same_picture_gives_the_same_alpha_on_many_threads():
    image = Image.fromarray(over(disc(), RED, (30, 190, 60), 2))
    session = BackdropSession()
    first = session.predict_alpha(image)[0]
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(lambda _: session.predict_alpha(image)[0], range(8)):
            # compiled code may take over in between
            np.testing.assert_allclose(first, again, atol=1e-4)


def test_tolerance_and_soft_edge():
    faint = over(disc(blur=2), (170, 170, 170), (160, 160, 160))
    assert solve(faint, tolerance=5).alpha[120, 120] == 1
    assert solve(faint, tolerance=40).alpha.max() == 0
    truth = disc(blur=12)
    image = over(truth, (150, 150, 165), (160, 160, 160))
    wide, narrow = (solve(image, soft_edge=width).alpha for width in (12, 2))
    assert ((wide > 0.05) & (wide < 0.95)).sum() > 1.5 * ((narrow > 0.05) & (narrow < 0.95)).sum()


@pytest.mark.parametrize("options", [{"tolerance": 0}, {"tolerance": 300}, {"soft_edge": -1}])
def test_options_out_of_range(options):
    with pytest.raises(OptionError, match=str(next(iter(options.values())))):
        solve(np.zeros((4, 4, 3), np.uint8), **options)
    with pytest.raises(OptionError):
        BackdropSession(**options)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_that_are_not_images_are_refused(image):
    with pytest.raises(ImageError):
        solve(image)


def test_the_session_behaves_like_the_others():
    session = BackdropSession()
    image = Image.fromarray(over(disc(), RED, (30, 190, 60)))
    assert (session.provider, session.uses_gpu) == ("CPU", False)
    assert session.is_open and session.graphs == () and session.size == 0
    session.close()
    session.open()
    mask = session.predict(image)[0]
    assert mask.mode == "L" and mask.size == image.size
    cutout = session.process(image)
    assert cutout.mode == "RGBA"
    assert cutout.getpixel((120, 120)) == (*RED, 255)
    assert cutout.getpixel((2, 2)) == (0, 0, 0, 0)
    for wrong in ({"sam_prompt": []}, {"cloth_category": "upper"}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            session.predict_alpha(image, **wrong)
    with pytest.raises(OptionError, match="model_path"):
        BackdropSession(model_path="x.onnx")


def test_a_provider_asked_for_by_name_is_not_replaced_in_silence(caplog):
    for cpu in (None, "Auto", "CPU", ["CPUExecutionProvider"]):
        BackdropSession(providers=cpu, cpu_fallback=False)
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        BackdropSession(providers="CUDA")
    assert "CPU only, not on CUDA" in caplog.text
    with pytest.raises(ProviderError, match="Auto or CPU"):
        BackdropSession(providers="CUDA", cpu_fallback=False)
    with pytest.raises(OptionError):
        BackdropSession(providers="GeForce")


def test_regions_agree_with_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    for shape, share in (((40, 60), 0.55), ((1, 30), 0.5), ((30, 1), 0.5), ((50, 50), 0.62)):
        mask = rng.random(shape) < share
        values = rng.random(shape).astype(np.float32)
        labels, count = ndimage.label(mask)
        regions = Regions(mask)
        assert regions.count == count
        expected = ndimage.sum(values, labels, range(1, count + 1))
        np.testing.assert_allclose(sorted(regions.sums(values)), sorted(expected), rtol=1e-4)
        np.testing.assert_array_equal(regions.paint(np.ones(count, bool)), mask)
        large = regions.paint(regions.area >= 9)
        kept = np.isin(labels, 1 + np.flatnonzero(np.bincount(labels.ravel())[1:] >= 9))
        np.testing.assert_array_equal(large, kept)
