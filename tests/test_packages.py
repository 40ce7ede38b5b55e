"""What works where a package is not installed, and what is said where it does not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import new_session, remove
from rembg_sessions.core.errors import PackageMissingError
from rembg_sessions.core.imaging.mask import feather, fill_holes, keep_largest
from rembg_sessions.core.imaging.morphology import grow

WITHOUT = ("pymatting", "numba", "llvmlite", "scipy")


@pytest.fixture
def bare(monkeypatch):
    """A Python in which some packages do not import."""
    for name in [each for each in sys.modules if each.split(".")[0] in WITHOUT]:
        monkeypatch.delitem(sys.modules, name)
    for name in WITHOUT:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"edge_colours": "estimated", "crop": True},
        {"post_process_mask": True, "only_mask": True},
        {"matting_method": "guided"},
        {"matting_method": "fast"},
    ],
)
def test_what_works_without(bare, network, photo, options):
    session = new_session("u2net_custom", model_path=network("mine.onnx"))
    assert remove(photo(), session=session, **options).width > 0


def test_closed_form_matting_works_without():
    """In a process of its own: this one may have compiled the solver already."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({WITHOUT}))\n"
        "from rembg_sessions import remove; from PIL import Image\n"
        "picture = Image.linear_gradient('L').convert('RGB')\n"
        "print(remove(picture, trimap=Image.linear_gradient('L')).size)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "(256, 256)\n", run.stderr


@pytest.mark.parametrize(
    "work", [fill_holes, keep_largest, lambda a: feather(a, 2), lambda a: grow(a, 2)]
)
def test_what_needs_scipy_says_so(bare, work):
    with pytest.raises(PackageMissingError, match=r"needs the package scipy, which is not inst"):
        work(np.zeros((9, 9), np.float32))


def test_what_needs_pymatting_says_so(bare):
    picture = Image.linear_gradient("L").convert("RGB")
    with pytest.raises(PackageMissingError, match="pymatting needs the package pymatting") as error:
        remove(picture, trimap=Image.linear_gradient("L"), matting_method="pymatting")
    assert isinstance(error.value, ImportError) and sys.executable in str(error.value)
