"""The node that tells SAM models what to cut out."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from rembg_sessions import nodes  # noqa: E402
from rembg_sessions.core.errors import ImageError, OptionError  # noqa: E402
from rembg_sessions.core.session.prompt import check_prompt  # noqa: E402
from rembg_sessions.nodes import sam_prompt  # noqa: E402

NODE = nodes.NODE_CLASS_MAPPINGS["RemBGSAMPrompt"]()
H, W = 60, 80
IMAGE = torch.rand((2, H, W, 3), generator=torch.Generator().manual_seed(0))
BOX = {"x": 10, "y": 20, "width": 30, "height": 25}
RECTANGLE = {"type": "rectangle", "data": [10, 20, 40, 45]}


def point(x, y, label=1):
    return {"type": "point", "label": label, "data": [x, y]}


def run(**inputs):
    """The marks that the node gives, and what it tells the page."""
    result = NODE.execute(**{"image": IMAGE, **inputs})
    (text,), (told,) = result["result"], result["ui"]["sam_prompt"]
    warnings = [note for note in told["notes"] if not note.startswith("From other nodes: ")]
    assert result["ui"]["rembg_warnings"] == warnings
    assert check_prompt(text, (H, W)) == json.loads(text), "the core reads it as it is"
    return json.loads(text), told


# -- what is drawn on the picture --------------------------------------------------------


def test_marks_of_the_picture_are_given_as_they_are():
    drawn = [point(3, 4.5), point(0, H, 0), RECTANGLE]
    marks, told = run(points=json.dumps(drawn))
    assert marks == told["drawn"] == drawn
    assert told["marks"] == told["notes"] == []
    corners = [{"type": "rectangle", "label": 1, "data": [40, 45, 10, 20]}]
    assert run(points=json.dumps(corners))[0] == [RECTANGLE]


@pytest.mark.parametrize("points", ["", " \n", "[]", None])
def test_nothing_marked_is_the_centre_and_says_so(points, caplog):
    marks, told = run(points=points)
    assert marks == [point(40, 30)] == check_prompt(None, (H, W))
    assert told["drawn"] == told["marks"] == []
    assert told["notes"] == ["Nothing is marked: the centre of the picture is used."]
    assert told["notes"][0] in caplog.text


def test_background_alone_is_told():
    marks, told = run(points=json.dumps([point(1, 2, 0)]))
    assert marks == [point(1, 2, 0)]
    assert told["notes"] == ["Only background is marked: add a point on the subject, or a box."]
    assert run(points=json.dumps([point(1, 2, 0), RECTANGLE]))[1]["notes"] == []


# -- what other nodes give ---------------------------------------------------------------


@pytest.mark.parametrize(
    "box",
    [
        BOX,
        [BOX],
        [[BOX]],
        [[BOX], [BOX]],
        {**BOX, "score": 0.9, "label": "person"},
    ],
    ids=["one", "list", "of one image", "of each image", "detected"],
)
def test_boxes_as_comfyui_has_them(box):
    marks, told = run(bounding_box=box)
    assert marks == told["marks"] == [RECTANGLE]
    assert told["notes"] == ["From other nodes: 1 box."]


def test_box_of_frame_subject_fits():
    cutout = torch.zeros((1, H, W, 4))
    cutout[:, 20:45, 10:40] = 1
    for batch in ("together", "each"):
        framed = nodes.NODE_CLASS_MAPPINGS["RemBGFrameSubject"]().execute(cutout, batch=batch)
        assert run(image=cutout, bounding_box=framed[2])[0] == [RECTANGLE]


def test_box_beyond_the_picture_is_cut():
    marks, told = run(bounding_box={"x": -0.4, "y": 5.5, "width": W + 0.8, "height": 10})
    assert marks == [{"type": "rectangle", "data": [0, 5.5, W, 15.5]}]
    assert told["notes"] == ["From other nodes: 1 box."]  # a fraction of a pixel is none
    marks, told = run(bounding_box={"x": -30, "y": 10, "width": 50, "height": 500})
    assert marks == [{"type": "rectangle", "data": [0, 10, 20, H]}]
    assert "bounding_box reaches beyond the picture" in told["notes"][1]


@pytest.mark.parametrize("found", [[], [[]], [[], []]])
def test_no_box_is_told(found):
    marks, told = run(bounding_box=found, points=json.dumps([point(1, 2)]))
    assert marks == [point(1, 2)]
    assert told["notes"] == ["bounding_box holds no box: nothing was found."]


def painted(*boxes, size=(H, W)):
    mask = torch.zeros((1, *size))
    for x, y, width, height in boxes:
        mask[:, y : y + height, x : x + width] = 0.3  # a soft brush
    return mask


def test_mask_is_the_box_around_what_is_painted():
    two = [(10, 20, 5, 5), (30, 40, 10, 5)]
    assert run(mask=painted(*two))[0] == [RECTANGLE]
    assert run(mask=painted(*two)[0])[0] == [RECTANGLE]  # (H, W)
    each = torch.cat([painted(two[0]), painted(two[1])])
    assert run(mask=each)[0] == [RECTANGLE]
    speck = painted((10, 20, 30, 25))
    speck[0, 59, 79] = 0.2
    assert run(mask=speck)[0] == [RECTANGLE]


def test_mask_of_another_size_is_scaled():
    mask = painted((20, 40, 60, 50), size=(2 * H, 2 * W))
    (mark,), _ = run(mask=mask)
    assert np.abs(np.array(mark["data"]) - RECTANGLE["data"]).max() <= 1


def test_empty_mask_is_told_and_not_used():
    empty = torch.zeros((1, 64, 64))  # of a picture without transparency
    marks, told = run(mask=empty, points=json.dumps([point(1, 2)]))
    assert marks == [point(1, 2)]
    assert told["notes"] == ["mask is empty: nothing is painted."]
    marks, told = run(mask=empty)
    assert marks == [point(40, 30)]
    assert len(told["notes"]) == 2


@pytest.mark.parametrize(
    "text",
    ['[{"x": 5, "y": 6}, {"x": 7.5, "y": 8}]', "[{'x': 5, 'y': 6}, {'x': 7.5, 'y': 8}]"],
    ids=["json", "python"],
)
def test_coordinates_as_core_and_kjnodes_have_them(text):
    marks, told = run(coordinates=text, negative_coordinates='[{"x": 0, "y": 0}]')
    assert marks == told["marks"] == [point(5, 6), point(7.5, 8), point(0, 0, 0)]
    assert told["notes"] == ["From other nodes: 2 subject points, 1 background point."]
    for empty in ("", "[]", "null", None):
        assert run(coordinates=text, negative_coordinates=empty)[0] == marks[:2]


def test_all_is_joined():
    marks, told = run(
        points=json.dumps([point(1, 2)]),
        bounding_box=BOX,
        coordinates='[{"x": 3, "y": 4}]',
        negative_coordinates='[{"x": 5, "y": 6}]',
    )
    assert marks == [point(1, 2), RECTANGLE, point(3, 4), point(5, 6, 0)]
    assert told["marks"] == marks[1:]


# -- what cannot be ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"points": "here"}, r"^points is not valid JSON \(.*: 'here'. Write it like"),
        ({"points": np.zeros(3)}, r"^points is array\(.*It must be a list of points"),
        ({"points": "7"}, "^points is 7. It must be a list of points and rectangles"),
        ({"points": "[7]"}, "^Entry 1 of points is 7. It must be an object"),
        (
            {"points": json.dumps([point(1, 2), point(81, 2)])},
            r"^Entry 2 of points: \[81, 2\] is outside the picture, which is 80 pixels wide",
        ),
        ({"coordinates": "here"}, r"^coordinates is not valid JSON .* Write it like \[{\"x\": 120"),
        ({"coordinates": "7"}, "^coordinates is 7. It must be a list of points"),
        ({"coordinates": '[{"x": 7}]'}, "^Entry 1 of coordinates is {'x': 7}. It must have x and"),
        ({"coordinates": '[{"x": "7", "y": 1}]'}, "^Entry 1 of coordinates: 'data' is"),
        ({"coordinates": '[{"x": 0.5, "y": 0.25}]'}, "^coordinates holds fractions of the picture"),
        (
            {"negative_coordinates": '[{"x": 7, "y": 61}]'},
            r"^Entry 1 of negative_coordinates: \[7, 61\] is outside the picture",
        ),
        ({"bounding_box": 7}, r"^bounding_box is 7. It must be in pixels, like {\"x\": 10"),
        ({"bounding_box": {"x": 1, "y": 2}}, "^bounding_box is {.*It must be in pixels"),
        ({"bounding_box": {**BOX, "x": True}}, "^bounding_box is {.*It must be in pixels"),
        ({"bounding_box": {**BOX, "x": float("nan")}}, "^bounding_box is {.*It must be in pixels"),
        ({"bounding_box": {**BOX, "x": 80}}, "of which nothing lies in the picture, which is 80"),
        ({"bounding_box": {**BOX, "width": 0}}, "of which nothing lies in the picture"),
        ({"bounding_box": [[BOX], []]}, "^bounding_box holds other boxes for each of 2 images"),
        (
            {"bounding_box": [BOX, BOX]},
            "^There are 2 boxes, of bounding_box; a SAM model",
        ),
        (
            {"points": json.dumps([RECTANGLE]), "mask": torch.ones((1, H, W))},
            "^There are 2 boxes, of points and mask; a SAM model takes one. Keep one",
        ),
    ],
)
def test_wrong_inputs_are_named(inputs, message):
    with pytest.raises(OptionError, match=message):
        run(**inputs)


def test_mask_of_another_picture_is_refused():
    with pytest.raises(ImageError, match="The mask is 20×60 pixels and the image 80×60"):
        run(mask=torch.ones((1, H, 20)))
    with pytest.raises(ImageError, match="There are 3 masks for 2 images"):
        run(mask=torch.ones((3, H, W)))


# -- what the page shows -----------------------------------------------------------------


def test_the_page_gets_a_small_picture_and_its_true_size(monkeypatch):
    saved = []

    def save(pictures):
        saved.extend(pictures)
        return [{"filename": "a.png", "subfolder": "", "type": "temp"}]

    monkeypatch.setattr("rembg_sessions.nodes.host.save_previews", save)
    large = torch.rand((1, 1500, 3000, 4))
    (told,) = NODE.execute(large)["ui"]["sam_prompt"]
    assert told["picture"] == {
        **{"filename": "a.png", "subfolder": "", "type": "temp"},
        **{"width": 3000, "height": 1500},
    }
    assert [picture.size for picture in saved] == [(sam_prompt.PICTURE_SIDE, 512)]
    run()
    assert saved[1].size == (W, H)
    assert np.array_equal(np.asarray(saved[1]), (IMAGE[0].numpy() * 255 + 0.5).astype(np.uint8))


def test_it_runs_alone_so_that_the_picture_is_there_to_be_marked():
    assert NODE.OUTPUT_NODE
    required = NODE.INPUT_TYPES()["required"]
    assert list(required) == ["image", "points"]
    optional = NODE.INPUT_TYPES()["optional"]
    # sockets, not boxes to type in
    assert all(options["forceInput"] for kind, options in optional.values() if kind != "MASK")
