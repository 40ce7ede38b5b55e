"""The table of models, and how a model is found by name."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import pytest

from rembg_sessions.core import BaseSession, get_model, sessions, sessions_class, sessions_names
from rembg_sessions.core.errors import UnknownModelError
from rembg_sessions.core.registry.models import MODELS
from rembg_sessions.core.registry.spec import Output

# What saved workflows of ComfyUI_essentials hold.
CLASSIC = [
    "u2net: general purpose",
    "u2netp: lightweight general purpose",
    "u2net_human_seg: human segmentation",
    "u2net_cloth_seg: cloths Parsing",
    "silueta: very small u2net",
    "isnet-general-use: general purpose",
    "isnet-anime: anime illustrations",
    "sam: general purpose",
]

# Names by which the API of rembg-like programs knows models.
OTHER_NAMES = {
    "birefnet_general": "birefnet-general",
    "birefnet_general_lite": "birefnet-general-lite",
    "birefnet_portrait": "birefnet-portrait",
    "birefnet_dis": "birefnet-dis",
    "birefnet_hrsod": "birefnet-hrsod",
    "birefnet_cod": "birefnet-cod",
    "birefnet_massive": "birefnet-massive",
    "dis_anime": "isnet-anime",
    "dis_general_use": "isnet-general-use",
    "bria_rmbg": "bria-rmbg",
    "u2net-human-seg": "u2net_human_seg",
    "U2Net": "u2net",
    " u2netp ": "u2netp",
    "sam_vit_b_01ec64": "sam",
    "sam_vit_l_0b3195": "sam-vit-l",
    "sam_vit_h_4b8939": "sam-vit-h",
    **{choice: choice.split(":")[0] for choice in CLASSIC},
}


def files(spec):
    """All files of a model, those that are joined to another one included."""
    for file in spec.weights:
        yield file
        yield from file.parts


# -- rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_rows(spec):
    assert re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", spec.name)
    assert spec.label and ":" not in spec.label and spec.choice == f"{spec.name}: {spec.label}"
    assert spec.session_class.isidentifier() and "Session" in spec.session_class
    assert spec.good_for.endswith(".")
    assert spec.licence
    assert "NC" not in spec.licence or spec.commercial is False
    assert all(0 <= value <= 1 for value in (*spec.mean, *spec.std)) and min(spec.std) > 0
    if spec.size_hw is None:
        assert spec.short_side or spec.output in (Output.SAM, Output.BACKDROP)
    else:
        assert min(spec.size_hw) >= 320
    if spec.output in (Output.LABELS, Output.SAM):
        assert not spec.min_max


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_files(spec):
    assert bool(spec.weights) != (spec.custom or spec.output is Output.BACKDROP)
    if spec.output is Output.SAM:
        encoder, decoder = [file.file for file in spec.weights if file.file.endswith(".onnx")]
        assert "encoder" in encoder and "decoder" in decoder
    for file in files(spec):
        assert re.fullmatch(r"[\w.-]+\.(onnx|bin)", file.file)
        if file.parts:
            assert not (file.url or file.hub or file.sha256 or file.md5)
            continue
        assert file.url or file.hub
        assert file.sha256 or file.md5
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.md5 is None or re.fullmatch(r"[0-9a-f]{32}", file.md5)
        assert file.size is None or file.size > 0
        if file.url:
            url = urlsplit(file.url)
            assert (url.scheme, url.netloc) == ("https", "github.com")
            assert url.path.endswith((".onnx", ".bin"))
        for source in file.hub:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.repo)
            assert source.path.endswith(".onnx") and not source.path.startswith("/")
            assert source.revision is None or re.fullmatch(r"[0-9a-f]{40}", source.revision)


def test_nothing_occurs_twice():
    def unique(values):
        values = list(values)
        return len(set(values)) == len(values)

    assert unique(name.replace("_", "-") for spec in MODELS for name in (spec.name, *spec.aliases))
    assert unique(spec.session_class for spec in MODELS)
    assert unique(spec.choice for spec in MODELS)
    assert unique(file.file for spec in MODELS for file in files(spec))
    hashes = [file.sha256 or file.md5 for spec in MODELS for file in files(spec)]
    assert unique(value for value in hashes if value)


def test_the_classic_choices_are_those_of_saved_workflows():
    choices = [spec.choice for spec in MODELS]
    assert [choice for choice in choices if choice in CLASSIC] == CLASSIC


def test_non_commercial_models_are_marked():
    assert [spec.name for spec in MODELS if spec.commercial is False] == ["bria-rmbg"]


def test_terms_of_what_a_network_was_trained_on_are_said():
    told = {spec.name for spec in MODELS if "DIS5K" in spec.licence}
    general = {spec.name for spec in MODELS if spec.name.startswith("birefnet-general")}
    assert told == general | {f"birefnet-{name}" for name in ("dis", "hr", "massive", "toonout")}
    assert all(get_model(name).commercial is None for name in told)


# -- names --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "expected"), OTHER_NAMES.items())
def test_other_names(name, expected):
    assert get_model(name).name == expected


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_every_form_of_a_name(spec):
    for name in (spec.name, *spec.aliases):
        for form in (name, name.replace("-", "_"), name.replace("_", "-"), name.upper()):
            assert get_model(form) is spec
    assert get_model(spec.choice) is spec


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("u2nett", "Did you mean u2net"),
        ("birefnet", "Did you mean birefnet-general or"),
        ("isnet", "Did you mean isnet-general-use or isnet-anime"),
        ("zzzz", f"There are {len(MODELS)}; u2net is"),
        ("", "Did you mean u2net"),
    ],
)
def test_unknown_names(name, hint):
    with pytest.raises(UnknownModelError) as caught:
        get_model(name)
    assert isinstance(caught.value, ValueError)
    assert f"Unknown model {name!r}" in str(caught.value)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 120


# -- sessions -----------------------------------------------------------------------------


def test_a_session_class_for_every_row():
    assert sessions_names == list(sessions) == [spec.name for spec in MODELS]
    assert sessions_class == list(sessions.values())
    for spec in MODELS:
        session_class = sessions[spec.name]
        assert issubclass(session_class, BaseSession)
        assert session_class.__name__ == spec.session_class
        assert session_class.spec is spec
        assert session_class.name() == spec.name


def test_class_methods(home, monkeypatch, network):
    assert BaseSession.u2net_home() == str(home)
    assert not BaseSession.checksum_disabled()
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "")
    assert BaseSession.checksum_disabled()
    path = network("u2net.onnx")
    assert sessions["u2net"].download_models() == str(path)
    assert sessions["dis_custom"].download_models(model_path=path) == str(path)
    encoder, decoder = (network(file.file) for file in get_model("mobile-sam").weights)
    assert sessions["mobile-sam"].download_models() == (str(encoder), str(decoder))


# -- the shared facts -----------------------------------------------------------------------


@pytest.fixture
def facts(shared):
    return json.loads((shared / "models" / "registry.json").read_text("utf-8"))


def check_file(file, fact):
    assert file.url == fact.get("url")
    assert file.size == fact.get("size")
    assert file.sha256 == fact.get("sha256")
    if file.sha256 is None:
        assert file.md5 == fact.get("md5")
    hub = [{"repo": h.repo, "revision": h.revision, "path": h.path} for h in file.hub]
    assert hub == fact.get("hf", [])


def check_recipe(spec, fact):
    size = fact["input_hw"]
    if isinstance(size, list):
        assert spec.size_hw == tuple(size)
    else:
        assert spec.size_hw is None and f"short side {spec.short_side}" in size
    assert (spec.mean, spec.std) == (tuple(fact["mean"]), tuple(fact["std"]))
    assert (spec.output.value, spec.min_max) == (fact["output"], fact["min_max"])
    assert spec.licence.partition(", but")[0] == fact.get("licence", spec.licence)
    assert spec.label == fact.get("label", spec.label)


def test_rows_are_the_shared_facts(facts):
    for fact in facts["models"]:
        spec = get_model(fact["name"])
        assert spec.session_class == fact["session_class"]
        assert all(get_model(alias) is spec for alias in fact["aliases"])
        check_recipe(spec, fact)
        check_file(spec.weights[0], fact)


def test_custom_rows_are_the_shared_facts(facts):
    for fact in facts["custom"]:
        spec = get_model(fact["name"])
        assert (spec.custom, spec.session_class) == (True, fact["session_class"])
        check_recipe(spec, fact)


def test_further_rows_are_the_shared_facts(facts):
    uncertain = {"ben2-base"}  # its sources disagree about the values it was trained on
    for fact in facts["worth_adding"]:
        if fact["name"] in uncertain:
            continue
        spec = get_model(fact["name"])
        check_recipe(spec, fact)
        check_file(spec.weights[0], fact)


def test_sam_rows_are_the_shared_facts(facts):
    ours = {file.file: file for spec in MODELS if spec.output is Output.SAM for file in files(spec)}
    for name, fact in facts["sam"]["files"].items():
        check_file(ours.pop(name), fact)
    mobile = facts["sam"]["mobile_sam"]
    for file in get_model("mobile-sam").weights:
        fact = mobile["files"][file.file]
        hub = {"repo": mobile["repo"], "revision": mobile["revision"], "path": file.file}
        check_file(ours.pop(file.file), {**fact, "hf": [hub]})
    assert list(ours) == ["sam_vit_h_4b8939.encoder_data.bin"]
