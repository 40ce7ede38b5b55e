"""What a download says to the network, and what it makes of the answers."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import huggingface_hub
import pytest
from huggingface_hub import utils
from weights_server import (
    DATA,
    HUB,
    RELEASE,
    files_in,
    half_then_wait,
    head,
    model,
    redirect,
    row,
    serve,
    silent,
    status,
    use_hub,
)

from rembg_sessions.core.errors import DownloadError, WeightsError
from rembg_sessions.core.registry.spec import Output
from rembg_sessions.core.text import LIMIT
from rembg_sessions.core.weights import failures, network, transfer
from rembg_sessions.core.weights import store as weights

# What is sent, and to whom


def test_token_goes_to_the_hub_only(server, make_server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    cdn = make_server()
    cdn.files["/blob"] = DATA
    # A renamed repository answers with a redirect on the same host, which needs the token.
    server.behaviours[HUB] = [redirect("/renamed", 308)]
    server.behaviours["/renamed"] = [redirect(f"{cdn.url}/blob")]
    weights.ensure(model(row(server)), folders=[tmp_path])
    tokens = [headers.get("Authorization") for _, headers in server.requests]
    assert tokens == ["Bearer hf_secret", "Bearer hf_secret"]
    assert cdn.paths() == ["/blob"]
    assert all("hf_secret" not in str(headers) for _, headers in cdn.requests)


def test_token_does_not_go_to_the_release_page(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    weights.ensure(model(row(server, hub=False)), folders=[tmp_path])
    assert all("hf_secret" not in str(headers) for _, headers in server.requests)


def test_token_does_not_come_back_from_another_host(server, make_server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    other = make_server()
    other.behaviours["/away"] = [redirect(f"{server.url}/back")]
    server.behaviours[HUB] = [redirect(f"{other.url}/away")]
    server.files["/back"] = DATA
    weights.ensure(model(row(server)), folders=[tmp_path])
    assert [headers.get("Authorization") for _, headers in server.requests] == [
        "Bearer hf_secret",
        None,
    ]


def test_token_with_characters_that_no_token_has_is_not_sent(server, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_sécret")
    with pytest.raises(WeightsError, match="HF_TOKEN has characters that no token has") as error:
        weights.ensure(model(row(server, url=False)), folders=[tmp_path])
    assert "cret" not in str(error.value) and server.requests == []


def test_nothing_is_told_about_the_machine(server, tmp_path):
    weights.ensure(model(row(server)), folders=[tmp_path])
    ((_, headers),) = server.requests
    # The last one is a random number, which huggingface_hub adds to every request.
    allowed = {"host", "accept", "accept-encoding", "connection", "user-agent", "x-amzn-trace-id"}
    assert {name.lower() for name in headers} <= allowed
    assert headers["User-Agent"] == "rembg-sessions"
    assert headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("new", ["http://a.example/x", "ftp://a.example/x", "file:///etc/passwd"])
def test_redirect_that_is_not_encrypted_is_refused(monkeypatch, new):
    opened = []

    @contextlib.contextmanager
    def redirecting(url, headers):
        opened.append(url)
        yield network.Answer(302, "Found", {"Location": new}), iter(())

    monkeypatch.setattr(network, "_opened", redirecting)
    with pytest.raises(failures.SourceFailed, match="not encrypted"):
        next(network.ask("https://a.example/x", {}, lambda: None, is_hub=False))
    assert opened == ["https://a.example/x"]


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("file:///etc/passwd", "not encrypted"),
        (HUB, "redirects more than 10 times"),
        ("http://[::1/", "no address|could not be read|not a usable address"),
        (f"https:///{'x' * 9000}\u202e", "not a usable address"),
        ("ftp://user:secret@a.example/" + "x" * 9000, "not encrypted"),
    ],
)
def test_redirect_that_leads_nowhere(server, tmp_path, new, said):
    server.behaviours[HUB] = [redirect(new.encode().decode("latin-1"))]
    with pytest.raises(WeightsError, match=said) as error:
        weights.ensure(model(row(server, url=False)), folders=[tmp_path])
    assert_fit_to_be_read(str(error.value))


def assert_fit_to_be_read(message):
    assert all(line.isprintable() for line in message.splitlines())
    assert "secret" not in message and "x" * LIMIT not in message
    assert len(message) < 1500


def test_text_of_a_server_is_cleaned_before_it_is_shown(server, tmp_path, caplog):
    def shout(handler):
        handler.send_response(404, f"\x1b[31m{'x' * 3000}\x07\x9b see http://me:secret@there")
        handler.end_headers()

    server.behaviours = {HUB: [shout], RELEASE: [shout]}
    with pytest.raises(WeightsError, match=r"answered 404") as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    assert_fit_to_be_read(str(error.value))
    assert_fit_to_be_read(caplog.messages[0])


@pytest.mark.parametrize(
    "strange", [{"ETag": '"\xe9"'}, {"ETag": f'"{"x" * 5000}"'}, {"Content_Length": "9" * 5000}]
)
def test_strange_headers_are_neither_trusted_nor_sent_back(server, tmp_path, strange):
    def half(handler):
        handler.send_response(200)
        for name, value in ({"Content-Length": len(DATA)} | strange).items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        handler.wfile.write(DATA[: len(DATA) // 2])

    server.behaviours[HUB] = [half, serve]
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert "If-Range" not in server.requests[1][1]


def test_password_of_a_mirror_is_sent_and_never_shown(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    caplog.set_level("INFO")  # httpx tells of every request
    use_hub(monkeypatch, server.url.replace("//", "//me:p%40ss-secret@"))
    server.behaviours[HUB] = [half_sent, status(500), status(403)]
    with pytest.raises(WeightsError, match=r"http://\*\*\*@127\.0\.0\.1:.*gated") as error:
        weights.ensure(model(row(server, url=False)), folders=[tmp_path])
    assert_fit_to_be_read(str(error.value))
    assert "secret" not in caplog.text and "***@" in caplog.text
    basic = "Basic bWU6cEBzcy1zZWNyZXQ="  # me:p@ss-secret
    assert [headers["Authorization"] for _, headers in server.requests] == [basic] * 3
    with pytest.raises(WeightsError) as error:
        weights.ensure(model(row(server, url=False)), folders=[tmp_path], download=False)
    assert_fit_to_be_read(str(error.value))


def test_password_of_a_mirror_stays_on_its_host(server, make_server, tmp_path, monkeypatch):
    other = make_server()
    other.files["/blob"] = DATA
    use_hub(monkeypatch, server.url.replace("//", "//me:secret@"))
    server.behaviours[HUB] = [redirect(f"{server.url}/same")]
    server.behaviours["/same"] = [redirect(f"{other.url}/blob")]
    weights.ensure(model(row(server)), folders=[tmp_path])
    basic = "Basic bWU6c2VjcmV0"
    assert [headers.get("Authorization") for _, headers in server.requests] == [basic, basic]
    assert "Authorization" not in other.requests[0][1]


def test_netrc_is_not_read(server, tmp_path):
    netrc = tmp_path / "home/.netrc"
    netrc.parent.mkdir()
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    weights.ensure(model(row(server)), folders=[tmp_path])
    assert "Authorization" not in server.requests[0][1]


def half_sent(handler):
    head(handler, 200, len(DATA))
    handler.wfile.write(DATA[: len(DATA) // 2])


# Settings of huggingface_hub, which it reads while it is imported

SETTINGS_CHILD = """
import logging, sys
from pathlib import Path
from rembg_sessions.core.errors import DownloadError, WeightsError
from rembg_sessions.core.registry.spec import HubFile, ModelSpec, WeightFile
from rembg_sessions.core.weights import store as weights

logging.basicConfig(level="WARNING")
url, sha256, folder = sys.argv[1:]
hub = (HubFile("hub/repo", "x/tiny.onnx"),)
file = WeightFile(file="tiny.onnx", hub=hub, url=url, sha256=sha256)
spec = ModelSpec(name="tiny", label="", session_class="", good_for="", licence="", weights=(file,))
try:
    print(weights.ensure(spec, folders=[Path(folder)])[0])
except WeightsError as error:
    print(error)
"""


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_ENDPOINT", "http://host:abc"),
        ("HF_ENDPOINT", "http://[::1"),
        ("HF_ENDPOINT", "http://me:se/cret@host"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "abc"),
        ("HF_HUB_ETAG_TIMEOUT", "x"),
    ],
)
def test_settings_that_the_hub_refuses(server, tmp_path, name, value, served):
    if not any(map(importlib.util.find_spec, ("httpx", "httpx2"))):
        pytest.skip("nothing is asked without huggingface_hub 0")
    environment = {**os.environ, name: value}
    environment.pop("REMBG_SESSIONS_OFFLINE", None)
    if not served:
        server.behaviours[RELEASE] = [status(404)]
    digest = hashlib.sha256(DATA).hexdigest()
    line = [sys.executable, "-c", SETTINGS_CHILD, server.url + RELEASE, digest, str(tmp_path)]
    run = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert server.paths() == [RELEASE]
    said = run.stdout + run.stderr
    assert "huggingface.co/hub/repo/resolve/main/x/tiny.onnx was not asked" in said or (
        "is not a usable address" in said and "HF_ENDPOINT" in said  # some versions import
    )
    assert name in said and "cret" not in said and "'se'" not in said
    assert (tmp_path / "tiny.onnx").exists() == served
    assert ("answered 404" in run.stdout) != served


# Proxies


@pytest.fixture
def fresh_client():
    """A client of huggingface_hub that reads the environment, now and for the next test."""
    hub = huggingface_hub
    close = hub.close_session if hasattr(hub, "close_session") else utils.reset_sessions
    close()
    yield
    close()


@pytest.fixture
def proxy(make_server, fresh_client):
    """A server that is asked for whole addresses."""
    proxy = make_server()
    proxy.files["http://weights.example/release"] = DATA
    return proxy


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxy_is_used(server, proxy, tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, proxy.url.replace("//", "//me:secret@"))
    file = row(server, hub=False, url="http://weights.example/release")
    (path,) = weights.ensure(model(file), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert proxy.paths() == ["http://weights.example/release"]
    assert proxy.requests[0][1]["Proxy-Authorization"] == "Basic bWU6c2VjcmV0"


def test_https_proxy_is_asked_for_a_tunnel(server, proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    file = row(server, hub=False, url="https://weights.example/release")
    with pytest.raises(WeightsError, match=r"could not be read: .*407"):
        weights.ensure(model(file), folders=[tmp_path])
    assert set(proxy.paths()) == {"weights.example:443"}


def test_no_proxy_is_honoured(server, proxy, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "other.example,127.0.0.1")
    weights.ensure(model(row(server)), folders=[tmp_path])
    assert server.paths() == [HUB] and proxy.requests == []


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks_proxy_without_its_package(server, fresh_client, tmp_path, monkeypatch, scheme):
    if importlib.util.find_spec("socksio") or importlib.util.find_spec("socks"):
        pytest.skip("the package is there")
    monkeypatch.setenv("all_proxy", f"{scheme}://me:secret@127.0.0.1:9")
    with pytest.raises(WeightsError) as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    for needed in ("ALL_PROXY names a SOCKS proxy", "Install socksio", "PySocks"):
        assert needed in str(error.value)
    assert "secret" not in str(error.value) and server.requests == []


@pytest.mark.parametrize("url", ["foo://me:secret@127.0.0.1:9", "http://me:sec/ret@127.0.0.1:9"])
def test_proxy_that_cannot_be_one(server, fresh_client, tmp_path, monkeypatch, url):
    monkeypatch.setenv("HTTP_PROXY", url)
    with pytest.raises(WeightsError, match=r"HTTP_PROXY must name a proxy as http://") as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    assert "sec" not in str(error.value) and "ret@" not in str(error.value)


def test_proxy_that_is_not_there(server, fresh_client, make_server, tmp_path, monkeypatch):
    gone = make_server()
    gone.shutdown()
    gone.server_close()
    monkeypatch.setenv("HTTP_PROXY", gone.url.replace("//", "//me:secret@"))
    with pytest.raises(WeightsError, match=r"could not be read: .*refused") as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    assert "secret" not in str(error.value) and server.requests == []


def test_proxy_that_nobody_knows(server, fresh_client, tmp_path, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@proxy.example:9")
    with pytest.raises(WeightsError, match=r"or that of the proxy in HTTP_PROXY, is") as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    assert "secret" not in str(error.value)


# Silence, and worse


def drip(handler):
    """Send a byte now and then, as long as somebody listens."""
    head(handler, 200, len(DATA))
    while not handler.server.released.wait(0.02):
        handler.wfile.write(b"x")


def drip_headers(handler):
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
    while not handler.server.released.wait(0.02):
        handler.wfile.write(b"x")


@pytest.mark.parametrize(
    ("behave", "said"),
    [(drip, "sent less than 1024 bytes a second"), (drip_headers, "did not answer for 0.3 s")],
)
def test_source_that_drips_is_left_for_the_next(
    server, tmp_path, monkeypatch, caplog, behave, said
):
    monkeypatch.setattr(network, "WINDOW", 0.3)
    monkeypatch.setattr(network, "PATIENCE", 0.3)
    server.behaviours[HUB] = [behave]
    began = time.monotonic()
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.paths()[:2] == [HUB, RELEASE] and said in caplog.text
    assert time.monotonic() - began < 5


def test_slow_disk_is_not_taken_for_a_slow_source(server, tmp_path, monkeypatch):
    monkeypatch.setattr(network, "WINDOW", 0.2)
    monkeypatch.setattr(network, "SLOWEST", 1 << 30)  # nothing that has to be waited for does

    def slow(done, total):
        time.sleep(0.1)

    server.behaviours[RELEASE] = [status(404)]
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path], on_progress=slow)
    assert path.read_bytes() == DATA


def test_cancel_is_heard_within_a_second(server, tmp_path):
    server.behaviours[HUB] = [half_then_wait]
    asked = threading.Event()

    def cancel(done, total):
        if asked.is_set():
            raise KeyboardInterrupt
        if done >= len(DATA) // 2:
            asked.set()
            cancel.at = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        weights.ensure(model(row(server)), folders=[tmp_path], on_progress=cancel)
    assert time.monotonic() - cancel.at < 1


# Refusals


def test_addresses_that_fail_alike_are_listed_together(server, tmp_path, caplog):
    server.behaviours = {HUB: [status(404)], RELEASE: [status(404)]}
    with pytest.raises(DownloadError) as error:
        weights.ensure(model(row(server)), folders=[tmp_path], on_progress=lambda *_: None)
    assert str(error.value).splitlines() == [
        "tiny.onnx could not be downloaded:",
        f"- {server.url}{HUB} and",
        f"  {server.url}{RELEASE} answered 404 Not Found: there is no such file any more",
        f"By hand: download it in a browser and save it as {tmp_path / 'tiny.onnx'}. Behind a "
        "proxy, set HTTPS_PROXY.",
        "The model backdrop, for plain backdrops, needs no download.",
    ]
    assert caplog.messages == []


def test_a_proxy_that_is_set_is_not_asked_for(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # https alone, which is not asked
    server.behaviours = {HUB: [status(404)], RELEASE: [status(404)]}
    with pytest.raises(DownloadError) as error:
        weights.ensure(model(row(server), output=Output.MATTE), folders=[tmp_path])
    assert "Behind a proxy" not in str(error.value)
    assert str(error.value).endswith("The other methods of alpha matting need no download.")


def test_a_source_that_failed_is_named_where_another_one_helped(server, tmp_path, caplog):
    server.behaviours[HUB] = [status(404)]
    weights.ensure(model(row(server)), folders=[tmp_path], on_progress=lambda *_: None)
    assert caplog.messages == [
        f"tiny.onnx is from {server.url}{RELEASE}: {server.url}{HUB} answered 404 Not Found: there "
        "is no such file any more."
    ]


@pytest.mark.parametrize("behave", [silent, half_then_wait])
def test_a_silent_source_is_named_once(behave, server, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(transfer, "SILENCE", 0.3)
    monkeypatch.setattr(network, "BREATH", 0.1)
    monkeypatch.setattr(network, "TIMEOUT", 1)
    server.behaviours[HUB] = [behave]
    weights.ensure(model(row(server)), folders=[tmp_path], on_progress=lambda *_: None)
    silence, helped = caplog.messages
    assert silence.startswith("127.0.0.1 has sent nothing for 0.3 seconds; another source is tried")
    assert "did not answer for 1 seconds (timeout)" in helped
    server.released.set()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (410, "410"),
        (401, "hf auth login"),
        (403, "HF_TOKEN"),
        (500, "500"),
        (418, "418"),
    ],
)
def test_refusals_are_listed_with_what_to_do(server, tmp_path, code, said):
    server.behaviours = {HUB: [status(code)], RELEASE: [status(404)]}
    with pytest.raises(WeightsError) as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    hub, release = [line for line in str(error.value).splitlines() if line.startswith("- ")]
    assert hub.startswith(f"- {server.url}{HUB} answered {code}") and said in hub
    assert (f"{server.url}/hub/repo" in hub.replace(HUB, "")) == (code in (401, 403))
    assert release.startswith(f"- {server.url}{RELEASE} answered 404")
    assert f"save it as {tmp_path / 'tiny.onnx'}" in str(error.value)
    assert server.paths() == [HUB] * (transfer.TRIES if code == 500 else 1) + [RELEASE]
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("behave", [silent, half_then_wait])
def test_timeout(server, tmp_path, monkeypatch, behave):
    monkeypatch.setattr(network, "TIMEOUT", 0.1)
    monkeypatch.setattr(transfer, "TRIES", 1)
    server.behaviours[HUB] = [behave]
    with pytest.raises(WeightsError, match=r"did not answer for 0\.1 seconds \(timeout\)"):
        weights.ensure(model(row(server, url=False)), folders=[tmp_path])
    assert not (tmp_path / "tiny.onnx").exists()


def test_unknown_host_and_refused_connection(make_server, tmp_path, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    gone = make_server()
    gone.shutdown()
    gone.server_close()
    with pytest.raises(WeightsError, match=r"could not be read: .*refused"):
        weights.ensure(model(row(gone, hub=False)), folders=[tmp_path])
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(WeightsError, match=r"the name 127\.0\.0\.1 is not known"):
        weights.ensure(model(row(gone, hub=False)), folders=[tmp_path])


def test_unusable_mirror_address(server, tmp_path, monkeypatch):
    use_hub(monkeypatch, "mirror.example")  # without https://
    with pytest.raises(WeightsError, match="not a usable address"):
        weights.ensure(model(row(server, url=False)), folders=[tmp_path])


@pytest.mark.skipif(sys.platform != "linux", reason="a full queue drops connections on Linux")
def test_host_that_lets_nobody_in_is_asked_once(server, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(network, "TIMEOUT", 0.2)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        use_hub(monkeypatch, f"http://127.0.0.1:{full.getsockname()[1]}")
        weights.ensure(model(row(server)), folders=[tmp_path])
    assert server.paths() == [RELEASE]
    assert caplog.text.count("did not answer for 0.2 seconds (timeout)") == 1


def test_certificates_that_are_not_there(server, fresh_client, tmp_path, monkeypatch):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):  # the latter: huggingface_hub 0.x
        monkeypatch.setenv(name, str(tmp_path / "none.pem"))
    file = row(server, hub=False, url=server.url.replace("http:", "https:"))
    with pytest.raises(WeightsError, match=r"SSL_CERT_FILE or SSL_CERT_DIR names|none\.pem"):
        weights.ensure(model(file), folders=[tmp_path])
    assert server.requests == []


def test_certificate_that_nobody_vouches_for(server, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    pem = tmp_path / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(pem), "-out", str(tmp_path / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    pem.write_text(pem.read_text() + (tmp_path / "certificate.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://localhost:{server.server_port}{RELEASE}"
    with pytest.raises(WeightsError, match=r"has a certificate .*\(self.signed") as error:
        weights.ensure(model(row(server, hub=False, url=url)), folders=[tmp_path / "models"])
    assert "SSL_CERT_FILE" in str(error.value) and server.requests == []
