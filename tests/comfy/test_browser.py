"""The pack in ComfyUI's page, in a real browser.

``COMFYUI_PATH``, ``COMFYUI_PYTHON`` and ``COMFYUI_FRONTEND``: see comfy_server.py. ``BROWSER``
is a Chromium (default: the one on the path). ``SCREENSHOTS`` is a folder for pictures of what
the tests saw. Needs Playwright. Models come from a server of this file's own, and the ComfyUI
under test reaches no other.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from comfy_server import (
    COMFYUI,
    DRAWN,
    ROOT,
    SHARED,
    Server,
    draw,
    make_base,
    make_network,
    running,
)
from rembg_sessions.core.imaging.composite import parse_colour
from rembg_sessions.core.registry.lookup import get_model
from stand_ins import write_sam

BROWSER = os.environ.get("BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = os.environ.get("SCREENSHOTS")
PATIENCE = 20_000  # milliseconds
WORKFLOWS = ROOT / "tests" / "nodes" / "workflows"
HELP = [path.stem for path in (ROOT / "web" / "docs").glob("*.md")]
TEMPLATES = [path.stem for path in (ROOT / "example_workflows").glob("*.json")]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set: no ComfyUI to start"),
    pytest.mark.skipif(not BROWSER, reason="no Chromium is on the path and BROWSER is not set"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")


# -- where models come from --------------------------------------------------------------


class Hub(http.server.ThreadingHTTPServer):
    """Hugging Face for the server under test: a small network under every name, but a few."""

    daemon_threads = True
    slow, missing, stalled = "silueta.onnx", "u2net_human_seg.onnx", "u2net_cloth_seg.onnx"
    slow_size, stalled_size = 44_173_029, 176_194_565

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str] = []
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bright = make_network("height", "width")
        # a real one, so that pictures look like something
        people = SHARED / "models" / "selfie_320.onnx"
        self.people = people.read_bytes() if people.exists() else self.bright

    def body(self, name: str) -> bytes:
        return self.people if name.startswith("u2net") else self.bright


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        if not self.path.endswith(".onnx"):  # a page of another origin
            self.answer(b"<!doctype html><title>elsewhere</title>", "text/html")
            return
        name = self.path.rpartition("/")[2]
        self.server.asked.append(name)
        if name == self.server.missing:
            self.send_error(404)
        elif name == self.server.slow:
            self.trickle()
        elif name == self.server.stalled:
            self.stall()
        else:
            self.answer(self.server.body(name), "application/octet-stream")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.slow_size))
        self.end_headers()
        for _ in range(600):  # a minute and a fraction of the file
            try:
                self.wfile.write(bytes(40_000))
            except OSError:  # cancelled
                return
            time.sleep(0.1)

    def stall(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.stalled_size))
        self.end_headers()
        self.wfile.write(bytes(5_000_000))
        self.server.closing.wait(60)

    def log_message(self, *_: Any) -> None:
        pass


def write_bad_networks(folder: Path) -> None:
    """One that wants more memory than there is, and one that is no background remover."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    picture = helper.make_tensor_value_info("picture", kinds.FLOAT, [1, 3, 320, 320])
    nodes = [
        helper.make_node("Reshape", ["picture", "shape"], ["tall"]),
        helper.make_node("Expand", ["tall", "size"], ["huge"]),
        helper.make_node("ReduceMean", ["huge"], ["mask"], axes=[0, 1], keepdims=1),
    ]
    shape = helper.make_tensor("shape", kinds.INT64, [4], [1, 3, 1, 320 * 320])
    huge = helper.make_tensor("size", kinds.INT64, [4], [1 << 20, 3, 1, 320 * 320])
    any_mask = helper.make_tensor_value_info("mask", kinds.FLOAT, None)
    hungry = helper.make_graph(nodes, "hungry", [picture], [any_mask], [shape, huge])
    words = helper.make_tensor_value_info("words", kinds.INT64, [1, 77])
    foreign = helper.make_graph(
        [helper.make_node("Identity", ["words"], ["same"])],
        "foreign",
        [words],
        [helper.make_tensor_value_info("same", kinds.INT64, [1, 77])],
    )
    opset = [helper.make_opsetid("", 13)]
    for name, graph in (("hungry", hungry), ("foreign", foreign)):
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        onnx.save(model, str(folder / f"{name}.onnx"))


# -- server and page ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    yield hub
    hub.closing.set()
    hub.shutdown()
    hub.server_close()


SETTINGS = {
    "Comfy.TutorialCompleted": True,  # else the page opens with the templates
    "Comfy.UseNewMenu": "Top",
    "Comfy.Minimap.Visible": False,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = make_base(tmp_path_factory.mktemp("comfy"))
    # the nodes of other packs are missing here, to be swapped
    (base / "custom_nodes" / "ComfyUI_essentials").unlink(missing_ok=True)
    write_bad_networks(base / "models" / "rembg")
    write_sam(*(base / "models" / "rembg" / file.file for file in get_model("mobile-sam").weights))
    (base / "user" / "default").mkdir(parents=True)
    (base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(SETTINGS))
    return base


@pytest.fixture(scope="module")
def environment(hub: Hub) -> dict[str, str]:
    """Downloads come from the hub, whatever it sends, and from nowhere else."""
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    return {
        "HF_ENDPOINT": hub.url,
        "MODEL_CHECKSUM_DISABLED": "1",
        "REMBG_SESSIONS_OFFLINE": "0",
        "no_proxy": "127.0.0.1",
        **nowhere,
    }


@pytest.fixture(scope="module")
def server(base: Path, environment: dict[str, str]) -> Iterator[Server]:
    with running(base, **environment) as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Page:
    """ComfyUI's page, and what tests do with it."""

    def __init__(self, tab: Any, server: Server, vue: bool):
        self.tab, self.server, self.vue = tab, server, vue
        self.complaints: list[str] = []
        tab.on("console", self._note)
        tab.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        server.post("/settings/Comfy.VueNodes.Enabled", vue)
        server.post("/settings/Comfy.RightSidePanel.IsOpen", False)  # others may have opened it
        tab.goto(f"http://127.0.0.1:{server.port}/")
        # the page is megabytes of script: a busy machine takes its time
        tab.wait_for_function("!!(window.app?.graph?.nodes?.length)", timeout=3 * PATIENCE)
        self.version = tab.evaluate("window.__COMFYUI_FRONTEND_VERSION__")
        self.at_start = len(self.complaints)
        self.js(
            """() => {
              window.lines = []
              app.api.addEventListener("progress_text", ({detail}) => lines.push(detail))
            }"""
        )

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    @contextmanager
    def answering(self, route: str, answer: Any) -> Iterator[None]:
        """Answer a route of the pack in the server's place; what the console says is expected."""
        before = len(self.complaints)
        self.tab.route(f"**/rembg-sessions/{route}", answer)
        yield
        self.tab.unroute(f"**/rembg-sessions/{route}")
        self.tab.wait_for_timeout(200)
        assert not self.uncaught()
        del self.complaints[before:]

    def uncaught(self) -> list[str]:
        """Errors that nobody caught, but for those of ComfyUI while it loads its page."""
        texts = self.complaints[self.at_start :]
        return [text for text in texts if text.startswith("uncaught")]

    def js(self, code: str, *given: Any) -> Any:
        return self.tab.evaluate(code, *given)

    def open(self, nodes: dict[str, Any]) -> None:
        """Open a workflow as a file would be: place the nodes, save, and load what was saved."""
        self.js(
            """async ({nodes, places}) => {
              await app.loadApiJson(nodes, "workflow.json")
              for (const node of app.graph.nodes) {
                const place = places[node.id]
                if (place) node.pos = place
              }
              await app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))
              app.canvas.ds.offset = [60, 120]
              app.canvas.ds.scale = 1
              app.canvas.setDirty(true, true)
            }""",
            {"nodes": nodes, "places": {key: node.get("pos") for key, node in nodes.items()}},
        )
        self.tab.wait_for_timeout(800)  # until the page has drawn it

    def saved(self) -> dict[str, Any]:
        return self.js("async () => (await app.graphToPrompt()).output")

    def run(self) -> dict[str, Any]:
        """Press Ctrl+Enter and wait for the end; the entry in the history.

        Nothing comes from the cache: nodes that do not run show no text and download nothing.
        """
        for _ in range(3):
            self.server.post("/free", {"unload_models": True, "free_memory": True})
            self.tab.wait_for_timeout(300)
            entry = self.run_once()
            # ComfyUI hears of /free only after this run if it was asked at a bad moment
            if not any(
                data["nodes"]
                for kind, data in entry["status"]["messages"]
                if kind == "execution_cached"
            ):
                return entry
        pytest.fail("ComfyUI kept what it was asked to free.")

    def run_once(self) -> dict[str, Any]:
        before = set(self.server.get("/history"))
        self.js("document.activeElement?.blur()")
        self.tab.keyboard.press("Control+Enter")
        for _ in range(600):
            new = set(self.server.get("/history")) - before
            if new:
                return self.server.get("/history")[new.pop()]
            self.tab.wait_for_timeout(100)
        pytest.fail(f"The workflow did not end:\n{self.server.log()[-2000:]}")

    def pixels(self, entry: dict[str, Any], node: str) -> np.ndarray:
        (file,) = entry["outputs"][node]["images"]
        answer = self.tab.request.get(f"http://127.0.0.1:{self.server.port}/view?{urlencode(file)}")
        return np.array(Image.open(BytesIO(answer.body())))

    def texts(self, node: str) -> list[str]:
        """The lines that were shown under a node; newer pages hide them after the run."""
        lines = self.js("lines")
        return [line["text"] for line in lines if str(line["nodeId"]) == node]

    def widget(self, node: str, name: str, what: str = "value") -> Any:
        code = """([id, name, what]) => app.graph.getNodeById(id).widgets
            .find(widget => widget.name === name)[what]"""
        return self.js(code, [node, name, what])

    def click_widget(self, node: str, name: str) -> None:
        """Click the right half of a widget that the canvas draws."""
        x, y = self.js(
            """([id, name]) => {
              const node = app.graph.getNodeById(id)
              const widget = node.widgets.find(widget => widget.name === name)
              const {offset, scale} = app.canvas.ds
              const box = app.canvas.canvas.getBoundingClientRect()
              const x = node.pos[0] + node.size[0] * 0.7
              const y = node.pos[1] + widget.y + 10
              return [box.x + (x + offset[0]) * scale, box.y + (y + offset[1]) * scale]
            }""",
            [node, name],
        )
        self.tab.mouse.click(x, y)
        self.tab.wait_for_timeout(300)

    def shoot(self, name: str, settle: int = 500) -> None:
        """Save a picture, once what moves in (milliseconds) has settled."""
        if SCREENSHOTS:
            self.tab.wait_for_timeout(settle)
            look = "vue" if self.vue else "canvas"
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            self.tab.screenshot(path=str(Path(SCREENSHOTS) / f"{self.version}-{look}-{name}.png"))

    def panel(self, model: str) -> Any:
        """Open a Session node of this model; its lines of size, licence and download."""
        if self.has_panel:
            self.open(session_alone(model))
        else:
            self.open_window("rembg-sessions.models")
        return self.panel_now(model)

    def panel_now(self, model: str) -> Any:
        own, is_own, _ = model.partition(".onnx: ")
        name = f"{own}.onnx" if is_own else get_model(model).name
        return self.tab.locator(f".rembg-sessions-model[data-model='{name}']:visible").first

    def open_window(self, command: str) -> Any:
        self.js("id => app.extensionManager.command.execute(id)", command)
        window = self.tab.locator(".rembg-sessions-window")
        window.wait_for(timeout=PATIENCE)
        return window

    @property
    def has_panel(self) -> bool:
        """The Vue nodes of old frontends, a hidden setting there, show no DOM widgets."""
        return not self.vue or self.at_least("1.40")

    def at_least(self, version: str) -> bool:
        def numbers(text: str) -> list[int]:
            return [int(part) for part in text.split(".")[:2]]

        return numbers(self.version) >= numbers(version)


CANCEL = """model => app.api.fetchApi("/rembg-sessions/cancel", {
  method: "POST",
  headers: {"X-Rembg-Sessions": "1", "Content-Type": "application/json"},
  body: JSON.stringify({model}),
})"""


@pytest.fixture(params=["canvas", "vue"])
def page(request: pytest.FixtureRequest, chromium: Any, server: Server) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1400, "height": 860})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = Page(context.new_page(), server, request.param == "vue")
    yield page
    # help is looked for in the user's language first
    texts = [text for text in page.complaints if not re.search(r"/docs/\w+/\w+\.md", text)]
    # ComfyUI asks for a template's picture before the pack can bring it
    texts = [text for text in texts if not re.search(r"/view\?.*filename=rembg_sessions_", text)]
    ours = [text for text in texts if re.search("rembg.sessions", text)]
    for download in server.get("/rembg-sessions/models")["downloads"]:
        page.js(CANCEL, download["model"])
    context.close()
    assert not ours


# -- workflows ---------------------------------------------------------------------------


def node(class_type: str, pos: tuple[int, int], **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs, "pos": pos, "_meta": {}}


def workflow(**session: Any) -> dict[str, Any]:
    session = {"model": f"{DRAWN[1]}: U-2-Net", "device": "CPU", **session}
    session = {"detail": "full", "cpu_fallback": True, "threads": 0, **session}
    return {
        "1": node("LoadImage", (0, 0), image=DRAWN[0]),
        "2": node("RemBGSession", (0, 400), **session),
        "3": node("RemBGRemove", (380, 0), image=["1", 0], session=["2", 0]),
        "4": node("PreviewImage", (850, 0), images=["3", 0]),
    }


def session_alone(model: str, **inputs: Any) -> dict[str, Any]:
    return {"2": node("RemBGSession", (200, 60), model=model, device="Auto", **inputs)}


def succeeded(entry: dict[str, Any]) -> bool:
    return entry["status"]["status_str"] == "success"


# -- running -----------------------------------------------------------------------------


def test_a_workflow_is_opened_run_and_previewed(page):
    page.open(workflow())
    entry = page.run()
    assert succeeded(entry), entry["status"]["messages"]
    pixels = page.pixels(entry, "4")
    assert pixels.shape[-1] == 4
    assert (pixels[..., 3] == 0).any()
    assert (pixels[..., 3] == 255).any()
    if page.vue:
        page.tab.locator("img[src*='/view?']").last.wait_for(timeout=PATIENCE)
    else:
        page.tab.wait_for_function(
            "app.graph.getNodeById(4).imgs?.[0]?.naturalWidth === 300", timeout=PATIENCE
        )
    assert page.texts("2") == ["u2net_custom on CPU"]
    assert re.fullmatch(r"u2net_custom on CPU, \d+ ms per image", page.texts("3")[-1])
    page.tab.wait_for_timeout(500)
    page.shoot("run", 4000)


def test_own_widgets_are_neither_saved_nor_run(page):
    page.open(workflow())
    inputs = page.saved()["2"]["inputs"]
    assert set(inputs) == {"model", "device", "detail", "cpu_fallback", "threads"}
    values = page.js("app.graph.getNodeById(2).serialize().widgets_values")
    assert values == list(inputs.values())


def test_rare_widgets_are_folded_away(page):
    page.open(workflow())
    if page.vue:  # those of old frontends fold nothing
        assert bool(page.tab.get_by_text("hard_edge").count()) == (not page.at_least("1.40"))
        return
    taken = """name => {
        const {widgets} = app.graph.getNodeById(3);
        const at = widgets.findIndex((widget) => widget.name === name);
        return widgets[at + 1].y - widgets[at].y;
    }"""
    assert page.js(taken, "edge_colours") > 20 and page.js(taken, "hard_edge") == 0
    page.js("() => app.graph.getNodeById(3).toggleAdvanced()")
    page.tab.wait_for_timeout(500)
    assert page.js(taken, "hard_edge") > 20
    page.shoot("advanced")
    assert succeeded(page.run())


@pytest.mark.parametrize("kind", ["RemBGRemove", "RemBGApplyBackground", "RemBGSession"])
def test_a_new_node_is_as_high_as_what_it_shows(page, kind):
    page.open({})
    height, needed = page.js(
        """kind => {
            const node = LiteGraph.createNode(kind);
            app.graph.add(node);
            return [node.size[1], node.computeSize()[1]];
        }""",
        kind,
    )
    page.shoot(f"new-{kind}")
    assert height == needed


def test_a_linked_session_wins_over_the_model(page):
    nodes = workflow()
    nodes["5"] = node("RemBGMask", (380, 500), image=["1", 0])
    page.open(nodes)
    disabled = (
        "id => Boolean(app.graph.getNodeById(id).widgets.find(w => w.name == 'model').disabled)"
    )
    assert page.js(disabled, 3) and not page.js(disabled, 5)
    if page.has_panel:
        told = page.tab.get_by_text("the linked session's model is used").locator("visible=true")
        told.wait_for(timeout=PATIENCE)
    page.shoot("linked")
    page.js("() => app.graph.getNodeById(2).connect(0, app.graph.getNodeById(5), 'session')")
    page.js("() => app.graph.getNodeById(3).disconnectInput('session')")
    page.tab.wait_for_timeout(500)
    assert page.js(disabled, 5) and not page.js(disabled, 3)


def test_installed_models_are_ticked(page, hub):
    file = page.server.base / "models" / "rembg" / "u2netp.onnx"
    file.write_bytes(hub.body(file.name))
    page.open(workflow())
    page.js("() => app.refreshComboInNodes()")
    page.tab.wait_for_timeout(500)
    label = """value => app.graph.getNodeById(3).widgets.find(({name}) => name === "model")
        .options.getOptionLabel(value)"""
    assert page.js(label, get_model("u2netp").choice) == "✓ u2netp: small and quick"
    assert page.js(label, get_model("backdrop").choice) == "✓ backdrop: no download"
    assert page.js(label, get_model("bria-rmbg").choice) == "bria-rmbg: non-commercial"
    assert page.js(label, f"{DRAWN[1]}: U-2-Net") == f"✓ {DRAWN[1]}: U-2-Net"


EMPTY = "Alpha matting was skipped: the mask is empty"


def test_warnings_are_told_once_and_stay_with_the_node(page):
    nodes = {
        "1": node("LoadImage", (0, 0), image=DRAWN[0]),
        "2": node("RemBGAlphaMatting", (380, 0), image=["1", 0], mask=["1", 1]),
        "3": node("PreviewImage", (850, 0), images=["2", 1]),
    }
    page.open(nodes)
    assert succeeded(page.run())
    page.tab.get_by_text(EMPTY).first.wait_for(timeout=PATIENCE)
    page.shoot("warning")
    kept = "() => app.graph.nodes.find(({id}) => id == 2).properties.rembg_warnings"
    (text,) = page.js(kept)
    assert text.startswith(EMPTY)
    saved = page.js("() => app.graph.serialize()")
    page.tab.reload()
    page.tab.wait_for_function("!!(window.app?.graph?.nodes?.length)", timeout=3 * PATIENCE)
    page.js("saved => app.loadGraphData(saved)", saved)
    if page.has_panel:
        page.tab.get_by_text(EMPTY).first.wait_for(timeout=PATIENCE)
    assert page.js(kept) == [text]


def test_a_warning_of_a_cached_result_is_not_told_again(page):
    warning = "does not seem to have a plain backdrop"
    noise = np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(page.server.base / "input" / "noise.png")
    page.open(
        {
            "1": node("LoadImage", (0, 0), image="noise.png"),
            "2": node("RemBGRemove", (380, 0), image=["1", 0], model="backdrop: no download"),
            "3": node("PreviewImage", (850, 0), images=["2", 0]),
        }
    )
    assert succeeded(page.run())
    page.tab.get_by_text(warning).first.wait_for(timeout=PATIENCE)
    before = page.tab.get_by_text(warning).count()
    page.js(
        """() => {
            const {toast} = app.extensionManager;
            window.told = 0;
            for (const name of ["add", "warning"]) {
                const own = toast[name];
                if (own) toast[name] = (...given) => { window.told += 1; own.apply(toast, given) };
            }
        }"""
    )
    assert succeeded(page.run_once())
    page.tab.wait_for_timeout(500)
    assert page.js("() => window.told") == 0
    assert page.tab.get_by_text(warning).count() <= before


def test_warnings_from_the_cache_are_not_told_again(page):
    page.open(workflow())
    page.js(
        """() => {
          const output = (text) => ({prompt_id: "run", output: {rembg_warnings: [text]}})
          app.api.dispatchCustomEvent("execution_cached", {nodes: ["2"], prompt_id: "run"})
          app.api.dispatchCustomEvent("executed", {node: "2", ...output("It was known")})
          app.api.dispatchCustomEvent("executed", {node: "3", ...output("It is news")})
        }"""
    )
    page.tab.locator("[role=alert], [data-sonner-toast]", has_text="It is news").first.wait_for(
        timeout=PATIENCE
    )
    toasts = page.tab.locator("[role=alert], [data-sonner-toast]").all_inner_texts()
    assert not [text for text in toasts if "It was known" in text]


def test_results_are_shown_on_the_node(page):
    page.open(workflow())
    entry = page.run()
    (shown,) = entry["outputs"]["3"]["images"]
    assert shown["type"] == "temp"
    if page.vue:
        page.tab.locator(f"img[src*='{shown['filename']}']").first.wait_for(timeout=PATIENCE)
    else:
        page.tab.wait_for_function(
            "app.graph.getNodeById(3).imgs?.[0]?.naturalWidth === 300", timeout=PATIENCE
        )
    page.js("() => app.graph.getNodeById(3).widgets.find(w => w.name == 'preview').value = 'off'")
    assert page.run()["outputs"]["3"]["images"] == []


# -- what is told of a model -------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        ("u2net: general purpose", ["176 MB", "Apache-2.0", "not installed", "Download now"]),
        ("bria-rmbg", ["1024 MB", "non-commercial use only", "not installed", "Download now"]),
        ("Dis_General_Use", ["179 MB", "Apache-2.0", "not installed"]),
        ("silueta: very small u2net", ["44 MB", "licence: not stated"]),
        ("backdrop", ["MIT", "needs no file"]),
        ("bright.onnx: U-2-Net", ["your own file, opened as U-2-Net", "as its author says"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_panel_tells_size_licence_and_whether_it_is_installed(page, model, lines):
    if ".onnx" in model and not page.has_panel:
        pytest.skip("the window lists no files of the user")
    panel = page.panel(model)
    panel.get_by_text(lines[0]).first.wait_for(timeout=PATIENCE)
    text = panel.inner_text()
    for line in lines:
        assert line in text
    if model == "bria-rmbg":
        page.shoot("licence")


def test_panel_follows_the_model(page):
    if not page.has_panel:
        pytest.skip("no DOM widgets in this look")
    page.panel("u2net: general purpose").get_by_text("176 MB").wait_for(timeout=PATIENCE)
    if page.vue:
        page.tab.get_by_text("u2net: general purpose").first.click()
    else:
        page.click_widget("2", "model")
    page.tab.wait_for_timeout(500)
    page.shoot("models")
    page.tab.keyboard.type("modnet")
    page.tab.wait_for_timeout(500)
    page.tab.get_by_text("modnet: ").first.click()
    page.panel_now("modnet").get_by_text("26 MB").wait_for(timeout=PATIENCE)


def test_panels_of_nodes_outside_the_graph_are_forgotten(page):
    shown = page.js(
        """async () => {
          const node = LiteGraph.createNode("RemBGSession")
          const info = node.widgets.find(({name}) => name === "rembg_info")
          const element = info.element.querySelector(".rembg-sessions-model")
          const seen = []
          for (const move of [() => {}, () => app.graph.add(node), () => app.graph.remove(node)]) {
            move()
            element.dataset.model = "nobody drew it"
            node.widgets.find(({name}) => name === "model").value = "silueta"
            await app.refreshComboInNodes()
            await new Promise(ready => setTimeout(ready, 500))
            seen.push(element.dataset.model)
            node.widgets.find(({name}) => name === "model").value = "u2net"
          }
          return seen
        }"""
    )
    assert shown == ["nobody drew it", "silueta", "nobody drew it"]


def test_nodes_of_a_subgraph_are_forgotten_with_its_workflow(page):
    """ComfyUI does not tell them that another workflow, or an undone one, has taken its place."""
    page.open(
        sam_prompt()
        | {"9": node("RemBGSession", (0, 500), model="u2net: general purpose", device="Auto")}
    )
    asked = page.js(
        """async () => {
          await app.graph.convertToSubgraph(new Set(app.graph.nodes))
          const {nodes} = app.graph.nodes[0].subgraph
          await app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))
          const asked = []
          for (const node of nodes) {
            const {inputs} = node
            Object.defineProperty(node, "inputs", {get: () => asked.push(node.type) && inputs})
          }
          await app.refreshComboInNodes()
          await new Promise(ready => setTimeout(ready, 1500))
          return [nodes.map(({type}) => type), asked]
        }"""
    )
    assert asked == [asked[0], []]
    assert {"RemBGSession", "RemBGSAMPrompt"} <= {*asked[0]}


def test_each_toast_does_its_own(page):
    page.js(
        """async () => {
          const {tell} = await import("/extensions/rembg-sessions/js/toasts.js")
          for (const name of ["first", "second"]) {
            const onClick = () => { window.pressed = name }
            tell("error", `The ${name} thing`, "It failed.", {label: `More of ${name}`, onClick})
          }
        }"""
    )
    page.tab.get_by_text("The second thing").first.wait_for(timeout=PATIENCE)
    page.tab.wait_for_timeout(500)
    if page.at_least("1.50"):
        page.tab.get_by_role("button", name="More of first").click()
    else:
        page.tab.get_by_text("The first thing").first.click()
    assert page.js("window.pressed") == "first"


def test_keys_in_a_window_do_nothing_behind_it(page):
    page.open(workflow())
    page.js("app.canvas.selectNode(app.graph.getNodeById(4))")
    page.tab.keyboard.press("Control+c")
    page.open_window("rembg-sessions.models")
    for key in ("Control+v", "Delete", "Control+m"):
        page.tab.keyboard.press(key)
    page.tab.keyboard.press("Escape")
    page.tab.locator(".rembg-sessions-window").wait_for(state="detached", timeout=PATIENCE)
    assert page.js("app.graph.nodes.map(({mode}) => mode)") == [0] * 4


def test_every_model_is_listed_in_a_window(page):
    window = page.open_window("rembg-sessions.models")
    text = window.inner_text()
    for name in ("u2net", "birefnet-general-lite-fp16", "bria-rmbg", "backdrop", "mobile-sam"):
        assert name in text
    assert "non-commercial use only" in text
    page.shoot("window")
    window.get_by_text("Close").click()
    assert window.count() == 0


def test_a_model_is_used_from_the_window(page):
    page.open({"1": node("LoadImage", (0, 0), image=DRAWN[0])})
    window = page.open_window("rembg-sessions.models")
    window.locator("[title^='Use backdrop ']").click()
    assert window.count() == 0
    (added,) = [each for each in page.saved().values() if each["class_type"] == "RemBGRemove"]
    assert added["inputs"]["model"] == get_model("backdrop").choice
    page.js("() => app.canvas.selectNode(app.graph.nodes.find(({type}) => type === 'RemBGRemove'))")
    window = page.open_window("rembg-sessions.models")
    window.locator("[title^='Use modnet ']").click()
    (same,) = [each for each in page.saved().values() if each["class_type"] == "RemBGRemove"]
    assert same["inputs"]["model"] == get_model("modnet").choice
    page.shoot("used")


def test_a_file_is_deleted_from_the_window_when_it_is_meant(page, hub):
    file = page.server.base / "models" / "rembg" / "u2netp.onnx"
    file.write_bytes(hub.body(file.name))
    window = page.open_window("rembg-sessions.models")
    delete = window.locator("[title='Delete the file of u2netp from ComfyUI\\'s models']")
    delete.click()
    delete.get_by_text("Really?").wait_for(timeout=PATIENCE)
    page.shoot("delete")
    assert file.exists()
    delete.click()
    delete.wait_for(state="detached", timeout=PATIENCE)
    assert not file.exists()
    window.locator("[data-model=u2netp]").get_by_text("not installed").wait_for(timeout=PATIENCE)


def test_a_list_that_cannot_be_had_is_told_and_not_shown(page):
    with page.answering("models", lambda route: route.abort()):
        page.js("app.extensionManager.command.execute('rembg-sessions.models')")
        page.tab.get_by_text("rembg-sessions: no list of models").first.wait_for(timeout=PATIENCE)
        page.tab.get_by_text("ComfyUI does not answer").first.wait_for(timeout=PATIENCE)
        assert page.tab.locator(".rembg-sessions-window").count() == 0
    assert "u2netp" in page.open_window("rembg-sessions.models").inner_text()


# -- downloads ---------------------------------------------------------------------------


UNDER_WAY = re.compile(r"^[1-9][\d.]* MB of 44 MB")


def test_download_is_shown_and_cancelled(page, hub):
    folder = page.server.base / "models" / "rembg"
    hub.asked.clear()
    panel = page.panel("silueta: very small u2net")
    panel.get_by_text("Download now").click()
    panel.get_by_text(UNDER_WAY).wait_for(timeout=PATIENCE)
    page.shoot("download")
    assert panel.locator("progress").get_attribute("max") == str(hub.slow_size)
    assert (folder / f"{hub.slow}.part").exists()
    panel.get_by_text("Cancel").click(delay=700)  # pressed while the numbers change
    panel.get_by_text("download cancelled").wait_for(timeout=5000)
    page.shoot("cancelled")
    assert not (folder / hub.slow).exists()
    assert page.server.get("/rembg-sessions/models")["downloads"] == []
    assert hub.asked == [hub.slow]
    panel.get_by_text("Continue").click()
    panel.get_by_text(UNDER_WAY).wait_for(timeout=PATIENCE)
    panel.get_by_text("Cancel").click()
    panel.get_by_text("download cancelled").wait_for(timeout=5000)


def test_stalled_download_is_cancelled(page, hub):
    panel = page.panel("u2net_cloth_seg")
    panel.get_by_text("Download now").click()
    panel.get_by_text(re.compile(r"^5\.0 MB of 176 MB")).wait_for(timeout=PATIENCE)
    panel.get_by_text("Cancel").click()
    panel.get_by_text("download cancelled").wait_for(timeout=5000)


def test_refused_download_is_told(page):
    def without_header(route: Any) -> None:
        headers = route.request.headers
        del headers["x-rembg-sessions"]
        route.continue_(headers=headers)

    panel = page.panel("isnet-anime")
    with page.answering("download", without_header):
        panel.get_by_text("Download now").click()
        panel.get_by_text("download failed").wait_for(timeout=PATIENCE)
        page.tab.get_by_text("isnet-anime was not downloaded").first.wait_for(timeout=PATIENCE)
        reason = page.tab.get_by_text("Only ComfyUI's own page may ask for this.").first
        reason.wait_for(timeout=PATIENCE)
        page.shoot("refused", 1500)
    with page.answering("download", lambda route: route.abort()):
        panel.get_by_text("Try again").click()
        reason = page.tab.get_by_text("ComfyUI does not answer. Is it still running?").first
        reason.wait_for(timeout=PATIENCE)
    assert panel.get_by_text("Try again").is_enabled()


def test_cancelling_what_has_ended_updates_the_panel(page):
    """What a page shows whose connection was away when the download ended."""
    panel = page.panel("isnet-anime")
    panel.get_by_text("not installed").wait_for(timeout=PATIENCE)
    page.js(
        """() => app.api.dispatchEvent(new CustomEvent("rembg-sessions.download", {
          detail: {model: "isnet-anime", state: "running", done: 8e6, total: 176e6, message: ""},
        }))"""
    )
    panel.get_by_text("8.0 MB of 176 MB").wait_for(timeout=PATIENCE)
    panel.get_by_text("Cancel").click()
    panel.get_by_text("not installed").wait_for(timeout=PATIENCE)


def test_panel_learns_what_happened_while_the_connection_was_lost(page, hub):
    file = page.server.base / "models" / "rembg" / "u2netp.onnx"
    file.unlink(missing_ok=True)
    panel = page.panel("u2netp")
    panel.get_by_text("not installed").wait_for(timeout=PATIENCE)
    file.write_bytes(hub.body(file.name))
    page.js("app.api.socket.close()")
    panel.get_by_text("installed", exact=True).wait_for(timeout=PATIENCE)


def test_two_pages_share_one_download(page, hub, server):
    hub.asked.clear()
    panel = page.panel("silueta")
    other = Page(page.tab.context.new_page(), server, page.vue)
    others = other.panel("silueta")
    for each in (panel, others):
        each.page.bring_to_front()
        if each.get_by_text("Download now").is_visible():
            each.get_by_text("Download now").click()
        each.get_by_text(UNDER_WAY).wait_for(timeout=PATIENCE)
    assert hub.asked == [hub.slow]
    others.get_by_text("Cancel").click()
    for each in (others, panel):
        each.page.bring_to_front()
        each.get_by_text("download cancelled").wait_for(timeout=PATIENCE)
    other.tab.close()


def test_downloaded_model_is_installed_and_runs(page, hub):
    file = page.server.base / "models" / "rembg" / "u2netp.onnx"
    file.unlink(missing_ok=True)
    panel = page.panel("u2netp: lightweight general purpose")
    panel.get_by_text("Download now").click()
    panel.get_by_text("installed", exact=True).wait_for(timeout=PATIENCE)
    page.shoot("installed")
    assert file.read_bytes() == hub.body(file.name)
    page.tab.keyboard.press("Escape")  # closes the window where there is no panel
    page.open(workflow(model="u2netp: lightweight general purpose"))
    entry = page.run()
    assert succeeded(entry)
    assert page.pixels(entry, "4").shape == (200, 300, 4)


def test_run_that_downloads_updates_the_panel(page):
    if not page.has_panel:
        pytest.skip("no DOM widgets in this look")
    (page.server.base / "models" / "rembg" / "u2netp.onnx").unlink(missing_ok=True)
    page.open(workflow(model="u2netp"))
    page.panel_now("u2netp").get_by_text("not installed").wait_for(timeout=PATIENCE)
    assert succeeded(page.run())
    page.panel_now("u2netp").get_by_text("installed", exact=True).wait_for(timeout=PATIENCE)


def test_failed_download_says_why(page):
    panel = page.panel("u2net_human_seg")
    panel.get_by_text("Download now").click()
    panel.get_by_text("download failed").wait_for(timeout=PATIENCE)
    page.tab.get_by_text("u2net_human_seg was not downloaded").first.wait_for(timeout=PATIENCE)
    page.tab.get_by_text("The model backdrop needs no download.").first.wait_for(timeout=PATIENCE)
    page.shoot("failed", 1500)
    panel.get_by_text("Why?").click()
    window = page.tab.locator(".rembg-sessions-window").last
    reason = window.get_by_text(re.compile("answered 404", re.DOTALL)).first
    assert str(page.server.base / "models" / "rembg") in reason.inner_text()
    page.shoot("why", 500)
    window.get_by_text("Close").click()
    assert panel.get_by_text("Try again").is_enabled()


def test_download_of_a_run_is_shown_and_cancelled(page):
    page.open(workflow(model="silueta"))
    before = set(page.server.get("/history"))
    page.js("void app.queuePrompt(0)")
    page.tab.wait_for_function(
        "lines.some(line => /downloading [1-9]\\d* of 44 MB/.test(line.text))", timeout=PATIENCE
    )
    page.shoot("downloading")
    page.js("app.extensionManager.command.execute('Comfy.Interrupt')")
    page.tab.wait_for_timeout(2000)
    (new,) = set(page.server.get("/history")) - before
    kinds = [kind for kind, _ in page.server.get("/history")[new]["status"]["messages"]]
    assert kinds[-1] == "execution_interrupted"


# -- running on the CPU ------------------------------------------------------------------


def test_fallback_is_told_with_the_repair_one_click_away(page):
    page.open(workflow(device="CUDA"))
    assert succeeded(page.run())
    said = "u2net_custom runs on the CPU, not on CUDA"
    told = page.tab.get_by_text(said, exact=True).first  # the node itself says more
    told.wait_for(timeout=PATIENCE)
    assert page.js("id => app.graph.getNodeById(id).properties.rembg_warnings[0]", 3).startswith(
        said
    )
    page.shoot("fallback")
    if page.at_least("1.50"):
        page.tab.get_by_role("button", name="Why, and how to repair it").click()
    else:
        told.click()
    window = page.tab.locator(".rembg-sessions-window")
    window.wait_for(timeout=PATIENCE)
    page.shoot("diagnosis")
    report = window.locator("textarea").input_value()
    assert report.startswith("CUDA was requested, but this onnxruntime has only")
    assert "onnxruntime:" in report
    window.get_by_text("Copy").click()
    assert page.js("navigator.clipboard.readText()") == report
    window.get_by_text("Close").click()
    before = page.tab.get_by_text("u2net_custom runs on the CPU").count()
    assert succeeded(page.run())
    page.tab.wait_for_timeout(500)
    after = page.tab.get_by_text("u2net_custom runs on the CPU").count()
    assert after <= before, "it is told once a page"


@pytest.mark.parametrize(
    "clipboard",
    ["undefined", '{writeText: () => Promise.reject(new Error("no"))}'],
    ids=["absent", "refused"],
)
def test_diagnosis_is_copied_without_a_clipboard(page, clipboard):
    """As on plain http of another machine, or where the user forbids it."""
    page.js(
        f"""() => {{
          window.clipboard = navigator.clipboard
          Object.defineProperty(navigator, "clipboard", {{value: {clipboard}, configurable: true}})
        }}"""
    )
    window = page.open_window("rembg-sessions.diagnosis")
    window.get_by_text("Copy").click()
    window.get_by_text("Selected: press Ctrl+C").wait_for(timeout=PATIENCE)
    page.tab.keyboard.press("Control+C")
    report = window.locator("textarea").input_value()
    assert "onnxruntime:" in report
    assert page.js("clipboard.readText()") == report


# -- colours -----------------------------------------------------------------------------


COLOURS = {
    "RemBGRemove": "background_colour",
    "RemBGApplyBackground": "background_colour",
    "RemBGFrameSubject": "background_colour",
}


@pytest.mark.parametrize("class_type", COLOURS)
def test_colour_is_picked(page, class_type):
    name = COLOURS[class_type]
    nodes = workflow()
    nodes["3"] = node(class_type, (380, 0), image=["1", 0], **{name: "#ffffff"})
    page.open(nodes)
    assert page.saved()["3"]["inputs"][name] == "#ffffff"
    if page.vue and page.at_least("1.40"):
        page.tab.get_by_text("#ffffff").first.click()
        field = page.tab.locator("input[aria-label=Hex]")
    elif page.vue:
        fields = page.tab.locator("input").all()
        field = next(field for field in fields if field.input_value() == "#ffffff")
    else:
        page.click_widget("3", name)
        field = page.tab.locator(".graphdialog input")
    page.tab.wait_for_timeout(500)
    page.shoot(f"colour-{class_type}")
    if page.at_least("1.40") and not page.vue:
        # the browser's own picker is out of reach; this is what it does when it is closed
        page.js(
            """() => {
              const input = document.querySelector("body > input[type=color]")
              input.value = "#2266aa"
              input.dispatchEvent(new Event("change"))
            }"""
        )
    else:
        field.fill("#2266aa")
        field.press("Enter")
    page.tab.wait_for_timeout(300)
    picked = np.array(parse_colour(page.saved()["3"]["inputs"][name]))
    assert np.abs(picked - (0x22, 0x66, 0xAA, 255)).max() <= 2  # pickers compute in hues


@pytest.mark.parametrize(
    ("colour", "shown"),
    [
        ("red", "#ff0000"),
        ("Black", "#000000"),
        ("10,200,30", "#0ac81e"),
        ("0, 0, 0", "#000000"),
        ("10,200,30,128", "10,200,30,128"),
        ("1, 2, 3, 1", "1, 2, 3, 1"),
        ("#abc", "#abc"),
        ("#11223344", "#11223344"),
        ("no colour", "no colour"),
    ],
)
def test_colours_in_other_words_stay_what_they_are(page, colour, shown):
    nodes = workflow()
    nodes["3"]["inputs"] |= {"background": "colour", "background_colour": colour}
    page.open(nodes)
    has_picker = page.at_least("1.40")
    assert page.saved()["3"]["inputs"]["background_colour"] == (shown if has_picker else colour)
    page.shoot(f"colour-{colour}")


# -- marks for SAM -----------------------------------------------------------------------


def sam_prompt(points: str = "", **inputs: Any) -> dict[str, Any]:
    inputs = {"image": ["1", 0], "points": points, **inputs}
    return {
        "1": node("LoadImage", (0, 0), image=DRAWN[0]),
        "2": node("RemBGSAMPrompt", (340, 0), **inputs),
    }


class Marks:
    """The picture of a RemBG SAM Prompt node, and what is marked on it."""

    def __init__(self, page: Page, node: str = "2"):
        if not page.has_panel:
            pytest.skip("no DOM widgets in this look")
        self.page, self.node = page, node
        self.root = page.tab.locator(".rembg-sessions-marks:visible").first
        self.frame = self.root.locator(".rembg-sessions-picture")

    def wait(self) -> None:
        self.frame.wait_for(timeout=PATIENCE)
        self.page.tab.wait_for_timeout(300)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place on the screen of a place in the picture, 0..1."""
        box = self.frame.bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def click(self, x: float, y: float, button: str = "left") -> None:
        self.page.tab.mouse.click(*self.at(x, y), button=button)

    def drag(self, *places: tuple[float, float]) -> None:
        mouse = self.page.tab.mouse
        mouse.move(*self.at(*places[0]))
        mouse.down()
        for place in places[1:]:
            mouse.move(*self.at(*place), steps=4)
        mouse.up()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.tab.keyboard.press(key)

    def has_focus(self) -> bool:
        return self.frame.evaluate("frame => frame.contains(document.activeElement)")

    def choose(self, name: str) -> None:
        self.root.get_by_role("button", name=name).click()

    def saved(self) -> list[Any]:
        """What would be run, short: [x, y, label] of points, [x0, y0, x1, y1] of boxes."""
        text = self.page.saved()[self.node]["inputs"]["points"]
        marks = json.loads(text) if text else []
        return [mark["data"] + ([mark["label"]] if "label" in mark else []) for mark in marks]

    def shown(self) -> list[str]:
        """The points that are seen: what of, and where in percent."""
        return self.root.locator("[data-mark][data-label]").evaluate_all(
            """marks => marks.map(({dataset, style}) =>
              `${dataset.label} ${parseInt(style.left)} ${parseInt(style.top)}`)"""
        )

    def text(self) -> str:
        return self.root.locator("[aria-live]").inner_text()


@pytest.fixture
def marks(page: Page) -> Marks:
    page.open(sam_prompt())
    marks = Marks(page)
    marks.wait()  # Load Image's picture is there before any run
    return marks


def near(found: list[Any], wanted: list[Any]) -> bool:
    """Whether marks are the same but for one pixel: the screen's are not the picture's."""
    return [len(mark) for mark in found] == [len(mark) for mark in wanted] and all(
        abs(one - other) <= 1
        for mark, want in zip(found, wanted, strict=True)
        for one, other in zip(mark, want, strict=True)
    )


def test_sam_marks_are_set_by_mouse(page, marks):
    assert "Nothing marked: the centre." in marks.text()
    place = "[...app.graph.getNodeById(2).pos]"
    before = page.js(place)
    marks.click(0.25, 0.5)
    marks.click(0.75, 0.25, "right")
    assert near(marks.saved(), [[75, 100, 1], [225, 50, 0]])
    marks.drag((0.1, 0.2), (0.5, 0.5), (0.9, 0.8))
    assert near(marks.saved(), [[75, 100, 1], [225, 50, 0], [30, 40, 270, 160]])
    assert "1 subject point, 1 background point, 1 box." in marks.text()
    page.shoot("sam-marks")
    marks.drag((0.3, 0.1), (0.05, 0.9))  # another box takes its place, from whatever corner
    assert near(marks.saved()[2:], [[15, 20, 90, 180]])
    marks.drag((0.25, 0.5), (0.5, 0.5))  # moved
    assert near(marks.saved()[:1], [[150, 100, 1]])
    marks.click(0.5, 0.5)  # removed
    assert near(marks.saved(), [[225, 50, 0], [15, 20, 90, 180]])
    marks.root.get_by_title("Remove the box").click()
    assert near(marks.saved(), [[225, 50, 0]])
    marks.choose("Undo")
    marks.choose("Undo")
    assert near(marks.saved(), [[150, 100, 1], [225, 50, 0], [15, 20, 90, 180]])
    marks.choose("Clear")
    assert marks.saved() == []
    marks.choose("Background")  # for those without a right button
    marks.click(0.5, 0.5)
    assert near(marks.saved(), [[150, 100, 0]])
    assert page.js(place) == before, "the node does not move along"


def test_sam_marks_are_set_by_keys(page, marks):
    marks.root.get_by_role("button", name="Subject").focus()
    marks.press("Tab", "Tab")  # Undo and Clear rest while nothing is marked
    assert marks.has_focus()
    assert "Space = subject" in marks.text()
    marks.press("ArrowRight", "ArrowUp", "Shift+ArrowUp", "Space")  # 6 pixels and 1
    assert marks.saved() == [[156, 93, 1]]
    marks.press("ArrowDown", "ArrowDown", "Enter", "ArrowLeft", "b")
    assert marks.saved() == [[156, 93, 1], [156, 105, 1], [150, 105, 0]]
    marks.press("r", "ArrowLeft", "ArrowUp")
    page.shoot("sam-keys")
    marks.press("r")
    assert marks.saved()[3:] == [[144, 99, 150, 105]]
    marks.press("ArrowRight", "ArrowRight", "ArrowUp", "Delete")  # the nearest
    assert marks.saved() == [[156, 105, 1], [150, 105, 0], [144, 99, 150, 105]]
    marks.press("Control+z", "Control+z")
    assert marks.saved() == [[156, 93, 1], [156, 105, 1], [150, 105, 0]]
    assert marks.has_focus()
    assert page.js("app.graph.nodes.length") == 2, "Delete is the picture's, not the graph's"
    marks.press("Tab")
    assert "Arrow keys" not in marks.text()


def test_sam_marks_are_saved_and_run(page, marks):
    marks.click(0.25, 0.5)
    marks.click(0.75, 0.25, "right")
    before = marks.saved()
    entry = page.run()
    assert succeeded(entry), entry["status"]["messages"]
    (told,) = entry["outputs"]["2"]["sam_prompt"]
    assert (told["picture"]["width"], told["picture"]["height"]) == (300, 200)
    assert told["marks"] == told["notes"] == []
    assert [mark["data"] + [mark["label"]] for mark in told["drawn"]] == before
    page.js("async () => app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))")
    page.tab.wait_for_timeout(1000)
    again = Marks(page)
    again.wait()
    assert again.saved() == before
    assert again.shown() == ["1 25 50", "0 75 25"]
    values = page.js("app.graph.getNodeById(2).serialize().widgets_values")
    assert [len(values), json.loads(values[0])[0]["data"]] == [1, before[0][:2]]


def test_sam_marks_outlive_a_reload_of_the_page(page, marks, server):
    marks.click(0.25, 0.5)
    page.tab.wait_for_timeout(1500)  # until the page has kept its draft
    page.tab.reload()
    page.tab.wait_for_function("!!(window.app?.graph?.getNodeById?.(2))", timeout=3 * PATIENCE)
    again = Marks(page)
    again.wait()
    assert near(again.saved(), [[75, 100, 1]])
    assert again.shown() == ["1 25 50"]


def test_sam_marks_of_other_nodes_are_shown(page):
    page.open(
        sam_prompt(coordinates=["3", 0])
        | {"3": node("PrimitiveString", (0, 400), value='[{"x": 60, "y": 50}]')}
    )
    marks = Marks(page)
    marks.wait()
    assert succeeded(page.run())
    given = marks.root.locator("[data-label]:not([data-mark]):not(button)")
    given.wait_for(timeout=PATIENCE)
    assert given.get_attribute("data-label") == "1"
    assert "20%" in given.get_attribute("style")
    assert marks.text() == "From other nodes: 1 subject point."
    page.shoot("sam-given")


def test_sam_marks_rest_where_a_text_is_linked(page):
    text = json.dumps([{"type": "point", "label": 0, "data": [60, 50]}])
    page.open(sam_prompt(points=["3", 0]) | {"3": node("PrimitiveString", (0, 400), value=text)})
    assert succeeded(page.run())
    page.tab.wait_for_timeout(1000)
    page.shoot("sam-linked")
    marks = Marks(page)
    if not marks.root.count():  # the canvas hides what is linked, the newest Vue nodes, too
        return
    assert marks.text().startswith("A text is linked in place of these marks.")
    assert marks.root.locator("[data-label]:not(button)").get_attribute("data-label") == "0"
    marks.click(0.5, 0.5)
    assert page.saved()["2"]["inputs"]["points"] == ["3", 0]
    assert marks.shown() == []


def test_sam_picture_of_any_node_is_shown_after_a_run(page):
    page.open(
        sam_prompt(image=["3", 0]) | {"3": node("ImageScale", (0, 400), image=["1", 0], **SCALE)}
    )
    marks = Marks(page)
    marks.root.get_by_text("The picture is shown here after a run.").wait_for(timeout=PATIENCE)
    page.shoot("sam-waiting")
    assert succeeded(page.run())
    marks.wait()
    assert marks.text() == "Nothing is marked: the centre of the picture is used."
    page.shoot("sam-after-run")
    marks.click(0.5, 0.25)  # in pixels of the picture, not of the small one that is shown
    assert near(marks.saved(), [[1500, 250, 1]])


SCALE = {"upscale_method": "bilinear", "width": 3000, "height": 1000, "crop": "disabled"}


def test_sam_picture_changes_with_the_file(page, marks):
    marks.click(0.5, 0.5)
    other = "folder/other size.png"
    (page.server.base / "input" / "folder").mkdir(exist_ok=True)
    draw(1).resize((120, 160)).save(page.server.base / "input" / other)
    page.js(
        """value => {
          app.graph.getNodeById(1).widgets.find(({name}) => name === "image").value = value
        }""",
        other,
    )
    marks.root.get_by_text("Marks lie outside this picture, which is 120×160").wait_for(
        timeout=PATIENCE
    )
    box = marks.frame.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(120 / 160, rel=0.02)
    page.shoot("sam-other-file")


def test_sam_picture_that_comes_late_is_shown(page):
    page.open(sam_prompt())
    marks = Marks(page)
    late = page.server.base / "input" / f"late {page.vue}.png"
    page.js(
        """value => {
          app.graph.getNodeById(1).widgets.find(({name}) => name === "image").value = value
        }""",
        late.name,
    )
    marks.root.get_by_text("The picture is shown here after a run.").wait_for(timeout=PATIENCE)
    draw(1).save(late)
    marks.wait()


def test_sam_picture_is_found_through_other_nodes(page):
    """Through a reroute, what is bypassed, and out of and into a subgraph."""
    page.open(sam_prompt(image=["3", 0]) | {"3": node("ImageInvert", (0, 400), image=["1", 0])})
    marks = Marks(page)
    marks.root.get_by_text("The picture is shown here after a run.").wait_for(timeout=PATIENCE)
    page.js("app.graph.getNodeById(3).mode = 4")  # bypassed
    marks.wait()
    page.js(
        """() => {
          const reroute = LiteGraph.createNode("Reroute")
          app.graph.add(reroute)
          app.graph.getNodeById(1).connect(0, reroute, 0)
          reroute.connect(0, app.graph.getNodeById(2), 0)
          app.graph.remove(app.graph.getNodeById(3))
        }"""
    )
    page.tab.wait_for_timeout(1000)
    assert marks.frame.is_visible()
    for inside in (1, 2):
        page.open(sam_prompt())
        page.js(
            "id => void app.graph.convertToSubgraph(new Set([app.graph.getNodeById(id)]))", inside
        )
        page.tab.wait_for_timeout(500)
        if inside == 2:
            page.js("void app.canvas.setGraph(app.graph.nodes.find((n) => n.subgraph).subgraph)")
        page.js("() => { app.canvas.ds.offset = [200, 200]; app.canvas.setDirty(true, true) }")
        Marks(page).wait()
        page.shoot(f"sam-subgraph-{inside}")
        if inside == 1:  # its file is chosen on the subgraph's node, where that has the widget
            Image.new("RGB", (50, 100)).save(page.server.base / "input" / "tall.png")
            page.js(
                """() => {
                  const host = app.graph.nodes.find(({subgraph}) => subgraph)
                  const [loader] = host.subgraph.nodes
                  const widgets = [...host.widgets, ...loader.widgets]
                  widgets.find(({name}) => name === "image").value = "tall.png"
                }"""
            )
            page.tab.wait_for_timeout(1500)
            box = Marks(page).frame.bounding_box()
            assert box["width"] / box["height"] == pytest.approx(0.5, rel=0.02)
    marks = Marks(page)
    marks.click(0.5, 0.5)
    page.shoot("sam-subgraph-marked")
    (prompt,) = [
        entry for entry in page.saved().values() if entry["class_type"] == "RemBGSAMPrompt"
    ]
    assert near([json.loads(prompt["inputs"]["points"])[0]["data"]], [[150, 100]])


def test_sam_marks_keep_their_place_when_the_canvas_is_zoomed(page, marks):
    page.js("() => { app.canvas.ds.scale = 0.6; app.canvas.setDirty(true, true) }")
    page.tab.wait_for_timeout(500)
    marks.click(0.25, 0.5)
    assert near(marks.saved(), [[75, 100, 1]])
    before = page.js("app.canvas.ds.scale")
    page.tab.mouse.move(*marks.at(0.5, 0.5))
    page.tab.mouse.wheel(0, -100)  # the wheel is the canvas's
    page.tab.wait_for_timeout(500)
    assert page.js("app.canvas.ds.scale") > before


def test_sam_marks_are_undone_with_the_workflow(page, marks):
    marks.click(0.25, 0.5)
    marks.click(0.75, 0.5)
    page.tab.mouse.click(1200, 700)  # the empty canvas
    page.tab.wait_for_timeout(300)
    page.tab.keyboard.press("Control+z")
    page.tab.wait_for_timeout(1500)
    again = Marks(page)
    again.wait()
    assert near(again.saved(), [[75, 100, 1]])


def test_sam_marks_stay_a_text_where_there_is_no_picture(page):
    text = '[{"type": "point", "label": 1, "data": [75, 100]}]'
    page.open(sam_prompt(text))
    assert page.saved()["2"]["inputs"]["points"] == text
    if page.has_panel:
        return
    box = page.tab.locator("textarea:visible").first
    assert box.input_value() == text
    box.fill(text.replace("75", "80"))
    page.tab.wait_for_timeout(300)
    page.shoot("sam-text")
    assert "80" in page.saved()["2"]["inputs"]["points"]


# -- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("hungry.onnx", "hungry.onnx failed on CPU: it ran out of memory"),
        ("foreign.onnx", "foreign.onnx is not a background removal model: it takes words"),
    ],
)
def test_errors_are_shown_in_sentences(page, network, said):
    page.open(workflow(model=f"{network}: U-2-Net"))
    entry = page.run()
    assert not succeeded(entry)
    (error,) = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert said in error["exception_message"]
    if page.at_least("1.40"):
        page.tab.get_by_text("View details").first.click(timeout=PATIENCE)
    page.tab.get_by_text(said).first.wait_for(timeout=PATIENCE)
    page.tab.wait_for_timeout(500)
    page.shoot(f"error-{network}")


# -- around the graph --------------------------------------------------------------------


def test_about_shows_a_badge(page):
    page.js("app.extensionManager.command.execute('Comfy.Help.AboutComfyUI')")
    badge = page.tab.get_by_role("link", name=re.compile("rembg-sessions"))
    badge.wait_for(timeout=PATIENCE)
    assert badge.get_attribute("href") == "https://github.com/rembg-sessions/rembg-sessions"
    page.shoot("about")


@pytest.mark.parametrize("name", HELP)
def test_help_is_opened(page, name):
    text = (ROOT / "web" / "docs" / f"{name}.md").read_text("utf-8")
    page.open({"1": node(name, (300, 100))})
    page.js("app.canvas.selectNode(app.graph.getNodeById(1))")
    page.tab.get_by_test_id("info-button").click(timeout=PATIENCE)
    for heading in re.findall(r"^##+ (.+)$", text, re.MULTILINE):
        page.tab.get_by_role("heading", name=heading).first.wait_for(timeout=PATIENCE)
    page.tab.wait_for_timeout(1000)
    pictures = page.tab.locator("img[src*='/docs/']")
    assert pictures.count() == text.count("![")
    assert all(picture.evaluate("({naturalWidth}) => naturalWidth") for picture in pictures.all())
    page.shoot(f"help-{name}")


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_is_opened_and_run(page, name):
    ((pack, names),) = page.server.get("/workflow_templates").items()
    assert name in names
    page.js(
        "async url => app.loadGraphData(await (await fetch(url)).json())",
        f"/api/workflow_templates/{pack}/{name}.json",
    )
    page.tab.wait_for_timeout(1000)
    if not page.js("app.graph.nodes.every(({type}) => type in LiteGraph.registered_node_types)"):
        pytest.skip("this template is for newer versions of ComfyUI")
    entry = page.run()
    assert succeeded(entry), entry["status"]["messages"]
    page.js("app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.tab.wait_for_timeout(1500)
    page.shoot(f"template-{name}", 4000)
    files = [file for output in entry["outputs"].values() for file in output.get("images", ())]
    assert files


# -- other packs' workflows --------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.stem for path in WORKFLOWS.glob("*.json")))
def test_workflows_of_missing_packs_are_swapped(page, name):
    if not page.at_least("1.40"):
        pytest.skip("this ComfyUI knows no replacements; 0.33 does")
    saved = json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))
    page.js("saved => app.loadGraphData(saved)", saved)
    page.tab.get_by_text("View details").first.click(timeout=PATIENCE)
    page.tab.wait_for_timeout(500)
    page.shoot(f"missing-{name}")
    page.tab.get_by_role("button", name="Replace All").first.click(timeout=PATIENCE)
    page.tab.wait_for_timeout(1500)
    page.shoot(f"swapped-{name}")
    red = page.js(
        """() => app.graph.nodes.filter((node) => node.has_errors ||
          node.widgets?.some(({value, options}) => Array.isArray(options?.values)
            && !options.values.includes(value))).map((node) => node.type)"""
    )
    assert red == []
    assert page.js("app.graph.nodes.every(({type}) => type in LiteGraph.registered_node_types)")
    # what is no part of the canvas itself is shown, too
    page.js("app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    types = page.js("app.graph.nodes.map(({type}) => type)")
    assert {"RemBGSession", "RemBGRemove"} & {*types}
    panel = page.tab.locator(".rembg-sessions-model:visible", has_text="MB")
    panel.first.wait_for(timeout=PATIENCE)
    # frontend 1.58.1 on its own throws at its first draw after a swap
    assert not page.uncaught()
    entry = page.run()
    assert succeeded(entry), entry["status"]["messages"]


def test_values_of_other_packs_stay_where_the_server_does_not_answer(page):
    with page.answering("own-values", lambda route: route.abort()):
        page.open(workflow(model="u2netp"))
        page.tab.wait_for_timeout(500)
        assert page.widget("2", "model") == "u2netp"
    assert succeeded(page.run())


# -- manners -----------------------------------------------------------------------------


def plain(complaints: list[str]) -> set[str]:
    """Complaints without port numbers, and without those that come and go with the timing."""
    timing = ("Connecting to", "Fetch API cannot load", "Failed to load", "WARNING: Invalid layout")
    texts = [text for text in complaints if not text.startswith(timing)]
    return {re.sub(r"127\.0\.0\.1:\d+", "", text) for text in texts}


@pytest.fixture(scope="module")
def usual_complaints(
    tmp_path_factory: pytest.TempPathFactory, chromium: Any
) -> dict[bool, set[str]]:
    """What the page says in the console without this pack, by look."""
    base = make_base(tmp_path_factory.mktemp("plain"))
    (base / "custom_nodes" / "rembg-sessions").unlink()
    (base / "user" / "default").mkdir(parents=True)
    (base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(SETTINGS))
    found = {}
    with running(base) as server:
        for vue in (False, True):
            context = chromium.new_context(viewport={"width": 1400, "height": 860})
            page = Page(context.new_page(), server, vue)
            page.open(
                {
                    "1": node("LoadImage", (0, 0), image=DRAWN[0]),
                    "2": node("PreviewImage", (400, 0), images=["1", 0]),
                }
            )
            page.run()
            found[vue] = plain(page.complaints)
            context.close()
    return found


def test_nothing_is_said_in_the_console(page, usual_complaints):
    page.open(workflow())
    assert succeeded(page.run())
    page.tab.wait_for_timeout(1000)
    assert plain(page.complaints) <= usual_complaints[page.vue]


ASK = """async ([url, headers, body]) => {
  try {
    return (await fetch(url, {method: "POST", headers, body})).status
  } catch (error) {
    return String(error)
  }
}"""


@pytest.mark.parametrize("arguments", [(), ("--enable-cors-header",)], ids=["default", "cors"])
def test_pages_of_other_origins_start_no_download(chromium, hub, tmp_path, environment, arguments):
    hub.asked.clear()
    with running(make_base(tmp_path / "comfy"), *arguments, **environment) as server:
        context = chromium.new_context()
        tab = context.new_page()
        tab.goto(hub.url)
        url = f"http://127.0.0.1:{server.port}/rembg-sessions/download"
        body = json.dumps({"model": "u2netp"})
        json_type = {"Content-Type": "application/json"}
        blocked = "TypeError: Failed to fetch"
        refused = 403 if arguments else blocked  # without CORS the page may not read the answer
        assert tab.evaluate(ASK, [url, {}, body]) == refused
        assert tab.evaluate(ASK, [url, json_type, body]) == refused
        # the browser asks the server first, and that allows no such header
        header = {"X-Rembg-Sessions": "1"}
        assert tab.evaluate(ASK, [url, {**json_type, **header}, body]) == blocked
        assert tab.evaluate(ASK, [f"{url[:-8]}cancel", json_type, body]) == refused
        context.close()
        assert server.get("/rembg-sessions/models")["downloads"] == []
        assert hub.asked == []
