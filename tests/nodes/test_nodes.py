"""The nodes without ComfyUI: tensors in, tensors out."""

import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the nodes need torch, which ComfyUI brings")

from asked import Asked  # noqa: E402

from rembg_sessions import nodes  # noqa: E402
from rembg_sessions.core.errors import (  # noqa: E402
    ImageError,
    LowConfidenceError,
    ModelPathError,
    OptionError,
)
from rembg_sessions.core.imaging.bleed import REACH, bleed  # noqa: E402
from rembg_sessions.core.imaging.morphology import dilate  # noqa: E402
from rembg_sessions.core.registry.models import VITMATTE  # noqa: E402
from rembg_sessions.core.session.protocol import Layer  # noqa: E402
from rembg_sessions.core.session.vitmatte import VitMatte  # noqa: E402
from rembg_sessions.nodes import convert, host, memory, routes  # noqa: E402
from rembg_sessions.nodes import matting as matting_module  # noqa: E402
from rembg_sessions.nodes import models as models_module  # noqa: E402
from rembg_sessions.nodes.handle import SessionHandle  # noqa: E402
from rembg_sessions.nodes.preview import STYLES  # noqa: E402

H, W = 24, 40
REMOVE, MASK, MATTING = map(Asked, ("RemBGRemove", "RemBGMask", "RemBGAlphaMatting"))
BACKGROUND = nodes.NODE_CLASS_MAPPINGS["RemBGApplyBackground"]()
SESSION = nodes.NODE_CLASS_MAPPINGS["RemBGSession"]


def ramp_alpha(height=H, width=W):
    """0 on the left, 1 on the right, a ramp of eight pixels between."""
    row = np.clip((np.arange(width) - width / 2 + 4) / 8, 0, 1).astype(np.float32)
    return np.tile(row, (height, 1))


class Predicts:
    """rembg's protocol."""

    def predict(self, image, **options):
        levels = (ramp_alpha(image.height, image.width) * 255).astype(np.uint8)
        return [Image.fromarray(levels)]


class Processes:
    """ComfyUI_essentials' protocol."""

    def process(self, image):
        (mask,) = Predicts().predict(image)
        cutout = image.convert("RGBA")
        cutout.putalpha(mask)
        return cutout


class Encodes:
    """ComfyUI's own protocol."""

    def encode_image(self, image):
        return torch.from_numpy(ramp_alpha(*image.shape[1:3]))[None].to(torch.float16)


class Layers:
    """This pack's protocol."""

    model_name, provider = "stub", "CPU"

    def predict_layers(self, image, **options):
        return [Layer(ramp_alpha(image.height, image.width))]


def images(count=1, channels=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, H, W, channels), generator=generator).to(dtype)


@pytest.mark.parametrize("session", [Predicts(), Processes(), Encodes(), Layers()])
def test_every_protocol(session):
    image, mask, _ = REMOVE.execute(images(2), session)
    assert image.shape == (2, H, W, 4)
    assert mask.shape == (2, H, W)
    np.testing.assert_allclose(mask[1], ramp_alpha(), atol=1 / 254)
    assert torch.equal(image[..., 3], mask)
    (alone,) = MASK.execute(images(2), session)
    assert torch.equal(alone, mask)


def test_object_that_is_no_session():
    with pytest.raises(OptionError, match="not a session"):
        REMOVE.execute(images(), object())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types(dtype):
    image, mask, _ = REMOVE.execute(images(dtype=dtype), Layers())
    assert image.dtype == mask.dtype == torch.float32


class Haze:
    """Networks seldom say exactly 0: a layer of less than a level of 8 bit."""

    model_name, provider = "haze", "CPU"

    def predict_layers(self, image, **options):
        return [Layer(np.full((image.height, image.width), 0.9 / 255, np.float32))]


def test_what_is_not_seen_does_not_dim_a_colour():
    image, mask, _ = REMOVE.execute(torch.zeros(1, H, W, 3), Haze(), background="colour")
    assert mask.max() > 0
    assert (image == 1).all()


def far_colours(cutout):
    """Colours of a cut-out (H, W, 4) where nothing is seen, nor near enough to be carried."""
    far = ~dilate(cutout[..., 3].numpy() >= 1 / 255, REACH)
    assert far.any()
    return cutout.numpy()[far, :3]


def test_colours_are_cleared_or_kept():
    source = images()
    image, mask, _ = REMOVE.execute(source, Layers(), edge_colours="original")
    assert far_colours(image[0]).max() == 0
    seen = mask[0] > 0
    assert torch.equal(image[0][seen][:, :3], source[0][seen])
    estimated, *_ = REMOVE.execute(source, Layers())
    solid = mask[0] == 1
    assert torch.equal(estimated[0][solid][:, :3], source[0][solid])
    naive, *_ = REMOVE.execute(source, Layers(), edge_colours="naive")
    torch.testing.assert_close(naive[..., :3], source * mask[..., None])


def test_estimated_edges_lose_the_background():
    """Red over green: the soft edge must come out red."""
    alpha = torch.from_numpy(ramp_alpha(96, 160))[..., None]
    red, green = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.8, 0.1])
    image, *_ = REMOVE.execute((alpha * red + (1 - alpha) * green)[None], Layers())
    soft = (alpha[..., 0] > 0.1) & (alpha[..., 0] < 1)
    assert soft.any()
    assert (image[0][soft][:, :3] - red).abs().max() < 0.06


def test_colour_background_gives_rgb():
    source = images(2)
    image, *_ = REMOVE.execute(source, Layers(), background="colour", background_colour="#f00")
    assert image.shape == (2, H, W, 3)
    torch.testing.assert_close(image[0, 0, 0], torch.tensor([1.0, 0, 0]))
    torch.testing.assert_close(image[0, 0, -1], source[0, 0, -1])
    with pytest.raises(OptionError, match="colour"):
        REMOVE.execute(source, Layers(), background="colour", background_colour="reddish")
    with pytest.raises(OptionError, match="preview is 'hair'; use one of checkerboard, white"):
        REMOVE.execute(source, Layers(), preview="hair")


def test_half_transparent_colour_behind_a_cutout():
    colour = {"background": "colour", "background_colour": "#ff000080"}
    image, mask, _ = REMOVE.execute(images(), Layers(), **colour)
    assert image.shape == (1, H, W, 4)
    torch.testing.assert_close(image[0, 0, 0], torch.tensor([1.0, 0, 0, 128 / 255]))
    assert image[0, 0, -1, 3] == 1 and mask[0, 0, 0] == 0


def test_existing_alpha_is_an_upper_bound():
    source = images(1, 4)
    source[..., 3] = 0.25
    image, mask, _ = REMOVE.execute(source, Layers())
    assert mask.max() <= 0.25
    assert image[..., 3].max() <= 0.25
    (alone,) = MASK.execute(source, Layers())
    assert alone.max() <= 0.25


def test_max_size_keeps_the_size_and_the_colours():
    source = torch.rand((1, 120, 200, 3))
    image, mask, _ = REMOVE.execute(source, Layers(), max_size=64)
    assert image.shape == (1, 120, 200, 4)
    solid = mask[0] > 0.999
    assert solid.any()
    assert torch.equal(image[0][solid][:, :3], source[0][solid])
    assert (mask[0] - torch.from_numpy(ramp_alpha(120, 200))).abs().mean() < 0.05


def test_existing_alpha_limits_a_binary_mask_too():
    source = images(1, 4)
    source[..., 3] = 0.6
    source[:, :4, -4:, 3] = 0
    image, mask, _ = REMOVE.execute(source, Layers(), hard_edge=True)
    assert mask.max() == image[..., 3].max() == np.float32(0.6)
    (filled,) = MASK.execute(source, Layers(), fill_holes=1.0)
    assert filled[0, :4, -4:].max() == 0


def test_cutting_a_cutout_again_keeps_its_colours():
    source = torch.full((1, H, W, 4), 0.4)
    source[0, :, : W // 2, 3] = torch.linspace(0, 1, W // 2)

    class Full(Layers):
        def predict_layers(self, image, **options):
            return [Layer(np.ones((image.height, image.width), np.float32))]

    image, mask, _ = REMOVE.execute(source, Full())
    seen = mask[0] > 1 / 255
    torch.testing.assert_close(image[0][seen][:, :3], torch.full_like(image[0][seen][:, :3], 0.4))
    torch.testing.assert_close(mask, torch.where(mask > 0, source[..., 3], 0.0))


def test_sessions_that_change_their_mind():
    class Moody(Layers):
        calls = 0

        def predict_layers(self, image, **options):
            self.calls += 1
            return self.calls * super().predict_layers(image)

    with pytest.raises(ImageError, match="2 masks for image 2"):
        REMOVE.execute(images(3), Moody())


def test_linked_model():
    assert SESSION.IS_CHANGED(None) == ""
    assert isinstance(SESSION.VALIDATE_INPUTS(5), str)


def test_hard_edge_is_binary():
    _, mask, _ = REMOVE.execute(images(), Layers(), hard_edge=True)
    assert set(mask.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("run", [REMOVE.execute, MASK.execute])
def test_nan_is_refused(run, value):
    source = images()
    source[0, 3, 3, 1] = value
    with pytest.raises(ImageError, match="NaN or infinity"):
        run(source, Layers())


@pytest.mark.parametrize("shape", [(1, 5, 5, 2), (5, 5), (0, 5, 5, 3), (1, 0, 5, 3)])
def test_tensors_that_are_no_images(shape):
    with pytest.raises(ImageError, match="shape"):
        REMOVE.execute(torch.zeros(shape), Layers())


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_tiny_images(size):
    image, mask, _ = REMOVE.execute(torch.rand((1, *size, 3)), Layers())
    assert image.shape == (1, *size, 4)
    assert mask.shape == (1, *size)


def test_mask_options():
    (hard,) = MASK.execute(images(), Layers(), threshold=0.5)
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    (grown,) = MASK.execute(images(), Layers(), threshold=0.5, grow=2)
    assert grown.sum() == hard.sum() + 2 * H
    (shrunk,) = MASK.execute(images(), Layers(), threshold=0.5, grow=-2)
    assert shrunk.sum() == hard.sum() - 2 * H
    (inverted,) = MASK.execute(images(), Layers(), threshold=0.5, invert=True)
    assert torch.equal(inverted, 1 - hard)
    (soft,) = MASK.execute(images(), Layers(), threshold=0.5, feather=2.0)
    assert ((soft > 0.01) & (soft < 0.99)).any()


def test_masks_of_other_shapes():
    for mask in (
        torch.zeros((H, W)),
        torch.zeros((1, H, W)),
        torch.zeros((3, 1, H, W)),
        torch.zeros((3, 7, 9)),
        torch.zeros((1, 500, 300), dtype=torch.float16),
    ):
        assert convert.masks_for(mask, 3, H, W)(2).shape == (H, W)
    with pytest.raises(ImageError, match="2 masks for 3 images"):
        convert.masks_for(torch.zeros((2, H, W)), 3, H, W)
    with pytest.raises(ImageError, match="NaN"):
        convert.masks_for(torch.full((1, H, W), torch.nan), 1, H, W)


def test_matting_refines():
    alpha = ramp_alpha(40, 60)
    red, green = np.float32([0.9, 0.2, 0.1]), np.float32([0.1, 0.3, 0.8])
    picture = alpha[..., None] * red + (1 - alpha[..., None]) * green
    hard = torch.from_numpy((alpha > 0.5).astype(np.float32))[None]
    mask, image, trimap = MATTING.execute(torch.from_numpy(picture)[None].repeat(2, 1, 1, 1), hard)
    assert mask.shape == trimap.shape == (2, 40, 60)
    assert image.shape == (2, 40, 60, 4)
    assert np.abs(mask[1].numpy() - alpha).mean() < 0.5 * np.abs(hard[0].numpy() - alpha).mean()
    assert far_colours(image[0]).max() == 0
    assert set(trimap.unique().tolist()) == {0, 0.5, 1}


def soft_picture(alpha):
    red, green = np.float32([0.9, 0.2, 0.1]), np.float32([0.1, 0.3, 0.8])
    picture = alpha[..., None] * red + (1 - alpha[..., None]) * green
    return torch.from_numpy(picture)[None]


@pytest.mark.parametrize("method", ["closed-form", "fast", "guided", "pymatting"])
def test_matting_methods(method):
    alpha = ramp_alpha(40, 60)
    mask = torch.from_numpy(alpha)[None]
    mask, image, trimap = MATTING.execute(soft_picture(alpha), mask, method=method, erode_size=4)
    torch.testing.assert_close(mask, image[..., 3])
    certain = trimap != 0.5
    torch.testing.assert_close(mask[certain], trimap[certain])
    assert np.abs(mask[0].numpy() - alpha).mean() < 0.05
    assert far_colours(image[0]).max() == 0


def test_matting_of_a_transparent_image():
    alpha = ramp_alpha(40, 60)
    picture = torch.cat([soft_picture(alpha), torch.full((1, 40, 60, 1), 0.5)], dim=-1)
    for method in ("closed-form", "pymatting"):
        mask, image, _ = MATTING.execute(picture, torch.from_numpy(alpha)[None], method=method)
        assert mask.max() == image[..., 3].max() == 0.5


def test_matting_takes_a_trimap_instead_of_a_mask():
    alpha = ramp_alpha(40, 60)
    drawn = torch.full((20, 30), 128 / 255)
    drawn[:, :3], drawn[:, -3:] = float(alpha[0, 0]), float(alpha[0, -1])
    mask, _, trimap = MATTING.execute(soft_picture(alpha).repeat(2, 1, 1, 1), trimap=drawn)
    assert mask.shape == trimap.shape == (2, 40, 60)
    assert set(trimap.unique().tolist()) == {0, 0.5, 1}
    assert np.abs(mask[1].numpy() - alpha).mean() < 0.05
    with pytest.raises(ImageError, match="Connect a mask, or a trimap"):
        MATTING.execute(soft_picture(alpha))
    with pytest.raises(ImageError, match="3 trimaps for 2 images; pass one trimap"):
        MATTING.execute(soft_picture(alpha).repeat(2, 1, 1, 1), trimap=torch.zeros(3, 40, 60))
    with pytest.raises(ImageError, match="The trimap holds NaN"):
        MATTING.execute(soft_picture(alpha), trimap=drawn * torch.nan)
    with pytest.raises(ImageError, match="different proportions"):
        MATTING.execute(soft_picture(alpha), trimap=drawn[:, :10])


def test_matting_takes_what_was_painted():
    alpha = ramp_alpha(40, 60)
    hard = torch.from_numpy((alpha > 0.5).astype(np.float32))[None]
    strokes = torch.zeros(1, 80, 120)  # of another size, as of a scaled picture
    strokes[:, :, 20:100] = 0.4
    empty = torch.zeros(1, 64, 64)  # Load Image's, where nothing was painted
    mask, _, trimap = MATTING.execute(
        soft_picture(alpha), hard, unknown=strokes, keep=empty, remove=empty
    )
    assert (trimap[0, :, 12:48] == 0.5).all()
    assert np.abs(mask[0].numpy() - alpha).mean() < 0.01


def test_a_mask_of_another_picture_is_refused():
    mask = torch.ones(1, 60, 40)
    for run in (MATTING.execute, lambda image, mask: BACKGROUND.execute(image, mask=mask)):
        with pytest.raises(ImageError, match="40×60 pixels and the image 60×40"):
            run(torch.rand(1, 40, 60, 3), mask)
        run(torch.rand(1, 40, 60, 3), torch.ones(1, 80, 120))
        run(torch.rand(1, 40, 60, 3), torch.zeros(1, 64, 64))  # Load Image's


def test_matting_says_that_it_was_given_a_cutout():
    alpha = ramp_alpha(40, 60)
    mask = torch.from_numpy((alpha > 0.5).astype(np.float32))[None]
    seen = torch.from_numpy((alpha > 0.4).astype(np.float32))[None, ..., None]
    photo = soft_picture(alpha)
    bled = torch.cat([photo * seen, seen], -1).numpy().copy()
    bleed(bled[0])
    for picture, is_cutout in (
        (torch.cat([photo * seen, seen], -1), True),
        (torch.from_numpy(bled), True),
        (torch.cat([photo, seen], -1), False),  # its colours are there
        (torch.cat([photo, torch.ones_like(seen)], -1), False),
        (photo, False),
    ):
        MATTING.execute(picture, mask)
        assert ("is a cut-out" in str(MATTING.shown["rembg_warnings"])) == is_cutout


def test_matting_shows_what_it_did(monkeypatch):
    texts, saved = [], []
    monkeypatch.setattr(host, "show_text", texts.append)
    monkeypatch.setattr(host, "save_previews", lambda pictures: saved.extend(pictures) or ["shown"])
    alpha = ramp_alpha(40, 60)
    masks = torch.from_numpy(np.stack([alpha, np.zeros_like(alpha)]))
    mask, _, trimap = MATTING.execute(soft_picture(alpha).repeat(2, 1, 1, 1), masks, preview=True)
    (warning,) = MATTING.shown["rembg_warnings"]
    assert warning.startswith("1 of 2 images: Alpha matting was skipped: the mask is empty")
    assert MATTING.shown["images"] == ["shown"]
    assert [(picture.mode, picture.size) for picture in saved] == [("L", (60, 40))] * 4
    np.testing.assert_array_equal(np.asarray(saved[0]), (trimap[0] * 255 + 0.5).to(torch.uint8))
    np.testing.assert_array_equal(np.asarray(saved[1]), (mask[0] * 255 + 0.5).to(torch.uint8))
    assert len(texts) == 1
    assert texts[0].startswith("closed-form, ")


class Quarter(VitMatte):
    """A ViTMatte without a file: everything unknown is a quarter foreground."""

    spec, provider, graphs = VITMATTE[0], "CPU", ()

    def __init__(self):
        self.model_name = "quarter"

    def answer(self, image, trimap):
        return np.full(trimap.shape, 0.25, np.float32)


def test_matting_by_a_network(monkeypatch):
    asked, loaded, texts = [], [], []
    monkeypatch.setattr(
        matting_module, "get_vitmatte", lambda *a, **k: asked.append((a, k)) or Quarter()
    )
    monkeypatch.setattr(memory, "load", loaded.append)
    monkeypatch.setattr(host, "show_text", texts.append)
    alpha = ramp_alpha(40, 60)
    pictures, masks = soft_picture(alpha).repeat(2, 1, 1, 1), torch.from_numpy(alpha)[None]
    mask, _, trimap = MATTING.execute(
        pictures, masks, method="vitmatte", vitmatte_model="base-composition-1k"
    )
    assert (mask[trimap == 0.5] == 0.25).all()
    ((name,), options) = asked[0]
    assert name == "base-composition-1k"
    assert set(options) == {"folders", "on_progress", "runs_on", "device_id"}
    assert len(loaded) == 2  # room is made before every picture
    assert texts[-1].startswith("quarter on CPU, ")


def test_model_choices_are_those_of_saved_workflows():
    choices = SESSION.INPUT_TYPES()["required"]["model"][0]
    assert choices[:13] == [
        "backdrop: no download",
        "u2net: general purpose",
        "u2netp: lightweight general purpose",
        "u2net_human_seg: human segmentation",
        "u2net_cloth_seg: cloths Parsing",
        "u2net_cloth_seg: upper",
        "u2net_cloth_seg: lower",
        "u2net_cloth_seg: full",
        "u2net_cloth_seg: separate",
        "silueta: very small u2net",
        "isnet-general-use: general purpose",
        "isnet-anime: anime illustrations",
        "sam: general purpose",
    ]
    shown = [row["shown"] for row in routes.list_models()["models"] if not row["custom"]]
    assert max(map(len, shown)) <= 36  # a node has room for 31
    assert len(set(choices)) == len(choices)
    assert not [choice for choice in choices if "_custom" in choice]
    for name in ("RemBGRemove", "RemBGMask"):
        assert nodes.NODE_CLASS_MAPPINGS[name].INPUT_TYPES()["optional"]["model"][0] == choices
    assert SESSION.INPUT_TYPES()["required"]["device"][0] == [
        "Auto", "CPU", "CUDA", "ROCM", "DirectML", "OpenVINO", "CoreML", "Tensorrt", "Azure",
        "MIGraphX",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "category"),
    [
        ("u2net_cloth_seg: cloths Parsing", "attire"),
        ("u2net_cloth_seg", "attire"),
        ("u2net_cloth_seg: upper", "upper"),
        ("u2net_cloth_seg: separate", None),
        ("u2netp: upper", None),
    ],
)
def test_garments_are_chosen_with_the_model(monkeypatch, choice, category):
    monkeypatch.setattr(models_module, "get_session", lambda name, **options: name)
    handle = models_module.open_handle(choice)
    assert handle.session in choice and handle.cloth_category == category


@pytest.mark.parametrize(("detail", "side"), [("full", None), ("768", 768), ("512", 512)])
def test_detail_is_asked_of_the_model(monkeypatch, detail, side):
    asked = []
    monkeypatch.setattr(models_module, "get_session", lambda name, **options: asked.append(options))
    models_module.open_handle("isnet-general-use", detail=detail)
    assert asked[0]["input_size"] == side


def test_detail_that_there_is_not():
    with pytest.raises(OptionError, match="detail is '700'; choose one of full, 768, 640, 512"):
        models_module.open_handle("isnet-general-use", detail="700")


@pytest.mark.parametrize("model", ["u2net", "u2net: general purpose", "birefnet_general", None])
def test_known_models_validate(model):
    assert SESSION.VALIDATE_INPUTS(model) is True


def test_unknown_model_does_not_validate():
    answer = SESSION.VALIDATE_INPUTS("u2nett")
    assert isinstance(answer, str)
    assert "u2net" in answer


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_custom_files_have_the_same_names_on_every_system(monkeypatch, separator):
    listed = ["own.onnx", "OWN.ONNX", f"sub{separator}own.onnx", "u2net.pth"]
    paths = types.SimpleNamespace(get_filename_list=lambda folder: listed)
    monkeypatch.setattr(host, "folder_paths", paths)
    monkeypatch.setattr(host, "os", types.SimpleNamespace(sep=separator))
    assert host.custom_files() == ["own.onnx", "OWN.ONNX", "sub/own.onnx"]


@pytest.fixture
def own_files(monkeypatch, tmp_path):
    """A model folder: an IS-Net, files that say nothing of themselves, a published one."""
    (tmp_path / "sub").mkdir()
    helper = pytest.importorskip("onnx").helper
    value = [helper.make_tensor_value_info(name, 1, [1, 3, 8, 8]) for name in "xy"]
    steps = [helper.make_node("Relu", "x", "m", "conv_in/Relu")]
    steps.append(helper.make_node("Relu", "m", "y", "stage1/rebnconvin/Relu"))
    network = helper.make_model(helper.make_graph(steps, "hair", value[:1], value[1:]))
    (tmp_path / "hair.onnx").write_bytes(network.SerializeToString())
    for name in ("sub/own.onnx", "u2net.onnx"):
        (tmp_path / name).touch()
    names = ["hair.onnx", "sub/own.onnx", "u2net.onnx", "gone.onnx"]
    monkeypatch.setattr(host, "model_folders", lambda: (tmp_path,))
    monkeypatch.setattr(host, "custom_files", lambda: names)
    return tmp_path


def test_nodes_open_own_files_of_the_model_folders_alone(own_files, tmp_path_factory, monkeypatch):
    """Not those of the folder that ComfyUI was started in, which Python and the shell may open."""
    here = tmp_path_factory.mktemp("here")
    for name in ("hair.onnx", "secret.onnx"):
        (here / name).write_bytes((own_files / "hair.onnx").read_bytes())
    monkeypatch.chdir(here)
    handle = models_module.open_handle("hair.onnx: IS-Net", "CPU")
    assert handle.session.paths == (own_files / "hair.onnx",)
    for choice in ("secret.onnx: IS-Net", f"{here / 'secret.onnx'}: IS-Net"):
        assert "outside the model folders" in SESSION.VALIDATE_INPUTS(choice)
        with pytest.raises(ModelPathError, match="outside the model folders"):
            models_module.open_handle(choice, "CPU")


def test_own_files_are_listed_with_their_kind(own_files):
    assert models_module.choices()[1:7] == [
        "hair.onnx: IS-Net",
        *(f"sub/own.onnx: {kind}" for kind in ("U-2-Net", "IS-Net", "BEN", "BiRefNet")),
        "u2net: general purpose",
    ]


@pytest.mark.parametrize(
    ("choice", "opened"),
    [
        ("hair.onnx: IS-Net", ("dis_custom", "hair.onnx")),
        ("hair.onnx", ("dis_custom", "hair.onnx")),
        ("hair.onnx: BiRefNet", ("birefnet_custom", "hair.onnx")),
        ("sub/own.onnx: BEN", ("ben_custom", "sub/own.onnx")),
        (r"sub\own.onnx: U-2-Net", ("u2net_custom", r"sub\own.onnx")),
        ("u2net.onnx", ("u2net", None)),
        ("u2net.onnx: U-2-Net", ("u2net_custom", "u2net.onnx")),
    ],
)
def test_own_files_of_workflows_from_every_system(own_files, choice, opened):
    assert models_module.model_of(choice) == opened
    assert SESSION.VALIDATE_INPUTS(choice) is True
    assert SESSION.IS_CHANGED(choice)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("gone.onnx: IS-Net", "is not a file"),
        (r"sub\gone.onnx", "is not a file"),
        ("../hair.onnx: IS-Net", "outside"),
        ("sub/own.onnx", "kind cannot be told. Choose the file again"),
        ("sub/own.onnx: CLIP", "'CLIP' is no kind"),
        ("dis_custom", "choose it from the list by its name"),
    ],
)
def test_own_files_that_cannot_be_opened(own_files, choice, message):
    assert message in SESSION.VALIDATE_INPUTS(choice)
    assert SESSION.IS_CHANGED(choice) == ""


@pytest.mark.parametrize("node", [REMOVE, MASK])
def test_frames_of_a_clip_may_be_steady(node):
    """A subject that a network loses in one frame of seven."""

    class Forgetful(Layers):
        def __init__(self):
            self.asked = 0

        def predict_layers(self, image, **options):
            self.asked += 1
            return [Layer(ramp_alpha(image.height, image.width) * (self.asked != 4))]

    clip = images().repeat(7, 1, 1, 1)
    mask_at = 0 if node is MASK else 1
    alone = node.execute(clip, Forgetful())[mask_at]
    assert alone.amax((1, 2)).tolist() == [1, 1, 1, 0, 1, 1, 1]
    steady = node.execute(clip, Forgetful(), frames="steady")[mask_at]
    torch.testing.assert_close(steady, torch.from_numpy(ramp_alpha()).expand(7, -1, -1))
    with pytest.raises(OptionError, match="frames is 'some'; use one of independent, steady"):
        node.execute(clip, Layers(), frames="some")


@pytest.mark.parametrize("style", STYLES)
def test_results_are_shown_small(monkeypatch, style):
    saved = []
    monkeypatch.setattr(host, "save_previews", lambda pictures: saved.extend(pictures))
    source = torch.full((6, 700, 1100, 3), 0.5)
    for node, background in ((REMOVE, {}), (REMOVE, {"background": "colour"}), (MASK, {})):
        saved.clear()
        node.execute(source, Layers(), preview=style, **background)
        if style == "off":
            assert saved == []
            continue
        assert [(picture.mode, picture.size) for picture in saved] == [("RGB", (512, 326))] * 4
        levels = np.asarray(saved[0]).astype(int)
        np.testing.assert_allclose(levels[:, -1], 128, atol=1)  # the subject, as it is
        behind = {
            "mask": [189, 75, 75],
            "white": [255] * 3,
            "black": [0] * 3,
            "green": [0, 177, 64],
        }
        expected = behind["white" if background or style == "checkerboard" else style]
        if style == "mask":
            expected = behind["mask"]
        np.testing.assert_allclose(levels[0, 0], expected, atol=1)


@pytest.mark.parametrize("name", nodes.NODE_CLASS_MAPPINGS)
def test_every_socket_has_a_tooltip(name):
    node = nodes.NODE_CLASS_MAPPINGS[name]
    groups = node.INPUT_TYPES()
    for group in groups.values():
        for socket, (_, options) in group.items():
            assert options.get("tooltip"), f"{name}.{socket}"
    assert len(node.OUTPUT_TOOLTIPS) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    assert node.DESCRIPTION
    assert name in nodes.NODE_DISPLAY_NAME_MAPPINGS


def test_handle_serves_the_other_protocols():
    class Core:
        model_name, provider, graphs, is_open = "stub", "CPU", (), True

        def open(self):
            pass

        def is_current(self):
            return True

        predict_layers = Layers.predict_layers
        process = Processes.process

    handle = SessionHandle(Core())
    masks = handle.encode_image(images(2))
    assert masks.shape == (2, H, W)
    cutout = handle.process(convert_to_picture(images()[0]))
    assert cutout.mode == "RGBA"
    assert cutout.getpixel((0, 0))[3] == 0


def convert_to_picture(image):
    return Image.fromarray(convert.to_levels(image.numpy()))


def test_out_of_memory_is_told_as_such():
    from rembg_sessions.core.errors import ModelMemoryError

    with pytest.raises(ModelMemoryError, match="too large"):
        memory.raise_as_comfy_does(ModelMemoryError("too large"))


def test_nodes_register_without_onnxruntime():
    program = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "import rembg_sessions, torch\n"
        "nodes = rembg_sessions.NODE_CLASS_MAPPINGS\n"
        "assert len(nodes) == 9, nodes\n"
        "for node in nodes.values(): node.INPUT_TYPES()\n"
        "try: nodes['RemBGRemove']().execute(torch.zeros(1, 8, 8, 3))\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pip install" in done.stdout
    assert "onnxruntime" in done.stdout


def test_the_backdrop_session_has_its_options():
    node = nodes.NODE_CLASS_MAPPINGS["RemBGBackdropSession"]()
    y, x = np.mgrid[:120, :120] + 0.5
    distance = np.hypot(y - 60, x - 60)
    ring = (distance < 40) & (distance > 15)
    picture = np.where(ring[..., None], np.float32((0.8, 0.1, 0.1)), np.float32(0.9))
    image = torch.from_numpy(picture[None].astype(np.float32))

    def mask(**options):
        values = {name: row[1]["default"] for name, row in node.INPUT_TYPES()["required"].items()}
        (session,) = node.execute(**{**values, **options})
        return MASK.execute(image, session=session)[0][0]

    assert mask()[60, 60] == 0 and mask()[60, 35] == 1
    assert mask(holes=False)[60, 60] == 1
    with pytest.raises(LowConfidenceError):
        noise = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
        MASK.execute(noise, session=node.execute(0, 0, False, True, True)[0])


# -- several masks for an image ---------------------------------------------------------------


def test_several_masks_of_one_image():
    masks = torch.zeros(3, H, W)
    for i in range(3):
        masks[i, 5:15, 8 * i : 8 * i + 10] = 1
    refined, cutouts, _ = MATTING.execute(images(), mask=masks, method="guided")
    assert (len(refined), len(cutouts)) == (3, 3)
    shown, _ = BACKGROUND.execute(images(), mask=masks)
    for i in range(3):
        alone, _ = BACKGROUND.execute(images(), mask=masks[i : i + 1])
        assert torch.equal(shown[i], alone[0])
    # those of the first image come first
    two = images(2)
    shown, _ = BACKGROUND.execute(two, mask=masks.repeat(2, 1, 1))
    assert len(shown) == 6
    assert torch.equal(shown[4][masks[1] == 1], two[1][masks[1] == 1])
    for node in (MATTING, BACKGROUND):
        with pytest.raises(ImageError, match="3 masks for 2 images"):
            node.execute(two, mask=masks)


def test_masks_with_a_last_axis():
    mask = torch.from_numpy(ramp_alpha())[None]
    expected, _ = BACKGROUND.execute(images(), mask=mask)
    for shape in ((1, H, W, 1), (1, 1, H, W), (H, W)):
        shown, _ = BACKGROUND.execute(images(), mask=mask.reshape(shape))
        assert torch.equal(shown, expected)
