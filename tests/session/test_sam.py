"""The prompt models, compared with the SAM session of the installed rembg.

Two tiny graphs stand in for the networks. Their mask depends on every number they are fed
with: the brightness of the picture, the place and the label of every mark (the one that
ends the list too) and the size asked for.
"""

from __future__ import annotations

import platform

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, checker, helper, numpy_helper, save
from PIL import Image

from rembg_sessions.core.errors import ImageError, ModelRunError
from rembg_sessions.core.session import sam

rembg_sam = pytest.importorskip("rembg.sessions.sam", reason="rembg 2.0.86 needs Python 3.11")

FRAME = (684, 1024)
# Compilers of other processors fuse products and sums: the last bit may differ there.
EXACT = platform.machine() in ("x86_64", "AMD64")

POINT = [{"type": "point", "label": 1, "data": [0.31, 0.4]}]
POINTS = [
    {"type": "point", "label": 1, "data": [0.31, 0.4]},
    {"type": "point", "label": 0, "data": [0.7, 0.55]},
    {"type": "point", "label": 1, "data": [0.92, 0.13]},
]
RECTANGLE = [{"type": "rectangle", "label": 1, "data": [0.2, 0.1, 0.73, 0.9]}]
MIXED = [*RECTANGLE, *POINTS]
SIZES = [(1600, 900), (640, 480), (300, 701), (1024, 684), (1500, 200), (7, 5), (1, 1)]


def picture(width, height, seed=0):
    """Smooth shapes, so that a shift of half a pixel moves borders, and a white band."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    pixels = np.array(small.resize((width, height), Image.Resampling.BICUBIC))
    pixels[: height // 4, width // 2 :] = 255
    return Image.fromarray(pixels)


def place(prompt, width, height):
    """Turn shares of the width and height into pixels."""
    return [
        {**mark, "data": [v * s for v, s in zip(mark["data"], [width, height] * 2, strict=False)]}
        for mark in prompt
    ]


def constant(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def write(path, nodes, inputs, outputs, constants):
    def infos(shapes):
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes
        ]

    graph = helper.make_graph(nodes, "g", infos(inputs), infos(outputs), constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    checker.check_model(model, full_check=True)
    save(model, str(path))
    return path


def write_encoder(path):
    """(H, W, 3) -> mean brightness 0..1 in the corner of 1024x1024, as SAM pads it."""
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["picture"], ["mean"], axes=[2], keepdims=0),
        node("Div", ["mean", "full"], ["grey"]),
        node("Shape", ["grey"], ["shape"]),
        node("Sub", ["side", "shape"], ["missing"]),
        node("Concat", ["none", "missing"], ["pads"], axis=0),
        node("Pad", ["grey", "pads"], ["padded"]),
        node("Unsqueeze", ["padded", "axes"], ["embedding"]),
    ]
    constants = [
        constant("full", np.float32(255)),
        constant("side", np.array([1024, 1024], np.int64)),
        constant("none", np.array([0, 0], np.int64)),
        constant("axes", np.array([0, 1], np.int64)),
    ]
    inputs, outputs = [("picture", ["h", "w", 3])], [("embedding", [1, 1, 1024, 1024])]
    return write(path, nodes, inputs, outputs, constants)


def write_decoder(path, masks=1):
    """Brightness plus a hill per mark; resized to ``orig_im_size``.

    A hill is (label + 1/4) * exp(-d^2 / 120^2), d the distance from the mark in the frame.
    Of several masks the second one holds what is dark.
    """
    node = helper.make_node
    axis = np.arange(1024, dtype=np.float32)
    nodes = [
        node("Split", ["point_coords", "halves"], ["x3", "y3"], axis=2),
        node("Unsqueeze", ["x3", "last"], ["x"]),  # (1, N, 1, 1)
        node("Unsqueeze", ["y3", "last"], ["y"]),
        node("Sub", ["columns", "x"], ["dx"]),  # (1, N, 1, 1024)
        node("Sub", ["rows", "y"], ["dy"]),  # (1, N, 1024, 1)
        node("Mul", ["dx", "dx"], ["dx2"]),
        node("Mul", ["dy", "dy"], ["dy2"]),
        node("Add", ["dx2", "dy2"], ["d2"]),
        node("Div", ["d2", "radius2"], ["far"]),
        node("Neg", ["far"], ["exponent"]),
        node("Exp", ["exponent"], ["shape"]),
        node("Add", ["point_labels", "quarter"], ["flat_height"]),
        node("Unsqueeze", ["flat_height", "label_axes"], ["height"]),
        node("Mul", ["height", "shape"], ["hill"]),
        node("ReduceSum", ["hill", "axis1"], ["hills"], keepdims=1),
        node("Add", ["hills", "image_embeddings"], ["sum"]),
        node("ReduceSum", ["mask_input"], ["prior"], keepdims=0),
        node("Add", ["sum", "prior"], ["with_prior"]),
        node("Add", ["with_prior", "has_mask_input"], ["level"]),
        node("Mul", ["level", "signs"], ["signed"]),  # (1, K, 1024, 1024)
        node("Sub", ["signed", "thresholds"], ["low_res_masks"]),
        # crop what the picture covers, then resize, as SAM's decoder does
        node("ReduceMax", ["orig_im_size"], ["longest"], keepdims=0),
        node("Div", ["side", "longest"], ["scale"]),
        node("Mul", ["orig_im_size", "scale"], ["scaled"]),
        node("Add", ["scaled", "half"], ["rounded"]),
        node("Cast", ["rounded"], ["crop"], to=TensorProto.INT64),
        node("Slice", ["low_res_masks", "zeros", "crop", "last_axes"], ["cropped"]),
        node("Cast", ["orig_im_size"], ["size"], to=TensorProto.INT64),
        node("Concat", ["batch", "size"], ["sizes"], axis=0),
        node("Resize", ["cropped", "", "", "sizes"], ["masks"], mode="linear"),
        node("ReduceMax", ["low_res_masks"], ["iou_predictions"], axes=[2, 3], keepdims=0),
    ]
    thresholds = np.array([0.9, -0.3, 0.8], np.float32)[:masks].reshape(1, -1, 1, 1)
    signs = np.array([1, -1, 1], np.float32)[:masks].reshape(1, -1, 1, 1)
    constants = [
        constant("halves", np.array([1, 1], np.int64)),
        constant("last", np.array([3], np.int64)),
        constant("columns", axis.reshape(1, 1, 1, -1)),
        constant("rows", axis.reshape(1, 1, -1, 1)),
        constant("radius2", np.float32(120**2)),
        constant("quarter", np.float32(0.25)),
        constant("label_axes", np.array([2, 3], np.int64)),
        constant("axis1", np.array([1], np.int64)),
        constant("thresholds", thresholds),
        constant("signs", signs),
        constant("side", np.float32(1024)),
        constant("half", np.float32(0.5)),
        constant("zeros", np.array([0, 0], np.int64)),
        constant("last_axes", np.array([2, 3], np.int64)),
        constant("batch", np.array([1, masks], np.int64)),
    ]
    inputs = [
        ("image_embeddings", [1, 1, 1024, 1024]),
        ("point_coords", [1, "n", 2]),
        ("point_labels", [1, "n"]),
        ("mask_input", [1, 1, 256, 256]),
        ("has_mask_input", [1]),
        ("orig_im_size", [2]),
    ]
    outputs = [
        ("masks", [1, masks, "h", "w"]),
        ("iou_predictions", [1, masks]),
        ("low_res_masks", [1, masks, 1024, 1024]),
    ]
    return write(path, nodes, inputs, outputs, constants)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sam")
    return {
        "encoder": write_encoder(folder / "encoder.onnx"),
        1: write_decoder(folder / "decoder1.onnx", 1),
        3: write_decoder(folder / "decoder3.onnx", 3),
    }


class Recorder:
    """An ONNX session that remembers what it was fed with."""

    def __init__(self, path):
        self.session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.feed = {}

    def get_inputs(self):
        return self.session.get_inputs()

    def run(self, _names, feed):
        self.feed = dict(feed)
        return self.session.run(None, self.feed)

    def first(self, feed):
        return self.run(None, feed)[0]


@pytest.fixture(scope="module")
def graphs(files):
    return {name: Recorder(path) for name, path in files.items()}


def rembg_session(files, graphs, masks):
    """rembg's own session over the tiny graphs, without its download."""

    class Offline(rembg_sam.SamSession):
        @classmethod
        def download_models(cls, *args, **kwargs):
            return files["encoder"], files[masks]

    session = Offline("sam", ort.SessionOptions())
    assert session.encoder.get_inputs()[0].name == "picture"
    session.encoder, session.decoder = graphs["encoder"], graphs[masks]
    return session


def run_ours(graphs, image, prompt=None, *, masks=1, frame_hw=FRAME):
    encoder, decoder = graphs["encoder"].first, graphs[masks].first
    return sam.run_sam(encoder, decoder, image, prompt, encoder_input="picture", frame_hw=frame_hw)


def inside(image):
    """Rows and columns before the strip that rembg never marks."""
    scale = min(1024 / image.width, 684 / image.height)
    last_y, last_x = ((side - 1) / scale for side in FRAME)
    return np.s_[: max(1, int(last_y)), : max(1, int(last_x))]


def compare(files, graphs, image, prompt, masks):
    """Run both; assert that the graphs saw the same numbers and the masks are the same."""
    options = {} if prompt is None else {"sam_prompt": prompt}
    (theirs,) = rembg_session(files, graphs, masks).predict(image, **options)
    their_picture = graphs["encoder"].feed["picture"]
    their_feed = graphs[masks].feed

    (alpha,) = run_ours(graphs, image, prompt, masks=masks)
    our_picture = graphs["encoder"].feed["picture"]
    our_feed = graphs[masks].feed

    assert our_picture.dtype == np.float32
    assert np.abs(our_picture - their_picture).max() <= (0 if EXACT else 1)
    assert our_feed.keys() == their_feed.keys()
    for name in our_feed.keys() - {"image_embeddings"}:
        assert our_feed[name].dtype == their_feed[name].dtype, name
        np.testing.assert_array_equal(our_feed[name], their_feed[name], err_msg=name)

    assert alpha.dtype == np.float32
    assert alpha.shape == (image.height, image.width)
    expected = np.asarray(theirs, np.float32) / 255
    differing = int((alpha != expected)[inside(image)].sum())
    assert differing <= (0 if EXACT else alpha.size // 10_000), differing
    return alpha


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("masks", [1, 3])
def test_same_mask_as_rembg(files, graphs, size, masks):
    image = picture(*size)
    alpha = compare(files, graphs, image, place(MIXED, *size), masks)
    if min(size) > 5:
        assert 0.02 < alpha.mean() < 0.98  # an empty mask would agree with anything


@pytest.mark.parametrize(
    "prompt", [None, POINT, POINTS, RECTANGLE], ids=["centre", "point", "points", "rectangle"]
)
def test_every_kind_of_prompt(files, graphs, prompt):
    image = picture(701, 400, seed=3)
    prompt = prompt and place(prompt, *image.size)
    alpha = compare(files, graphs, image, prompt, masks=1)
    assert 0.05 < alpha.mean() < 0.95


@pytest.mark.parametrize("size", [(20000, 10), (10, 20000), (20000, 1)])
def test_long_thin_pictures(files, graphs, size):
    compare(files, graphs, picture(*size), None, masks=1)


def test_grey_and_transparent_pictures(files, graphs):
    image = picture(90, 61)
    compare(files, graphs, image.convert("L"), None, masks=1)
    compare(files, graphs, image.convert("RGBA"), None, masks=1)


def test_random_sizes_give_the_same_pixels():
    """Both resamplings against rembg's, on values where a last bit decides."""
    rng = np.random.default_rng(7)
    for _ in range(12):
        width, height = (int(v) for v in rng.integers(1, 1400, 2))
        image = picture(width, height, seed=width)
        array, (scale, _) = sam.encode_input(image)
        matrix = np.array([[scale, 0, 0], [0, scale, 0]])
        expected = rembg_sam.warp_affine(np.array(image), matrix, FRAME)
        assert np.abs(array - expected).max() <= (0 if EXACT else 1), (width, height)

        # sums of -1, 0 and 1 are often 0 but for rounding
        logits = rng.integers(-1, 2, FRAME).astype(np.float32)
        inverse = np.linalg.inv(np.diag([scale, scale, 1]))[:2]
        expected = rembg_sam.warp_affine(logits, inverse, (height, width)) > 0
        alpha = sam.masks_to_alpha(logits[None, None], (scale, scale), (height, width))
        differing = (alpha != expected)[inside(image)].sum()
        assert differing <= (0 if EXACT else alpha.size // 100), (width, height)


def test_mask_reaches_the_last_pixel(graphs):
    """rembg's masks leave a strip at the right or bottom of pictures larger than the frame."""
    for size in ((4096, 2730), (1000, 4000)):
        scale = min(1024 / size[0], 684 / size[1])
        alpha = sam.masks_to_alpha(np.ones((1, 1, *FRAME)), (scale, scale), size[::-1])
        assert alpha.min() == 1


# MobileSAM: no frame


def test_frameless_picture_is_resized_to_the_longer_side():
    for size, expected in [
        ((1600, 900), (576, 1024)),
        ((300, 701), (1024, 438)),
        ((701, 1000), (1024, 718)),
        ((1000, 701), (718, 1024)),
        ((1024, 333), (333, 1024)),
        ((1, 1), (1024, 1024)),
        ((20000, 10), (1, 1024)),
    ]:
        array, scale_xy = sam.encode_input(picture(*size), None)
        assert array.shape == (*expected, 3)
        assert array.dtype == np.float32
        assert scale_xy == (expected[1] / size[0], expected[0] / size[1])
    array, _ = sam.encode_input(picture(1024, 333), None)
    np.testing.assert_array_equal(array, np.asarray(picture(1024, 333)))
    ramp, _ = sam.encode_input(Image.fromarray(np.uint8([[[0] * 3, [255] * 3]])), None)
    assert len(np.unique(ramp)) == 256


@pytest.mark.parametrize("size", [(1600, 900), (300, 701), (40, 30)])
def test_frameless_mask_lies_where_the_marks_are(graphs, size):
    """A black picture: the mask is a disc of known radius around the point."""
    width, height = size
    x, y = 0.7 * width, 0.4 * height
    prompt = [{"type": "point", "label": 1, "data": [x, y]}]
    (alpha,) = run_ours(graphs, Image.new("RGB", size), prompt, frame_hw=None)
    assert alpha.shape == (height, width)
    feed = graphs[1].feed
    np.testing.assert_array_equal(feed["orig_im_size"], [height, width])

    scale = 1024 / max(size)
    rows, columns = np.mgrid[:height, :width]
    # pixel centres: the decoder's resize maps pixel i to (i + 0.5) * scale - 0.5
    u, v = (columns + 0.5) * scale - 0.5, (rows + 0.5) * scale - 0.5

    def hill(centre_x, centre_y):
        return np.exp(-((u - centre_x) ** 2 + (v - centre_y) ** 2) / 120**2)

    level = 1.25 * hill(x * scale, y * scale) - 0.75 * hill(0, 0) - 0.9  # the end mark is at 0, 0
    sure = np.abs(level) > 0.02  # the borders move by the rounding of the size
    assert sure.mean() > 0.9
    assert 0 < alpha.mean() < 0.3
    np.testing.assert_array_equal(alpha[sure], (level > 0)[sure])


def test_frameless_picture_that_is_too_thin():
    with pytest.raises(ImageError, match=r"20001x10 .* at most 2000 times"):
        sam.encode_input(Image.new("RGB", (20001, 10)), None)


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_picture_without_pixels(size):
    for frame_hw in (FRAME, None):
        with pytest.raises(ImageError, match="at least one pixel"):
            sam.encode_input(Image.new("RGB", size), frame_hw)


# The decoder's answer


@pytest.mark.parametrize(
    "answer, message",
    [
        (np.zeros((684, 1024)), r"\(684, 1024\); expected"),
        (np.zeros((1, 0, 684, 1024)), "expected one or more masks"),
        (np.zeros((1, 1, 256, 256)), r"\(1, 1, 256, 256\); expected"),
        (np.full((1, 1, 684, 1024), np.nan), "NaN or infinity"),
    ],
)
def test_answer_that_is_no_mask(graphs, answer, message):
    with pytest.raises(ModelRunError, match=message):
        sam.run_sam(
            graphs["encoder"].first,
            lambda _feed: answer,
            picture(30, 20),
            encoder_input="picture",
        )


def test_masks_are_joined():
    masks = np.full((1, 2, 3, 4), -1, np.float32)
    masks[0, 0, 0, 0] = masks[0, 1, 2, 3] = 5
    expected = np.zeros((3, 4), np.float32)
    expected[0, 0] = expected[2, 3] = 1
    np.testing.assert_array_equal(sam.masks_to_alpha(masks, None, (3, 4)), expected)
