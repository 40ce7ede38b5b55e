"""The nodes that crop to the subject, and put it back."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from asked import Asked  # noqa: E402

from rembg_sessions import nodes  # noqa: E402
from rembg_sessions.core import Framing, remove  # noqa: E402
from rembg_sessions.core.errors import (  # noqa: E402
    ImageError,
    NotEnoughMemoryError,
    OptionError,
)

FRAME = Asked("RemBGFrameSubject")
BACK = nodes.NODE_CLASS_MAPPINGS["RemBGPutBack"]()
H, W = 60, 80
BOXES = [(10, 20, 30, 25), (40, 5, 12, 50)]  # x, y, width, height


def cutouts(boxes=BOXES, seed=0):
    """RGBA cut-outs: noise in a box, nothing elsewhere."""
    noise = torch.rand((len(boxes), H, W, 4), generator=torch.Generator().manual_seed(seed))
    result = torch.zeros_like(noise)
    for i, (x, y, w, h) in enumerate(boxes):
        part = np.s_[i, y : y + h, x : x + w]
        result[part] = noise[part]
        result[(*part, 3)] = result[(*part, 3)] / 2 + 0.5
    return result


def seen(image):
    """The image without the colours of what is not seen."""
    return image * (image[..., 3:] >= 1 / 255)


def rectangle(box):
    return dict(zip(("x", "y", "width", "height"), box, strict=True))


def test_one_box_for_a_batch():
    source = cutouts()
    image, mask, box, placement = FRAME.execute(source, margin=3, margin_unit="px")
    assert box == rectangle((10, 5, 42, 50)) and len(placement) == 1
    assert image.shape == (2, 56, 48, 4) and mask.shape == (2, 56, 48)
    assert torch.equal(seen(image)[:, 3:-3, 3:-3], source[:, 5:55, 10:52])
    assert torch.equal(mask, image[..., 3])
    x, y, width, height = box.values()  # as ComfyUI's Crop Image takes it
    assert torch.equal(seen(image)[:, 3:-3, 3:-3], source[:, y : y + height, x : x + width])


def test_a_box_each_on_one_baseline():
    source = cutouts()
    image, mask, boxes, placement = FRAME.execute(
        source, margin=2, margin_unit="px", batch="each", align="bottom"
    )
    assert boxes == [[rectangle(box)] for box in BOXES] and len(placement) == 2
    assert image.shape == (2, 54, 34, 4)
    assert torch.equal(image[0, 27:52, 2:32], source[0, 20:45, 10:40])
    assert torch.equal(image[1, 2:52, 11:23], source[1, 5:55, 40:52])
    assert mask[:, 52:].max() == 0 and mask[:, 51].amax(1).min() >= 0.5


@pytest.mark.parametrize(("batch", "heights"), [("same-scale", (50, 100)), ("each", (83, 100))])
def test_one_scale_or_a_scale_each(batch, heights):
    _, mask, _, _ = FRAME.execute(
        cutouts(), width=100, height=100, margin=0, batch=batch, enlarge=True
    )
    assert mask.shape == (2, 100, 100)
    rows = (mask > 0.25).any(2).sum(1)
    assert (rows - torch.tensor(heights)).abs().max() <= 2


def test_a_mask_says_what_of_an_rgb_image_is_the_subject():
    source = cutouts()
    rgb = torch.rand((2, H, W, 3))
    image, mask, box, _ = FRAME.execute(rgb, margin=0, mask=source[..., 3])
    assert torch.equal(mask, source[:, 5:55, 10:52, 3])
    # nothing of the picture's own
    assert (image[mask == 0][:, :3] != rgb[:, 5:55, 10:52][mask == 0]).all()
    assert torch.equal(image[mask > 0][:, :3], rgb[:, 5:55, 10:52][mask > 0])
    assert FRAME.execute(source, margin=0, mask=source[..., 3])[2] == box
    with pytest.raises(ImageError, match="no alpha and no mask is connected"):
        FRAME.execute(rgb)


def test_a_product_on_white():
    image, mask, _, _ = FRAME.execute(
        cutouts(BOXES[:1]),
        width=200,
        height=200,
        margin=7.5,
        enlarge=True,
        background="colour",
        background_colour="#fff",
    )
    assert image.shape == (1, 200, 200, 3) and mask.shape == (1, 200, 200)
    assert torch.equal(image[0, 0, 0], torch.ones(3))
    assert (mask > 0.25).any(1).sum() == pytest.approx(170, abs=2)  # 85 %


def test_a_half_transparent_colour_gives_rgba():
    source = cutouts()
    image, mask, *_ = FRAME.execute(source, background="colour", background_colour="#ffffff80")
    plain, *_ = FRAME.execute(source)
    assert image.shape[-1] == 4
    torch.testing.assert_close(mask, plain[..., 3])
    clear = mask == 0
    assert (image[clear] == torch.tensor([1.0, 1, 1, 128 / 255])).all()
    behind = 128 / 255 * (1 - plain[..., 3:])
    torch.testing.assert_close(image[..., 3:], plain[..., 3:] + behind)
    torch.testing.assert_close(
        image[..., :3] * image[..., 3:], plain[..., :3] * plain[..., 3:] + behind
    )


def test_the_node_frames_as_python_does():
    source = (cutouts(BOXES[:1]) * 255).round()
    image, *_ = FRAME.execute(source / 255, width=20, aspect_ratio="1:1", margin=10)

    class Alpha:
        def predict(self, picture, **_):
            return [picture.convert("L").point([0] + 255 * [255])]

    framing = Framing(width=20, aspect_ratio="1:1", margin=10, margin_unit="%")
    pixels = source[0].to(torch.uint8).numpy()
    python = remove(pixels, session=Alpha(), putalpha=True, crop=framing)
    node = (image[0] * 255).round().to(torch.uint8).numpy()
    assert python.shape == node.shape == (20, 20, 4)
    seen = python[..., 3] > 1
    assert np.abs(python[seen].astype(int) - node[seen]).max() <= 1


def test_nothing_to_frame():
    empty = torch.zeros((2, H, W, 4))
    image, mask, box, placement = FRAME.execute(empty)
    assert torch.equal(image, empty) and mask.shape == (2, H, W)
    assert box == rectangle((0, 0, W, H)) and len(placement) == 1
    (warning,) = FRAME.shown["rembg_warnings"]
    assert warning.startswith(
        "No subject was found: alpha is nowhere above 0.05. The image is not cropped. Is"
    )
    empty[0] = cutouts()[0]
    image, *_ = FRAME.execute(empty, margin=0, batch="each")
    assert image.shape == (2, 25, 30, 4)
    (warning,) = FRAME.shown["rembg_warnings"]
    assert warning == "1 of 2 have no subject: alpha is nowhere above 0.05."


def test_what_it_says(monkeypatch):
    texts = []
    monkeypatch.setattr("rembg_sessions.nodes.host.show_text", texts.append)
    FRAME.execute(cutouts(BOXES[:1]), margin=1, margin_unit="px")
    FRAME.execute(cutouts(BOXES[:1]), width=15, margin=0)
    FRAME.execute(cutouts(), width=25, height=25, margin=0, batch="each")
    assert texts == [
        "subject 30×25 on 32×27",
        "subject 30×25 on 15×13, scaled to 50 %",
        "subject 30×25 on 25×25, scaled to 50 to 83 %",
    ]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"batch": "all"}, "batch is 'all'; use one of together, same-scale, each"),
        ({"background": "blue"}, "background is 'blue'; use one of transparent, colour"),
        ({"margin": 46}, "margin is 46; use a number from 0 to 45"),
        ({"aspect_ratio": "wide"}, "aspect_ratio is 'wide'; use free"),
        ({"width": 10, "height": 20, "aspect_ratio": "1:1"}, "10×20 pixels is not 1:1"),
        ({"width": 99, "margin": 50, "margin_unit": "px"}, "leaves nothing of a canvas 99 pixels"),
    ],
)
def test_what_cannot_be(inputs, message):
    with pytest.raises(OptionError, match=message):
        FRAME.execute(cutouts(), **inputs)


def test_canvases_beyond_the_memory():
    many = cutouts(BOXES[:1]).expand(500, -1, -1, -1)
    with pytest.raises(NotEnoughMemoryError, match=r"MiB are free .*500×16384×16384×4"):
        FRAME.execute(many, width=16384, height=16384)


# -- putting it back ---------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["together", "same-scale", "each"])
@pytest.mark.parametrize("margin", [0, 200])
def test_put_back_is_what_it_was(batch, margin):
    source = cutouts()
    image, _, _, placement = FRAME.execute(source, margin=margin, margin_unit="px", batch=batch)
    back, mask = BACK.execute(image, placement)
    assert torch.equal(seen(back), source) and torch.equal(mask, source[..., 3])


def test_put_back_an_edited_picture_without_alpha():
    """Twice as large, RGB: with the mask that came with it."""
    source = cutouts()
    image, mask, _, placement = FRAME.execute(source, margin=5, margin_unit="px")
    larger = image[..., :3].repeat_interleave(2, 1).repeat_interleave(2, 2)
    back, alpha = BACK.execute(larger, placement, mask)
    assert back.shape == source.shape and alpha.shape == source.shape[:3]
    inside = (slice(0, 1), slice(22, 43), slice(12, 38))
    assert (alpha[inside] - source[..., 3][inside]).abs().mean() < 0.1
    assert alpha[0, :15].max() == 0 and back[alpha == 0].abs().max() == 0
    with pytest.raises(ImageError, match="no alpha and no mask"):
        BACK.execute(larger, placement)


def test_put_back_with_the_wrong_number_or_kind():
    image, _, _, placement = FRAME.execute(cutouts(), batch="each")
    with pytest.raises(ImageError, match="There are 1 images for 2 placements; put back as many"):
        BACK.execute(image[:1], placement)
    with pytest.raises(
        OptionError, match=r"placement is \{\}; connect that of RemBG Frame Subject"
    ):
        BACK.execute(image, {})
