import itertools

import pytest

from rembg_sessions.core.errors import OptionError
from rembg_sessions.core.runtime.doctor import doctor_command
from rembg_sessions.core.runtime.providers import (
    AUTO,
    CHOICES,
    PROVIDERS,
    choose,
    display_name,
    missing_message,
)

CPU, CUDA, TRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
ROCM, DML, OPENVINO = "ROCMExecutionProvider", "DmlExecutionProvider", "OpenVINOExecutionProvider"
COREML, AZURE = "CoreMLExecutionProvider", "AzureExecutionProvider"
MIGRAPHX = "MIGraphXExecutionProvider"

# what get_available_providers() says of each package
CPU_WHEEL = [AZURE, CPU]
GPU_WHEEL = [TRT, CUDA, CPU]
DML_WHEEL = [DML, CPU]
OPENVINO_WHEEL = [OPENVINO, CPU]
MAC_WHEEL = [COREML, AZURE, CPU]
ROCM_WHEEL = [MIGRAPHX, ROCM, CPU]
OLD_ROCM_WHEEL = [ROCM, CPU]
WHEELS = [CPU_WHEEL, GPU_WHEEL, DML_WHEEL, OPENVINO_WHEEL, MAC_WHEEL, ROCM_WHEEL, OLD_ROCM_WHEEL]


def names(choice):
    return [entry if isinstance(entry, str) else entry[0] for entry in choice.providers]


def test_names():
    listed = "Auto CPU CUDA ROCM DirectML OpenVINO CoreML Tensorrt Azure MIGraphX"
    assert " ".join(CHOICES) == listed
    assert set(PROVIDERS.values()) == {
        *(CPU, CUDA, TRT, ROCM, DML, OPENVINO, COREML, AZURE, MIGRAPHX),
    }
    for short, ort in PROVIDERS.items():
        assert display_name(ort) == short
    assert display_name("QNNExecutionProvider") == "QNN"


def test_names_are_those_of_onnxruntime():
    import onnxruntime

    known = set(onnxruntime.get_all_providers())
    assert set(PROVIDERS.values()) - known <= {ROCM}  # left onnxruntime in 1.23


ALGORITHM = "cudnn_conv_algo_search"


@pytest.mark.parametrize(
    ("available", "runs_on", "first"),
    [
        (CPU_WHEEL, "cpu", CPU),
        (CPU_WHEEL, "cuda", CPU),
        (CPU_WHEEL, None, CPU),
        (GPU_WHEEL, "cuda", CUDA),
        (GPU_WHEEL, "CUDA", CUDA),
        (GPU_WHEEL, "cpu", CPU),
        (GPU_WHEEL, None, CPU),
        (GPU_WHEEL, "rocm", CPU),
        (GPU_WHEEL, "directml", CPU),
        (GPU_WHEEL, "npu", CPU),
        (DML_WHEEL, "directml", DML),
        (DML_WHEEL, "cuda", DML),
        (DML_WHEEL, "rocm", DML),
        (DML_WHEEL, "xpu", DML),
        (DML_WHEEL, "cpu", CPU),
        (DML_WHEEL, None, CPU),
        (OPENVINO_WHEEL, "cpu", OPENVINO),
        (OPENVINO_WHEEL, None, OPENVINO),
        (OPENVINO_WHEEL, "cuda", OPENVINO),
        (OPENVINO_WHEEL, "xpu", OPENVINO),
        (MAC_WHEEL, "mps", COREML),
        (MAC_WHEEL, "cpu", CPU),
        (ROCM_WHEEL, "rocm", MIGRAPHX),
        (OLD_ROCM_WHEEL, "rocm", ROCM),
        (ROCM_WHEEL, "cpu", CPU),
        ([CPU], "mps", CPU),
        ([TRT, CPU], "cuda", CPU),
    ],
)
@pytest.mark.parametrize("request_", [None, AUTO, "auto", ["Auto"], []])
def test_auto(request_, available, runs_on, first):
    choice = choose(request_, available, runs_on)
    assert names(choice) == list(dict.fromkeys([first, CPU]))
    assert not choice.explicit
    assert choice.missing == ()


def test_cpu_is_last_exactly_once_and_only_the_available_is_tried():
    hosts = ["cuda", "rocm", "mps", "directml", "xpu", "cpu", None]
    requests = [None, *PROVIDERS, [CUDA, CPU], [TRT, CUDA], [CPU, CUDA]]
    for available, runs_on, request_ in itertools.product(WHEELS, hosts, requests):
        chosen = names(choose(request_, available, runs_on))
        assert chosen[-1] == CPU
        assert chosen.count(CPU) == 1
        assert set(chosen) <= set(available)
        if request_ is None:
            assert not {TRT, AZURE} & set(chosen)


def asked_for(choice):
    """Providers with the options that the request or the device brought, without our defaults."""
    result = []
    for entry in choice.providers:
        name, options = (entry, {}) if isinstance(entry, str) else entry
        options = {key: value for key, value in options.items() if key != ALGORITHM}
        result.append((name, options) if options else name)
    return tuple(result)


@pytest.mark.parametrize(
    ("request_", "available", "expected", "missing"),
    [
        ("CPU", GPU_WHEEL, (CPU,), ()),
        ("CUDA", GPU_WHEEL, (CUDA, CPU), ()),
        ("cuda", GPU_WHEEL, (CUDA, CPU), ()),
        (CUDA, GPU_WHEEL, (CUDA, CPU), ()),
        ("directml", DML_WHEEL, (DML, CPU), ()),
        ("dml", DML_WHEEL, (DML, CPU), ()),
        (DML.upper(), DML_WHEEL, (DML, CPU), ()),
        ("TensorRT", GPU_WHEEL, (TRT, CUDA, CPU), ()),
        ("CUDA", CPU_WHEEL, (CPU,), (CUDA,)),
        ("Azure", CPU_WHEEL, (AZURE, CPU), ()),
        ([CUDA, CPU], GPU_WHEEL, (CUDA, CPU), ()),
        ([CUDA, CPU], CPU_WHEEL, (CPU,), (CUDA,)),
        ([CUDA, CUDA], GPU_WHEEL, (CUDA, CPU), ()),
        ([TRT, CPU], GPU_WHEEL, (TRT, CPU), ()),
        ([TRT, DML, CUDA], GPU_WHEEL, (TRT, CUDA, CPU), (DML,)),
        ((CUDA, "cpu"), GPU_WHEEL, (CUDA, CPU), ()),
        (["CPU", "CUDA"], GPU_WHEEL, (CPU,), ()),
        (["CPU", "CUDA"], CPU_WHEEL, (CPU,), ()),
        ([(CUDA, {"device_id": 1}), CPU], GPU_WHEEL, ((CUDA, {"device_id": 1}), CPU), ()),
        ([CUDA, (CPU, {"a": "b"})], GPU_WHEEL, (CUDA, (CPU, {"a": "b"})), ()),
        (
            ["QNNExecutionProvider"],
            ["QNNExecutionProvider", CPU],
            ("QNNExecutionProvider", CPU),
            (),
        ),
    ],
)
@pytest.mark.parametrize("runs_on", ["cpu", "cuda", None])
def test_explicit(request_, available, expected, missing, runs_on):
    choice = choose(request_, available, runs_on)
    assert asked_for(choice) == expected
    assert choice.explicit
    assert choice.missing == missing


@pytest.mark.parametrize(
    ("request_", "available", "runs_on", "expected"),
    [
        (None, GPU_WHEEL, "cuda", ((CUDA, {"device_id": 2}), CPU)),
        ("CUDA", GPU_WHEEL, "cuda", ((CUDA, {"device_id": 2}), CPU)),
        ("Tensorrt", GPU_WHEEL, "cuda", ((TRT, {"device_id": 2}), (CUDA, {"device_id": 2}), CPU)),
        (None, ROCM_WHEEL, "rocm", ((MIGRAPHX, {"device_id": 2}), CPU)),
        (None, DML_WHEEL, "directml", ((DML, {"device_id": 2}), CPU)),
        (None, MAC_WHEEL, "mps", (COREML, CPU)),
        (None, OPENVINO_WHEEL, "cpu", (OPENVINO, CPU)),  # refuses device_id
        (None, OPENVINO_WHEEL, "xpu", ((OPENVINO, {"device_type": "GPU.2"}), CPU)),
        ("CPU", GPU_WHEEL, "cuda", (CPU,)),
        ([(CUDA, {"device_id": 5})], GPU_WHEEL, "cuda", ((CUDA, {"device_id": 5}), CPU)),
        (
            [(CUDA, {"use_tf32": 0})],
            GPU_WHEEL,
            "cuda",
            ((CUDA, {"device_id": 2, "use_tf32": 0}), CPU),
        ),
    ],
)
def test_device_id(request_, available, runs_on, expected):
    assert asked_for(choose(request_, available, runs_on, device_id=2)) == expected


@pytest.mark.parametrize("request_", [None, "CUDA", "Tensorrt", [CUDA, CPU]])
def test_cuda_does_not_try_out_every_algorithm(request_):
    providers = choose(request_, GPU_WHEEL, "cuda").providers
    assert (CUDA, {ALGORITHM: "HEURISTIC"}) in providers
    own = [(CUDA, {ALGORITHM: "EXHAUSTIVE"})]
    assert choose(own, GPU_WHEEL, "cuda").providers[0] == own[0]


def test_openvino_is_told_to_use_the_gpu_that_torch_uses():
    assert choose(None, OPENVINO_WHEEL, "xpu").providers[0] == (OPENVINO, {"device_type": "GPU"})
    own = [(OPENVINO, {"device_type": "NPU"})]
    assert choose(own, OPENVINO_WHEEL, "xpu").providers[0] == own[0]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("CUDAA", ["'CUDAA'", "Did you mean CUDA?", "Auto, CPU, CUDA, ROCM, DirectML"]),
        ("open-vino", ["Did you mean OpenVINO?"]),
        ("", ["Unknown provider ''"]),
        ("QNNExecutionProvider", ["Unknown provider"]),
        (["CUDA", "Auto"], ["Auto stands alone"]),
        ([CUDA, 3], ["3 is not a provider"]),
        ([(CUDA,)], ["is not a provider"]),
        ([(CUDA, 1)], ["is not a provider", "(name, options)"]),
        ([None], ["None is not a provider"]),
        (7, ["7 is not a provider"]),
        ({"CUDA": 1}, ["is not a provider"]),
    ],
)
def test_bad_requests_name_the_value_and_what_is_allowed(request_, words):
    with pytest.raises(OptionError) as info:
        choose(request_, GPU_WHEEL, "cuda")
    for word in words:
        assert word in str(info.value)


def test_the_request_is_left_alone():
    options = {"use_tf32": 0}
    choice = choose([(CUDA, options)], GPU_WHEEL, "cuda", device_id=1)
    assert options == {"use_tf32": 0}
    assert choice.providers[0][1] is not options


@pytest.mark.parametrize("short", [name for name in PROVIDERS if name != "CPU"])
def test_missing_message_says_what_to_install(short):
    text = missing_message([PROVIDERS[short]], CPU_WHEEL)
    assert text.startswith(f"{short} was requested, but this onnxruntime has only Azure and CPU")
    assert doctor_command() in text
    assert text.endswith(".")
    packages = {
        "CUDA": "onnxruntime-gpu",
        "Tensorrt": "onnxruntime-gpu",
        "DirectML": "onnxruntime-directml",
        "OpenVINO": "onnxruntime-openvino",
        "MIGraphX": "onnxruntime-migraphx",
    }
    assert packages.get(short, "") in text
    assert ("in place of every other onnxruntime package" in text) == (short in packages)
    if short == "ROCM":
        assert "1.23" in text and "MIGraphX" in text and "DirectML" in text


def test_missing_message_for_several():
    text = missing_message([TRT, COREML], [CPU])
    assert text.startswith("Tensorrt and CoreML were requested, but this onnxruntime has only CPU;")
    assert "macOS" in text and "onnxruntime-gpu" in text
