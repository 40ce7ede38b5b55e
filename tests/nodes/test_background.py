"""The node that puts a cut-out over a colour or a picture."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from rembg_sessions import nodes  # noqa: E402
from rembg_sessions.core import Composition, compose  # noqa: E402
from rembg_sessions.core.errors import ImageError, OptionError  # noqa: E402
from rembg_sessions.nodes import background as module  # noqa: E402

BACKGROUND = nodes.NODE_CLASS_MAPPINGS["RemBGApplyBackground"]()
H, W = 24, 40


def images(count=1, channels=3):
    return torch.rand((count, H, W, channels), generator=torch.Generator().manual_seed(1))


def ramp(count=1):
    """A mask: 0 on the left, 1 on the right, soft between."""
    row = ((torch.arange(W) - W / 2 + 4) / 8).clamp(0, 1)
    return row.expand(count, H, W)


def cutouts(count=1):
    return torch.cat([images(count) * (ramp() > 0)[..., None], ramp(count)[..., None]], -1)


def test_colour():
    source = images(2)
    image, mask = BACKGROUND.execute(source, background_colour="10, 20, 30", mask=ramp())
    assert image.shape == (2, H, W, 3)
    torch.testing.assert_close(image[1, 0, 0], torch.tensor([10.0, 20, 30]) / 255)
    assert torch.equal(image[1, 0, -1], source[1, 0, -1])
    assert torch.equal(mask, ramp(2))
    share = ramp()[..., None]
    expected = share * source + (1 - share) * torch.tensor([10.0, 20, 30]) / 255
    torch.testing.assert_close(image, expected)


def test_transparent():
    source = cutouts()
    image, mask = BACKGROUND.execute(source, "transparent")
    assert torch.equal(mask, source[..., 3]) and torch.equal(image[..., 3], mask)
    seen = mask >= 1 / 255
    torch.testing.assert_close(image[seen], source[seen])


def test_a_half_transparent_colour_gives_rgba():
    image, _ = BACKGROUND.execute(images(), background_colour="#ffffff80", mask=ramp())
    assert image.shape == (1, H, W, 4)
    torch.testing.assert_close(image[0, 0, 0], torch.tensor([1.0, 1, 1, 128 / 255]))
    assert torch.equal(image[0, 0, -1, :3], images()[0, 0, -1]) and image[0, 0, -1, 3] == 1
    # over the photo it fades the photo's own background
    faded, _ = BACKGROUND.execute(image, background_image=images())
    expected = (128 * 1 + 127 * images()[0, 0, 0]) / 255
    assert (faded[0, 0, 0] - expected).abs().max() < 0.01


def test_picture():
    picture = torch.full((1, 10, 10, 3), 0.5)
    given = {"mask": ramp(), "background_image": picture}
    image, _ = BACKGROUND.execute(images(2), **given)
    assert (image[:, 0, 0] - 0.5).abs().max() < 0.01
    image, _ = BACKGROUND.execute(images(), background_colour="#00f", fit="fit", **given)
    assert torch.equal(image[0, 0, 0], torch.tensor([0.0, 0, 1]))  # the bar at the left
    image, _ = BACKGROUND.execute(images(), "transparent", fit="fit", **given)
    assert image[0, 0, 0, 3] == 0 and image[0, 0, W // 2, 3] == 1
    hidden = torch.tensor([1.0, 0, 0, 0]).expand(1, 6, 6, 4)  # red that nobody should see
    image, _ = BACKGROUND.execute(
        images(), background_colour="#0f0", mask=ramp(), background_image=hidden
    )
    assert torch.equal(image[0, 0, 0], torch.tensor([0.0, 1, 0]))


def test_a_single_picture_is_fitted_once(monkeypatch):
    fitted = []
    ground = module.make_ground
    monkeypatch.setattr(module, "make_ground", lambda *a: fitted.append(a[0]) or ground(*a))
    BACKGROUND.execute(cutouts(3), background_image=images())
    assert len(fitted) == 1
    each, _ = BACKGROUND.execute(cutouts(3), background_image=images(3))
    assert len(fitted) == 4
    for i in range(3):
        alone, _ = BACKGROUND.execute(cutouts(), background_image=images(3)[i : i + 1])
        assert torch.equal(each[i][ramp()[0] == 0], alone[0][ramp()[0] == 0])


def test_what_is_missing():
    image, _ = BACKGROUND.execute(cutouts())
    assert image.shape == (1, H, W, 3) and (image[0, 0, 0] == 1).all()
    with pytest.raises(ImageError, match="Connect a mask"):
        BACKGROUND.execute(images())
    with pytest.raises(ImageError, match="2 backgrounds for 3"):
        BACKGROUND.execute(cutouts(3), background_image=images(2))
    with pytest.raises(ImageError, match="no background picture"):
        BACKGROUND.execute(cutouts(), canvas="background")
    with pytest.raises(OptionError, match="background is 'picture'"):
        BACKGROUND.execute(cutouts(), "picture")


LOOKS = {
    "shadow": {"shadow": 0.5, "shadow_blur": 3.0, "shadow_x": 4, "shadow_y": -2},
    "outline": {"outline": 3, "outline_colour": "#ff0"},
    "scale": {"scale": 0.4, "move_x": -10.0, "move_y": 20.0},
    "pixels": {"move_x": -7.0, "move_unit": "px"},
    "all": {"width": 64, "scale": 1.6, "outline": 2, "shadow": 0.8, "canvas": "background"},
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("background", ["colour", "transparent"])
def test_the_node_composes_as_python_does(look, background):
    levels = (cutouts()[0].numpy() * 255).round().astype(np.uint8)
    picture = (images(3)[2].numpy() * 255).round().astype(np.uint8)
    source, behind = (torch.from_numpy(each)[None] / 255 for each in (levels, picture))
    given = {"background_image": behind} if background == "colour" else {}
    options = {**LOOKS[look], **({} if given else {"canvas": "image"})}
    image, mask = BACKGROUND.execute(source, background, **given, **options)
    python = compose(
        Image.fromarray(levels), Image.fromarray(picture) if given else None, Composition(**options)
    )
    assert image.shape[1:] == np.asarray(python).shape
    assert mask.shape == image.shape[:3]
    assert np.abs(np.asarray(python) - image[0].numpy() * 255).max() <= 1


def test_a_batch_stays_steady():
    """Scaled around the box of all, so that a still part stays still while another moves."""
    source = torch.zeros(2, H, W, 4)
    source[:, 10:14, 10:14] = 1
    source[1, 10:14, 25:29] = 1
    _, mask = BACKGROUND.execute(source, "transparent", scale=0.5)
    still = np.s_[:, : W // 2]
    assert torch.equal(mask[0][still], mask[1][still]) and mask[0].sum() > 0


def test_defaults_are_those_of_the_widgets():
    inputs = {**BACKGROUND.INPUT_TYPES()["required"], **BACKGROUND.INPUT_TYPES()["optional"]}
    values = {
        name: options["default"] for name, (_, options) in inputs.items() if "default" in options
    }
    shown, _ = BACKGROUND.execute(cutouts(), **values)
    plain, _ = BACKGROUND.execute(cutouts())
    assert torch.equal(shown, plain)
