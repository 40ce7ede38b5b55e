"""What the page may ask of the pack, and who may not."""

from __future__ import annotations

import asyncio
import platform
import re
import threading
import time
from pathlib import Path

import pytest

from rembg_sessions.core.errors import OfflineError, OptionError, WeightsError
from rembg_sessions.core.prepare import cache
from rembg_sessions.core.registry.lookup import get_model
from rembg_sessions.core.registry.models import MODELS
from rembg_sessions.core.runtime.doctor import doctor_command
from rembg_sessions.core.runtime.providers import missing_message
from rembg_sessions.core.weights import removal
from rembg_sessions.core.weights import store as weights

pytest.importorskip("torch", reason="the nodes need torch")
from rembg_sessions.nodes import downloads, host, routes
from rembg_sessions.nodes.foreign import Look

U2NETP = get_model("u2netp")
PAGE = {routes.HEADER: "1", "Host": "127.0.0.1:8188"}


# -- who asks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program
        {"Origin": "http://127.0.0.1:8188"},
        {"Origin": "http://127.0.0.1:8188", "Sec-Fetch-Site": "same-origin"},
        {"Host": "Studio.local", "Origin": "http://studio.local"},
        # a proxy that serves the page under another name; the browser knows better
        {"Origin": "https://comfy.example", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_own_page_and_programs_are_answered(headers):
    assert routes.is_own_page({**PAGE, **headers})


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port or name of the same machine
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8188"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:8189"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "null"},
        {"Host": "studio.local", "Origin": "https://evil.example"},  # no loopback address
    ],
    ids=str,
)
def test_other_pages_are_refused(headers):
    assert not routes.is_own_page({**PAGE, **headers})


def test_without_the_header_everyone_is_refused():
    headers = {"Host": "127.0.0.1:8188", "Origin": "http://127.0.0.1:8188"}
    assert not routes.is_own_page(headers)
    assert not routes.is_own_page({**headers, "Sec-Fetch-Site": "same-origin"})


# -- the list ----------------------------------------------------------------------------


def test_list_tells_licence_size_and_what_is_installed(home, monkeypatch):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    home.mkdir(parents=True)
    (home / "u2netp.onnx").write_bytes(b"by hand")
    rows = {row["name"]: row for row in routes.list_models()["models"]}
    assert list(rows) == [spec.name for spec in MODELS]
    assert rows["u2netp"]["installed"]
    assert not rows["u2net"]["installed"]
    assert rows["u2net"]["size"] == 175_997_641
    assert rows["sam"]["size"] is None
    assert rows["bria-rmbg"]["commercial"] is False
    assert "NC" in rows["bria-rmbg"]["licence"]
    assert rows["backdrop"]["installed"]
    assert not rows["backdrop"]["has_file"]
    assert rows["u2net_custom"]["custom"]
    assert not rows["u2net_custom"]["installed"]
    assert "dis_general_use" in rows["isnet-general-use"]["names"]


def test_list_tells_no_paths(home):
    home.mkdir(parents=True)
    assert str(home.parent) not in repr(routes.list_models())


# -- downloads ---------------------------------------------------------------------------


class Source:
    """Stands in for the core's downloader: works until it is let go."""

    def __init__(self, error: Exception | None = None):
        self.calls, self.error, self.ended = 0, error, threading.Event()

    def __call__(self, spec, *, folders, on_progress):
        self.calls += 1
        on_progress(0, 100)
        while not self.ended.wait(0.01):
            on_progress(50, 100)
        if self.error:
            raise self.error
        return ()


@pytest.fixture
def source(monkeypatch):
    source = Source()
    monkeypatch.setattr(downloads, "ensure", source)
    monkeypatch.setattr(downloads, "PAUSE", 0)
    yield source
    source.ended.set()
    until(lambda: not downloads.running())


def until(ready):
    for _ in range(500):
        if ready():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen within five seconds")


def every(told):
    """Tell without regard to which page."""
    return lambda state, page: told.append(state)


def ends(told):
    return [state["state"] for state in told if state["state"] not in ("running", "stopping")]


def test_parallel_clicks_share_one_download(source):
    told = []
    threads = [
        threading.Thread(target=downloads.start, args=(U2NETP, (), every(told))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: any(state["done"] == 50 for state in told))
    (running,) = downloads.running()
    assert running == {
        "model": "u2netp",
        "state": "running",
        "done": 50,
        "total": 100,
        "message": "",
    }
    source.ended.set()
    until(lambda: ends(told))
    assert ends(told) == ["done"]
    assert source.calls == 1
    assert downloads.running() == []


def test_cancel_stops_it(source):
    told = []
    downloads.start(U2NETP, (), every(told))
    assert downloads.cancel(U2NETP)
    until(lambda: ends(told))
    assert ends(told) == ["cancelled"]
    assert "stopping" in [state["state"] for state in told]
    assert not downloads.cancel(U2NETP)
    assert downloads.running() == []
    assert not downloads.cancel(get_model("u2net"))


def test_asked_for_again_before_it_has_stopped_it_goes_on(monkeypatch, source):
    told, stopping, goes_on = [], threading.Event(), threading.Event()

    def slow_to_stop(spec, *, folders, on_progress):
        source.calls += 1
        try:
            while not source.ended.wait(0.01):
                on_progress(50, 100)
        finally:
            stopping.set()
            goes_on.wait(5)

    monkeypatch.setattr(downloads, "ensure", slow_to_stop)
    downloads.start(U2NETP, (), every(told))
    downloads.cancel(U2NETP)
    assert stopping.wait(5)
    assert downloads.start(U2NETP, (), every(told))["state"] == "running"
    source.ended.set()
    goes_on.set()
    until(lambda: ends(told))
    assert ends(told) == ["done"]
    assert source.calls == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WeightsError("The disk is full: make room."), "The disk is full: make room."),
        (ZeroDivisionError("secret"), "An unexpected error; ComfyUI's log has the details."),
    ],
    ids=["expected", "unexpected"],
)
def test_failure_is_told_in_a_sentence(source, error, said):
    """The pages that asked hear why; every other one, which may be a stranger's, only that."""
    told = []
    source.error = error
    for asker in ("one", "other", "one"):
        downloads.start(U2NETP, (), lambda state, page: told.append((page, state)), asker)
    source.ended.set()
    until(lambda: len([state for _, state in told if state["state"] == "failed"]) == 3)
    assert downloads.running() == []
    why = {page: state["message"] for page, state in told if state["state"] == "failed"}
    assert why == {None: "", "one": said, "other": said}


def test_offline_switch_is_honoured(tmp_path):
    told = []
    downloads.start(U2NETP, (tmp_path,), every(told), "page")  # conftest forbids downloads
    until(lambda: ends(told))
    assert {*ends(told)} == {"failed"}
    until(lambda: told[-1]["message"])
    assert "REMBG_SESSIONS_OFFLINE" in told[-1]["message"]
    with pytest.raises(OfflineError) as error:
        weights.ensure(U2NETP, folders=(tmp_path,))
    assert told[-1]["message"] == str(error.value)


def test_own_files_are_not_downloaded():
    with pytest.raises(OptionError, match="put your own"):
        downloads.start(get_model("u2net_custom"), (), print)
    assert downloads.running() == []


# -- over HTTP ---------------------------------------------------------------------------


@pytest.fixture
def ask():
    """Ask the routes on a real server: (method, path, …) to (status, JSON)."""
    web = pytest.importorskip("aiohttp.web")
    from aiohttp.test_utils import TestClient, TestServer

    sent = []
    table = web.RouteTableDef()
    routes.add_routes(table, lambda name, data, page: sent.append((name, data, page)))

    def ask(method, path, headers=None, **options):
        async def session():
            app = web.Application()
            app.add_routes(table)
            async with TestClient(TestServer(app)) as client:
                given = {routes.HEADER: "1"} if headers is None else headers
                answer = await client.request(method, path, headers=given, **options)
                return answer.status, await answer.json()

        return asyncio.run(session())

    ask.sent = sent
    return ask


POSTS = [f"/rembg-sessions/{route}" for route in ("download", "cancel", "delete")]
VALUES = "/rembg-sessions/own-values"


def test_models_are_listed(ask):
    status, answer = ask("GET", "/rembg-sessions/models", headers={})
    assert status == 200
    assert answer == routes.list_models()


def test_download_tells_the_page(ask, source):
    status, answer = ask("POST", POSTS[0], json={"model": "u2netp: lightweight general purpose"})
    assert (status, answer["model"], answer["state"]) == (200, "u2netp", "running")
    assert ask("POST", POSTS[0], json={"model": "u2netp"})[0] == 200
    assert ask("GET", "/rembg-sessions/models")[1]["downloads"][0]["model"] == "u2netp"
    assert ask("POST", POSTS[1], json={"model": "U2netp"}) == (200, {"cancelled": True})
    until(lambda: ask.sent and ask.sent[-1][1]["state"] == "cancelled")
    assert {(name, page) for name, _, page in ask.sent} == {(routes.DOWNLOAD_EVENT, None)}
    assert source.calls == 1


@pytest.mark.parametrize("client", ["x" * 101, 7, None], ids=["long", "number", "none"])
def test_only_what_may_name_a_page_is_kept_of_it(ask, source, monkeypatch, client):
    asked = []
    monkeypatch.setattr(downloads, "start", lambda *given: asked.append(given[-1]) or {})
    assert ask("POST", POSTS[0], json={"model": "u2netp", "client": client})[0] == 200
    assert ask("POST", POSTS[0], json={"model": "u2netp", "client": "page"})[0] == 200
    assert asked == ["", "page"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "model",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "https://evil.example/u2net.onnx",
        "nothing.onnx",
        "",
        None,
        7,
        ["u2net"],
    ],
    ids=repr,
)
def test_only_names_of_the_registry_are_taken(ask, source, path, model):
    status, answer = ask("POST", path, json={"model": model})
    assert status == 400
    assert answer["error"].endswith((".", "?"))
    assert source.calls == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"u2net"', b"{}", b"\xff"])
def test_malformed_requests_are_refused(ask, source, body):
    headers = {routes.HEADER: "1", "Content-Type": "application/json"}
    status, answer = ask("POST", POSTS[0], headers=headers, data=body)
    assert status == 400
    assert "JSON" in answer["error"] or "model" in answer["error"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_what_a_form_can_send_is_refused(ask, source, kind):
    headers = {routes.HEADER: "1", "Content-Type": kind}
    assert ask("POST", POSTS[0], headers=headers, data=b'{"model": "u2netp"}')[0] == 400
    assert ask("POST", POSTS[0], headers={"Content-Type": kind}, data=b"{}")[0] == 403
    assert source.calls == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {routes.HEADER: "1", "Origin": "https://evil.example"},
        {routes.HEADER: "1", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=["no header", "origin", "site"],
)
def test_another_origin_starts_nothing(ask, source, headers):
    for path in (*POSTS, VALUES, "/rembg-sessions/delete-prepared"):
        status, answer = ask("POST", path, headers=headers, json={"model": "u2netp"})
        assert status == 403
        assert "own page" in answer["error"]
    assert ask("GET", "/rembg-sessions/diagnosis", headers=headers)[0] == 403
    assert source.calls == 0


def test_own_file_is_refused_in_a_sentence(ask):
    status, answer = ask("POST", POSTS[0], json={"model": "u2net_custom"})
    assert status == 400
    assert "models/rembg" in answer["error"]


def test_diagnosis(ask):
    status, answer = ask("GET", "/rembg-sessions/diagnosis")
    assert status == 200
    assert answer["report"].startswith("rembg-sessions ")
    assert "onnxruntime:" in answer["report"]


def test_diagnosis_names_the_folder_that_comfyui_downloads_to(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "model_folders", lambda: (tmp_path / "rembg", tmp_path))
    line = f"Model folder:  {tmp_path / 'rembg'}"
    assert f"{line} (made by the first download)\n" in routes.examine()["report"]
    (tmp_path / "rembg").mkdir()
    assert f"{line}\n" in routes.examine()["report"]


def test_values_in_our_words_are_for_json_only(ask):
    path, body, own = VALUES, b'{"model": "RMBG-2.0"}', {routes.HEADER: "1"}
    status, answer = ask(
        "POST", path, data=body, headers={**own, "Content-Type": "application/json"}
    )
    assert (status, answer["model"].split(":")[0]) == (200, "bria-rmbg")
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        status, answer = ask("POST", path, data=body, headers={**own, "Content-Type": kind})
        assert status == 400
        assert "JSON" in answer["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[" * 100_000, "not JSON"),
        (b'{"max_size": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"model": "' + b"x" * 1_000_000 + b'"}', "longer than 1000000 bytes"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"", "not JSON"),
        (b"[1]", "JSON object|must be"),
    ],
    ids=["deep", "digits", "long", "bytes", "empty", "list"],
)
@pytest.mark.parametrize("path", [*POSTS, VALUES])
def test_requests_that_are_no_such_thing(ask, path, body, said):
    headers = {routes.HEADER: "1", "Content-Type": "application/json"}
    status, answer = ask("POST", path, data=body, headers=headers)
    assert status == 400
    assert re.search(said, answer["error"])


def test_a_colour_of_many_digits_stays_as_it_is(ask):
    look = {**Look()._asdict(), "background": True, "background_colour": "9" * 5000}
    status, answer = ask("POST", VALUES, json=look)
    assert status == 200
    assert answer["background_colour"] == "9" * 5000


# -- the diagnosis, which names folders ---------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8188"},
        {"Host": "[::1]:8188"},
        {"Host": "192.168.0.7"},
        {"Host": "localhost:8188"},
        {"Host": "studio:8188"},
        {"Host": "Studio.local:8188"},
        {"Host": "studio.lan."},
        {"Host": "comfy.example", "Sec-Fetch-Site": "same-origin"},  # over https
        {"Host": f"{platform.node()}:8188"},
    ],
    ids=str,
)
def test_hosts_that_no_stranger_can_own(headers):
    assert routes.is_known_host(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8188"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": ""},
        {"Host": "[::1"},
        {},
    ],
    ids=str,
)
def test_hosts_whose_name_may_point_here_on_purpose(headers):
    assert not routes.is_known_host(headers)


def test_a_rebound_name_does_not_get_the_diagnosis(ask, monkeypatch):
    monkeypatch.setattr(routes, "examine", lambda: {"report": "folders"})
    headers = {routes.HEADER: "1", "Host": "evil.example:8188"}
    status, answer = ask("GET", "/rembg-sessions/diagnosis", headers=headers)
    assert status == 400
    assert "under the machine's address" in answer["error"]
    assert str(Path.home()) not in answer["error"]
    headers["Host"] = "127.0.0.1:8188"
    assert ask("GET", "/rembg-sessions/diagnosis", headers=headers)[0] == 200


def test_a_download_on_the_node_names_no_total_that_is_unknown(monkeypatch):
    texts = []
    monkeypatch.setattr(host, "show_text", texts.append)
    update = host.download_progress()
    for done in (0, 1_000_000, 12_000_000, 13_000_000):
        update(done, 0)
    for done in (0, 50_000_000, 50_000_001, 200_000_000):
        update(done, 200_000_000)
    assert texts == [
        "downloading 0 MB",
        "downloading 12 MB",
        "downloading 0 of 200 MB",
        "downloading 50 of 200 MB",
        "downloading 200 of 200 MB",
    ]


# -- deleting ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """ComfyUI's folder, with a file of weights as it may have been brought by hand."""
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    monkeypatch.setattr(host, "model_folders", lambda: (tmp_path,))
    (tmp_path / "u2netp.onnx").write_bytes(b"by hand")
    return tmp_path


def listed(name):
    return next(row for row in routes.list_models()["models"] if row["name"] == name)


def test_files_of_comfyui_can_be_deleted(ask, folder):
    assert listed("u2netp")["deletable"]
    status, answer = ask("POST", "/rembg-sessions/delete", json={"model": "u2netp"})
    assert (status, answer) == (200, {"deleted": ["u2netp.onnx"]})
    assert not (folder / "u2netp.onnx").exists()
    assert not listed("u2netp")["installed"]
    status, answer = ask("POST", "/rembg-sessions/delete", json={"model": "u2netp"})
    assert status == 400 and "no file here" in answer["error"]


def test_files_of_other_programs_stay(ask, folder, home):
    home.mkdir(parents=True, exist_ok=True)
    (folder / "u2netp.onnx").rename(home / "u2netp.onnx")
    row = listed("u2netp")
    assert row["installed"] and not row["deletable"]
    assert ask("POST", "/rembg-sessions/delete", json={"model": "u2netp"})[0] == 400
    assert (home / "u2netp.onnx").exists()


def test_a_file_that_cannot_be_deleted_is_named(ask, folder, monkeypatch):
    def refuse(path, missing_ok):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(removal, "remove", refuse)
    status, answer = ask("POST", "/rembg-sessions/delete", json={"model": "u2netp"})
    assert status == 400
    assert answer["error"].startswith("u2netp.onnx cannot be deleted: Permission denied.")
    assert str(folder) not in answer["error"]


def test_prepared_copies_are_counted_and_deleted(ask, folder):
    name = cache.file_name(folder / "u2netp.onnx", "0" * 64, "1.23", ["cpu"])
    (folder / cache.FOLDER).mkdir()
    (folder / cache.FOLDER / name).write_bytes(bytes(1000))
    assert routes.list_models()["prepared"] == {"files": 1, "bytes": 1000}
    status, answer = ask("POST", "/rembg-sessions/delete-prepared", json={})
    assert (status, answer) == (200, {"files": 1, "bytes": 1000})
    assert routes.list_models()["prepared"] == {"files": 0, "bytes": 0}
    assert (folder / "u2netp.onnx").exists()


# -- falling back to the CPU -------------------------------------------------------------


class Opened:
    """A session as ``host`` sees it."""

    model_name = "u2net"

    def __init__(self, provider, *providers, explicit=True, missing=()):
        from rembg_sessions.core.runtime.providers import Choice

        class OneGraph:
            choice = Choice((*providers, "CPUExecutionProvider"), explicit, missing)
            fallback = "cuDNN is missing."

        self.provider, self.graphs = provider, (OneGraph,)


@pytest.mark.parametrize(
    ("session", "runs_on", "wanted"),
    [
        (Opened("CPU"), "cuda", ""),  # asked for
        (Opened("CUDA", "CUDAExecutionProvider"), "cuda", ""),
        (Opened("CPU", ("CUDAExecutionProvider", {"device_id": 0})), "cuda", "CUDA"),
        (Opened("CPU", "CUDAExecutionProvider", explicit=False), "cuda", "CUDA"),
        (Opened("CPU", missing=("DmlExecutionProvider",)), "cpu", "DirectML"),
        (Opened("CPU", explicit=False), "cuda", "the GPU (cuda)"),
        (Opened("CPU", explicit=False), "cpu", ""),
        (Opened("CPU", explicit=False), None, ""),
    ],
)
def test_what_it_fell_back_from(monkeypatch, session, runs_on, wanted):
    monkeypatch.setattr(host, "runs_on", lambda: runs_on)
    assert host.fallen_back_from(session) == wanted


def test_fallback_is_told_once_a_workflow(monkeypatch):
    sent = []

    class Page:
        client_id = "me"

        @staticmethod
        def send_sync(name, data, client):
            sent.append((name, data, client))

    class Context:
        prompt_id, node_id = "first", "7"

    monkeypatch.setattr(host, "server", lambda: Page)
    monkeypatch.setattr(host, "_executing", lambda: Context)
    session = Opened("CPU", missing=("CUDAExecutionProvider",))
    for _ in range(3):
        host.tell_fallback(session)
    data = {"model": "u2net", "wanted": "CUDA", "reason": "cuDNN is missing.", "node": "7"}
    assert sent == [(host.FALLBACK_EVENT, data, "me")]
    Context.prompt_id = "second"
    host.tell_fallback(session)
    assert len(sent) == 2
    host.tell_fallback(Opened("CPU"))
    assert len(sent) == 2


def test_what_stays_with_the_node_names_no_folders(monkeypatch):
    """It is saved with the workflow, and in every picture that is made with it."""
    session = Opened("CPU", missing=("CUDAExecutionProvider",))
    monkeypatch.setattr(
        session.graphs[0], "fallback", missing_message(["CUDAExecutionProvider"], [])
    )
    assert doctor_command() in session.graphs[0].fallback
    text = host.fallback_text(session)
    assert text.startswith("u2net runs on the CPU, not on CUDA. ")
    assert "/" not in text and "\\" not in text
    assert host.fallback_text(Opened("CPU")) == ""
