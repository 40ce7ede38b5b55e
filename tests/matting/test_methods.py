"""Alpha matting: every method through one door, and what cannot be solved."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import remove
from rembg_sessions.core.errors import ImageError, OptionError
from rembg_sessions.core.matting import fast as fast_matting
from rembg_sessions.core.matting.closed_form import numpy_backend
from rembg_sessions.core.matting.closed_form.estimate import estimate_alpha_closed_form
from rembg_sessions.core.matting.closed_form.memory import BudgetError, predict_memory
from rembg_sessions.core.matting.closed_form.numeric import thread_count
from rembg_sessions.core.matting.closed_form.symbolic import analyse
from rembg_sessions.core.matting.methods import METHODS, MattingOptions, find_matte
from rembg_sessions.core.matting.trimap import trimap_from_mask

FRONT, BACK = np.array([230, 180, 90]), np.array([20, 40, 80])
# no network here: vitmatte has a test file of its own
SOLVERS = [name for name, method in METHODS.items() if not method.takes_model]


def disc(height=60, width=80, radius=20.0, softness=10.0, x=None):
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 2, columns - (width / 2 if x is None else x))
    return (np.clip((radius - distance) / softness + 0.5, 0, 1) * 255).astype(np.uint8)


def over(alpha):
    """A picture of one colour over another."""
    share = alpha[..., None].astype(np.float64) / 255
    return (share * FRONT + (1 - share) * BACK).round().astype(np.uint8)


def hard(alpha):
    return np.where(alpha > 127, 255, 0).astype(np.uint8)


# -- every method -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVERS)
def test_the_edge_that_the_mask_missed_is_found(name, caplog):
    true = disc(100, 130, radius=30, softness=3)
    coarse = disc(100, 130, radius=29, softness=14)
    found = find_matte(over(true), coarse, options=MattingOptions(method=name, erode_size=5))
    assert found.method == name
    assert not found.warning and not caplog.records
    assert (found.alpha.dtype, found.alpha.shape) == (np.float32, true.shape)
    assert found.alpha.min() >= 0 and found.alpha.max() <= 1
    before = np.abs(coarse / 255 - true / 255).sum()
    after = np.abs(found.alpha - true / 255).sum()
    assert after < (0.7 if name == "guided" else 0.2) * before


@pytest.mark.parametrize("name", SOLVERS)
def test_certain_pixels_stay_certain(name):
    mask = disc()
    found = find_matte(over(mask), mask, options=MattingOptions(method=name))
    certain = found.trimap != 0.5
    assert certain.any() and not certain.all()
    np.testing.assert_array_equal(found.alpha[certain], found.trimap[certain])
    np.testing.assert_array_equal(found.trimap, trimap_from_mask(mask))


@pytest.mark.parametrize("name", SOLVERS)
def test_the_arguments_are_not_changed(name):
    image, mask = over(disc()), disc()
    trimap = trimap_from_mask(mask)
    copies = image.copy(), mask.copy(), trimap.copy()
    for array in (image, mask, trimap):  # what comes out of Pillow cannot be written to either
        array.flags.writeable = False
    find_matte(image, mask, trimap, options=MattingOptions(method=name))
    for array, copy in zip((image, mask, trimap), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_trimap_needs_no_mask(name):
    true = disc(softness=4)
    trimap = trimap_from_mask(disc(softness=12))
    alone = find_matte(over(true), None, trimap, options=MattingOptions(method=name))
    assert alone.method == name
    np.testing.assert_array_equal(alone.trimap, trimap)
    before, after = (np.abs(alpha - true / 255).sum() for alpha in (trimap, alone.alpha))
    assert after < (0.7 if name == "guided" else 0.1) * before
    # beside a mask it is the trimap that counts
    both = find_matte(over(true), np.zeros_like(true), trimap, options=MattingOptions(method=name))
    np.testing.assert_array_equal(both.trimap, trimap)


@pytest.mark.parametrize("name", SOLVERS)
def test_several_unknown_regions(name):
    true = np.maximum(disc(80, 200, 20, 4, x=50), disc(80, 200, 20, 4, x=150))
    # one region inside the foreground, and one that touches the picture's corner
    trimap = trimap_from_mask(true, erode_size=6)
    trimap[38:42, 48:52] = 0.5
    trimap[:5, :5] = 0.5
    alpha = find_matte(over(true), true, trimap, options=MattingOptions(method=name)).alpha
    assert np.abs(alpha - true / 255).max() < 0.25
    np.testing.assert_allclose(alpha[38:42, 48:52], 1, atol=0.01)
    np.testing.assert_allclose(alpha[:5, :5], 0, atol=0.01)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("size", [(3, 3), (3, 40), (40, 3), (4, 5), (3000, 4)])
def test_small_and_narrow_pictures(name, size):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    trimap = np.full(size, 0.5, np.float32)
    trimap.flat[0], trimap.flat[-1] = 0, 1
    alpha = find_matte(image, None, trimap, options=MattingOptions(method=name)).alpha
    assert alpha.shape == size
    assert np.isfinite(alpha).all()
    assert (alpha.flat[0], alpha.flat[-1]) == (0, 1)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "guided"])
def test_cancelling(name):
    """Whatever on_step raises comes out, and soon."""

    class Cancelled(BaseException):
        pass

    def on_step():
        raise Cancelled

    with pytest.raises(Cancelled):
        find_matte(over(disc()), disc(), on_step=on_step, options=MattingOptions(method=name))


def test_the_erode_size_may_follow_the_picture():
    mask = disc(256, 256, radius=80)
    found = find_matte(
        over(mask), mask, options=MattingOptions(method="guided", erode_size=20, scale_erode=True)
    )
    np.testing.assert_array_equal(found.trimap, trimap_from_mask(mask, erode_size=5))


def test_an_unknown_method_is_refused():
    with pytest.raises(OptionError, match="'knn'; use one of closed-form, fast, guided"):
        find_matte(over(disc()), disc(), options=MattingOptions(method="knn"))


def test_mask_and_trimap_must_have_the_size_of_the_picture():
    image = over(disc())
    with pytest.raises(ImageError, match="The mask is 40×30 pixels and the picture 80×60"):
        find_matte(image, np.zeros((30, 40), np.uint8))
    with pytest.raises(ImageError, match="The trimap is 40×30 pixels"):
        find_matte(image, disc(), np.zeros((30, 40), np.float32))
    with pytest.raises(ImageError, match="needs a mask or a trimap"):
        find_matte(image)


# -- what the user painted --------------------------------------------------------------------


def test_painted_hints_correct_what_the_mask_says():
    image, mask = np.full((40, 60, 3), 90, np.uint8), np.zeros((40, 60), np.uint8)
    mask[10:30, 10:30] = 255
    strokes = {name: np.zeros((40, 60), np.float32) for name in ("keep", "remove", "unknown")}
    strokes["keep"][2:5, 50:55] = 0.3  # a faint brush
    strokes["remove"][28:30, 10:30] = 1
    strokes["unknown"][18:22, 18:22] = 1
    found = find_matte(image, mask, hints=strokes, options=MattingOptions(erode_size=2))
    assert (found.alpha[2:5, 50:55] == 1).all()
    assert (found.alpha[28:30, 10:30] == 0).all()
    assert (found.trimap[18:22, 18:22] == 0.5).all()
    assert found.trimap[15, 15] == 1 and found.trimap[5, 5] == 0
    with pytest.raises(ImageError, match="The keep is 4×3 pixels"):
        find_matte(image, mask, hints={"keep": np.ones((3, 4), np.float32)})


def test_what_was_painted_counts_also_where_nothing_is_left_to_solve():
    image, mask = np.full((40, 60, 3), 90, np.uint8), np.zeros((40, 60), np.uint8)
    mask[10:30, 10:30] = 255
    everything = np.ones((40, 60), np.float32)
    gone = find_matte(image, mask, hints={"remove": everything})
    assert not gone.alpha.any()
    assert "with what was painted, the mask is empty" in gone.warning
    whole = find_matte(image, mask, hints={"keep": everything})
    assert (whole.alpha == 1).all()


def test_painting_is_enough_where_the_mask_is_empty():
    image, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
    image[:, 30:] = 255
    keep, unknown = np.zeros((2, 40, 60), np.float32)
    keep[:, 40:], unknown[:, 20:40] = 1, 1
    found = find_matte(image, mask, hints={"keep": keep, "unknown": unknown})
    assert found.warning == ""
    assert found.alpha[20, 33] > 0.95 and found.alpha[20, 26] < 0.05


# -- nothing to solve -------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("level", "said"),
    [
        (0, "the mask is empty: nothing in it is foreground"),
        (255, "the mask is full: nothing in it is background"),
        (128, "leaves no certain foreground"),
        (245, "leaves no certain background"),
    ],
)
def test_without_a_certain_side_the_mask_itself_comes_back(name, level, said, caplog):
    mask = np.full((20, 30), level, np.uint8)
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        found = find_matte(
            np.full((20, 30, 3), 77, np.uint8), mask, options=MattingOptions(method=name)
        )
    np.testing.assert_array_equal(found.alpha, mask.astype(np.float32) / 255)
    assert found.method == ""
    assert said in found.warning
    assert [record.getMessage() for record in caplog.records] == [found.warning]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (40, 2)])
def test_pictures_without_a_window(name, shape):
    mask = np.full(shape, 128, np.uint8)
    mask.flat[0], mask.flat[-1] = 0, 255
    found = find_matte(
        np.zeros((*shape, 3), np.uint8), mask, options=MattingOptions(method=name, erode_size=1)
    )
    np.testing.assert_array_equal(found.alpha, mask.astype(np.float32) / 255)
    assert "less than 3 pixels" in found.warning


def test_a_mask_that_is_certain_everywhere_is_the_answer(caplog):
    mask = np.zeros((20, 30), np.uint8)
    mask[:, 15:] = 255
    found = find_matte(np.zeros((20, 30, 3), np.uint8), mask, options=MattingOptions(erode_size=1))
    np.testing.assert_array_equal(found.alpha, mask / 255)
    assert not found.warning and not caplog.records


@pytest.mark.parametrize(
    ("values", "expected", "message"),
    [
        ((0, 0.5), 0, "no white pixels"),
        ((1, 0.5), 1, "no black pixels"),
        ((0.5, 0.5), 0.5, "no black pixels"),
        ((0, 0), 0, "no white pixels"),
    ],
)
def test_trimaps_without_a_certain_side(values, expected, message):
    trimap = np.full((20, 30), values[1], np.float32)
    trimap[:5] = values[0]
    found = find_matte(np.zeros((20, 30, 3), np.uint8), None, trimap)
    np.testing.assert_array_equal(found.alpha, np.full((20, 30), expected, np.float32))
    assert message in found.warning
    mask = disc(20, 30)
    found = find_matte(np.zeros((20, 30, 3), np.uint8), mask, trimap)
    np.testing.assert_array_equal(found.alpha, mask.astype(np.float32) / 255)


def test_a_trimap_with_nothing_unknown_is_the_answer_and_says_so():
    trimap = np.zeros((20, 30), np.float32)
    trimap[:5] = 1
    found = find_matte(np.zeros((20, 30, 3), np.uint8), None, trimap)
    np.testing.assert_array_equal(found.alpha, trimap)
    assert "no grey pixels" in found.warning


def test_no_compiler_is_waited_for():
    """pymatting and numba compile for half a minute after an installation."""
    program = (
        "import sys, numpy as np\n"
        "from PIL import Image\n"
        "from rembg_sessions.core import remove\n"
        "class Half:\n"
        "    def predict(self, image, **options):\n"
        "        mask = np.tile(np.linspace(0, 255, image.width), (image.height, 1))\n"
        "        return [Image.fromarray(mask.astype(np.uint8))]\n"
        "picture = Image.linear_gradient('L').convert('RGB')\n"
        "remove(picture, session=Half(), matting_method='guided')\n"
        "remove(picture, session=Half(), decontaminate=True)\n"
        "assert not {'pymatting', 'numba', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -- memory -----------------------------------------------------------------------------------


def test_over_its_budget_closed_form_hands_over_to_fast_and_says_so(caplog):
    true = disc(600, 800, radius=200, softness=20)
    whole = find_matte(over(true), true)
    assert whole.method == "closed-form"

    # enough for half the size, not for all
    go_on, needs = np.zeros(1, np.uint8), []
    for side in (800, 400):
        small = np.asarray(Image.fromarray(true).resize((side, side * 3 // 4)))
        symbolic = analyse(trimap_from_mask(small), numpy_backend, go_on)
        needs.append(predict_memory(symbolic, thread_count()))
    with caplog.at_level(logging.WARNING, "rembg_sessions"):
        found = find_matte(over(true), true, memory=(needs[0] + needs[1]) // 2)
    assert found.method == "fast"
    assert "fast matting instead of closed-form, which would take" in found.warning
    assert found.warning in caplog.text
    assert np.abs(found.alpha - whole.alpha).mean() < 0.01


@pytest.mark.parametrize("wide", [True, False])
def test_thin_strokes_are_not_lost_where_fast_solves_a_smaller_picture(wide):
    rows, columns = np.mgrid[:140, :520]
    true = np.where(np.hypot(rows - 70, columns - 260) < 45, 255, 0).astype(np.uint8)
    trimap = np.full(true.shape, 0.5, np.float32)
    trimap[71, 240:280] = 1
    trimap[11 : 20 if wide else 12] = 0
    found = find_matte(over(true), trimap=trimap, options=MattingOptions(method="fast"))
    assert np.abs(found.alpha - true / 255).mean() < 0.01


def halves(shape):
    """Foreground on the left, background on the right, a soft edge between."""
    ramp = np.clip((shape[1] / 2 - np.arange(shape[1])) / 8 + 0.5, 0, 1) * 255
    return np.broadcast_to(ramp.astype(np.uint8), shape)


def test_fast_finds_what_lies_between_strokes_of_one_pixel():
    """Every pixel of the smaller picture covers a stroke, and so none is unknown there."""
    true = halves((8, 600))
    trimap = np.where(true == 255, 1, np.where(true == 0, 0, 0.5)).astype(np.float32)
    trimap[1::2] = 0.5
    found = find_matte(over(true), trimap=trimap, options=MattingOptions(method="fast"))
    assert np.abs(found.alpha - true / 255).max() < 0.1


def test_fast_takes_foreground_for_background_where_they_change_places():
    true = halves((11, 657))
    numbers = np.random.default_rng(3)
    trimap = np.where(true == 255, 1, np.where(true == 0, 0, 0.5)).astype(np.float32)
    trimap[numbers.random(trimap.shape) < 0.4] = 0.5
    trimap[numbers.random(trimap.shape) < 0.1] = 0
    trimap[numbers.random(trimap.shape) < 0.1] = 1
    options = MattingOptions(method="fast")
    one = find_matte(over(true), trimap=trimap, options=options).alpha
    other = find_matte(over(true), trimap=1 - trimap, options=options).alpha
    np.testing.assert_allclose(other, 1 - one, atol=1e-4)


def test_fast_solves_at_full_size_where_a_smaller_trimap_is_all_unknown():
    """Each of its pixels would cover foreground, background and unknown alike."""
    rows, columns = np.mgrid[:8, :600]
    trimap = np.full((8, 600), 0.5, np.float32)
    trimap[(rows % 2 == 0) & (columns % 2 == 0)] = 0
    trimap[(rows % 2 == 1) & (columns % 2 == 1)] = 1
    image = over(np.where((rows + columns) % 3 == 0, 255, 90).astype(np.uint8))
    fast, exact = (
        find_matte(image, trimap=trimap, options=MattingOptions(method=name)).alpha
        for name in ("fast", "closed-form")
    )
    np.testing.assert_array_equal(fast, exact)


def test_fast_solves_a_picture_that_is_all_unknown_at_a_smaller_size(monkeypatch):
    sizes = []

    def watched(image, trimap, mask=None, **options):
        sizes.append(trimap.shape)
        return estimate_alpha_closed_form(image, trimap, **options)

    monkeypatch.setattr(fast_matting, "estimate_alpha_closed_form", watched)
    trimap = np.full((1100, 1100), 0.5, np.float32)
    trimap[0], trimap[-1] = 0, 1
    true = np.broadcast_to(np.linspace(0, 255, 1100)[:, None], trimap.shape).astype(np.uint8)
    found = find_matte(over(true), trimap=trimap, options=MattingOptions(method="fast"))
    assert sizes == [(275, 275)]
    assert np.abs(found.alpha - true / 255).mean() < 0.01


@pytest.mark.parametrize("method", ["fast", "guided"])
def test_what_the_full_image_takes_is_within_the_budget(method):
    mask = disc(600, 800, radius=200)
    with pytest.raises(BudgetError, match="needs at least 4 MiB of memory and may use 1 MiB"):
        find_matte(over(mask), mask, options=MattingOptions(method=method), memory=1 << 20)


def test_fast_shrinks_until_it_fits_and_then_gives_up(monkeypatch):
    sizes = []

    def too_large(image, trimap, mask=None, **options):
        sizes.append(max(trimap.shape))
        raise BudgetError(10**9, 1)

    monkeypatch.setattr(fast_matting, "estimate_alpha_closed_form", too_large)
    mask = disc(600, 3000, radius=200)
    with pytest.raises(BudgetError, match="picture smaller") as caught:
        find_matte(over(mask), mask, options=MattingOptions(method="fast"))
    assert "'fast'" not in str(caught.value)  # that is what gave up
    assert sizes == [1000, 500, 250, 125]


# -- rembg ------------------------------------------------------------------------------------


class Fixed:
    def __init__(self, mask):
        self.mask = mask

    def predict(self, image, **options):
        return [Image.fromarray(self.mask)]


@pytest.mark.parametrize("erode_size", [0, 3, 10])
def test_pymatting_gives_the_bytes_of_rembg(erode_size, photo):
    rembg = pytest.importorskip("rembg", reason="rembg 2.0.86 needs Python 3.11")
    picture, session = photo(80, 60), Fixed(disc())
    options = {"session": session, "alpha_matting_erode_size": erode_size}
    ours = remove(picture, matting_method="pymatting", **options)
    theirs = np.array(rembg.remove(picture, alpha_matting=True, **options))
    seen = theirs[..., 3] > 0  # elsewhere theirs has colours, ours few
    np.testing.assert_array_equal(ours * seen[..., None], theirs * seen[..., None])
    np.testing.assert_array_equal(np.asarray(ours)[..., 3], theirs[..., 3])


@pytest.mark.parametrize("level", [0, 255, 128])
def test_pymatting_gives_the_bytes_of_rembg_where_nothing_is_solved(level, photo):
    rembg = pytest.importorskip("rembg", reason="rembg 2.0.86 needs Python 3.11")
    picture, session = photo(80, 60), Fixed(np.full((60, 80), level, np.uint8))
    ours = remove(picture, matting_method="pymatting", session=session)
    np.testing.assert_array_equal(ours, rembg.remove(picture, alpha_matting=True, session=session))


def test_a_solver_that_gives_up_is_a_warning(monkeypatch, caplog):
    import pymatting  # noqa: F401

    def fail(*arguments, **options):
        raise ValueError("Conjugate gradient descent did not converge")

    module = sys.modules["pymatting.alpha.estimate_alpha_cf"]
    monkeypatch.setattr(module, "estimate_alpha_cf", fail)
    found = find_matte(over(disc()), disc(), options=MattingOptions(method="pymatting"))
    np.testing.assert_array_equal(found.alpha, disc().astype(np.float32) / 255)
    assert "pymatting gave up (Conjugate gradient" in caplog.text


# -- real hair --------------------------------------------------------------------------------


@pytest.fixture
def lemur(shared):
    folder = shared / "images"
    image = np.asarray(Image.open(folder / "lemur.png").convert("RGB"))
    return image, Image.open(folder / "lemur_alpha.png").convert("L")


# of the error of a mask as coarse as a network with a small input gives
@pytest.mark.parametrize(("name", "most"), [("closed-form", 0.6), ("fast", 0.7), ("guided", 0.9)])
def test_the_matte_of_the_lemur(name, most, lemur):
    image, true = lemur
    small = true.resize((true.width // 8, true.height // 8))
    mask = np.asarray(small.resize(true.size, Image.Resampling.LANCZOS))
    alpha = find_matte(image, mask, options=MattingOptions(method=name)).alpha
    before = np.abs(mask / 255 - np.asarray(true) / 255).sum()
    assert np.abs(alpha - np.asarray(true) / 255).sum() < most * before


def test_the_trimap_of_the_lemur(lemur, shared):
    image, true = lemur
    cutout = remove(Image.fromarray(image), trimap=shared / "images" / "lemur_trimap.png")
    alpha = np.asarray(cutout.getchannel("A"), int)
    # it was made by closed-form matting from this very trimap
    assert np.abs(alpha - np.asarray(true)).mean() < 0.5
