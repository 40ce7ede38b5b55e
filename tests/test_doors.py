"""The same job through all three doors: Python, the shell and the nodes give the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rembg_sessions.core import cli, new_session, remove

torch = pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from asked import Asked  # noqa: E402

from rembg_sessions.nodes.handle import SessionHandle  # noqa: E402

# Python's arguments, the shell's and the node's inputs for one job.
JOBS = {
    "estimated": ({"edge_colours": "estimated"}, "", {}),
    "original": (
        {"edge_colours": "original"},
        "--edge-colours original",
        {"edge_colours": "original"},
    ),
    "naive": ({"edge_colours": "naive"}, "--edge-colours naive", {"edge_colours": "naive"}),
    "smooth": (
        {"edge_colours": "estimated", "post_process_mask": True},
        "--post-process-mask",
        {"hard_edge": True},
    ),
    "matting": (
        {"matting_method": "closed-form"},
        "--alpha-matting",
        {"alpha_matting": "on"},
    ),
    "matting of a small mask": (
        {"matting_method": "closed-form", "max_size": 60},
        "--alpha-matting --max-size 60",
        {"alpha_matting": "on", "max_size": 60},
    ),
    "a small mask": (
        {"edge_colours": "estimated", "max_size": 60},
        "--max-size 60",
        {"max_size": 60},
    ),
    "a mask": ({"edge_colours": "estimated", "only_mask": True}, "--only-mask", {}),
    "a refined mask": (
        {"matting_method": "closed-form", "only_mask": True},
        "--only-mask --alpha-matting",
        {"alpha_matting": "on"},
    ),
    "a colour": (
        {"edge_colours": "estimated", "bgcolor": "#204080"},
        "--bgcolor #204080",
        {"background": "colour", "background_colour": "#204080"},
    ),
}


@pytest.fixture
def doors(network, photo, tmp_path):
    """Do a job through each door: uint8 arrays from Python, the shell and the node."""
    path = network("mine.onnx")
    picture = photo(200, 150)
    picture.save(tmp_path / "photo.png")
    session = new_session("u2net_custom", model_path=path)

    def through(job):
        options, arguments, inputs = JOBS[job]
        python = np.asarray(remove(picture, session=session, **options))

        target = tmp_path / "cut.png"
        model = ["-m", "u2net_custom", "--model-path", str(path), "--overwrite"]
        command = ["cutout", str(tmp_path / "photo.png"), str(target), *model]
        assert cli.main([*command, *arguments.split()]) == 0
        shell = np.asarray(Image.open(target))

        tensor = torch.from_numpy(np.asarray(picture, np.float32) / 255)[None]
        image, mask, _ = Asked("RemBGRemove").execute(tensor, SessionHandle(session), **inputs)
        node = np.round(255 * (mask if options.get("only_mask") else image)[0].numpy())
        return python, shell, node.astype(np.uint8)

    return through


@pytest.mark.parametrize("job", JOBS)
def test_three_doors_lead_to_the_same_pixels(job, doors):
    python, shell, node = doors(job)
    np.testing.assert_array_equal(python, shell)
    if "background" in JOBS[job][2]:  # over a colour the node gives RGB
        python = python[..., :3]
    assert python.shape == node.shape
    # the node keeps fractions, which a file cuts off below one level
    off = np.abs(python.astype(int) - node)
    if python.ndim == 3 and python.shape[2] == 4:
        assert off[..., 3].max() <= 1
        # of what is hardly seen; and under alpha 0 only the node has colours, see imaging/bleed.py
        off[..., :3] *= (node[..., 3:] > 1).astype(int)
    assert off.max() <= 1


def test_matting_works_at_full_size_whatever_the_session_sees(doors, photo):
    """A mask found on a small picture is refined on the whole one."""
    refined, coarse = doors("matting of a small mask")[0], doors("a small mask")[0]
    assert refined.shape == coarse.shape == (150, 200, 4)
    unknown = (coarse[..., 3] > 10) & (coarse[..., 3] < 240)
    assert (refined[..., 3] != coarse[..., 3])[unknown].mean() > 0.5


def test_as_rembg_calls_it_the_mask_alone_is_not_refined(network, photo):
    session, picture = new_session("u2net_custom", model_path=network("mine.onnx")), photo(200, 150)
    plain = remove(picture, session=session, only_mask=True)
    assert remove(picture, session=session, only_mask=True, alpha_matting=True) == plain
    assert remove(picture, session=session, only_mask=True, vitmatte=True) == plain
    named = remove(picture, session=session, only_mask=True, matting_method="closed-form")
    assert named != plain
