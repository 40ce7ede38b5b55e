"""Finding, verifying and downloading weights, against a local server that misbehaves."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from huggingface_hub import constants
from weights_server import (
    DATA,
    ETAG,
    HUB,
    MIB,
    OTHER,
    RELEASE,
    files_in,
    half_then_wait,
    head,
    model,
    no_range,
    no_range_half,
    put,
    reset,
    row,
    serve,
    silent,
    status,
    truncate,
    use_hub,
    wait_then_serve,
    wrong_range,
)

from rembg_sessions.core import settings
from rembg_sessions.core.errors import OfflineError, WeightsError
from rembg_sessions.core.registry import lookup as registry
from rembg_sessions.core.registry.spec import Output, WeightFile
from rembg_sessions.core.weights import download, network, transfer
from rembg_sessions.core.weights import store as weights

# Folders and files that are there already


def test_home_is_u2net_home_or_the_users(tmp_path, monkeypatch):
    assert settings.home() == tmp_path / "home" / ".u2net"
    monkeypatch.setenv("U2NET_HOME", "~/elsewhere")
    assert settings.home() == tmp_path / "home" / "elsewhere"
    monkeypatch.setenv("U2NET_HOME", "")
    assert settings.home() == tmp_path / "home" / ".u2net"


def test_search_folders_in_order_and_once(tmp_path, monkeypatch):
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    user = tmp_path / "home"
    assert weights.search_folders(model(), [tmp_path / "comfy", tmp_path / "U2NET_HOME"]) == [
        tmp_path / "comfy",
        tmp_path / "U2NET_HOME",
        tmp_path / "U2NET_HOME/models/tiny",
        tmp_path / "REMBG_HOME/models/tiny",
        tmp_path / "XDG_DATA_HOME/rembg/models/tiny",
        user / ".rembg/models/tiny",
        user / ".u2net",
        tmp_path / "XDG_DATA_HOME/.u2net",
    ]


def test_sam_is_also_found_where_rembg_keeps_every_size_of_it(tmp_path):
    spec = registry.get_model("sam-vit-b-quant")
    folder = tmp_path / "home/.rembg/models/sam"
    paths = tuple(put(folder / file.file, b"x") for file in spec.weights)
    assert spec.output is Output.SAM
    assert weights.find(spec) == paths


def test_find_by_either_name_and_size(server, tmp_path):
    spec = model(row(server))
    assert weights.find(spec) is None
    put(tmp_path / "home/.u2net/tiny.onnx", DATA[:-1])
    assert weights.find(spec) is None
    by_url = put(tmp_path / "comfy/Tiny-v2.onnx")
    assert weights.find(spec, [tmp_path / "comfy"]) == (by_url,)
    assert weights.find(spec) is None
    assert server.requests == []


def test_find_is_all_or_nothing_in_the_order_of_the_rows(server, tmp_path):
    spec = model(row(server, file="b.onnx"), row(server, file="a.onnx", url=False))
    b = put(tmp_path / "one/b.onnx")
    folders = [tmp_path / "one", tmp_path / "two"]
    assert weights.find(spec, folders) is None
    a = put(tmp_path / "two/a.onnx")
    assert weights.find(spec, folders) == (b, a)


def test_find_a_model_without_weights():
    assert weights.find(model()) == ()
    assert weights.ensure(model()) == ()


def test_hand_placed_file_is_used_and_never_touched(server, tmp_path):
    path = put(tmp_path / "home/.rembg/models/tiny/Tiny-v2.onnx")
    before = path.stat().st_mtime_ns
    assert weights.ensure(model(row(server)), folders=[tmp_path / "comfy"]) == (path,)
    assert path.stat().st_mtime_ns == before
    assert server.requests == [] and not (tmp_path / "comfy").exists()


@pytest.mark.parametrize("bad", [OTHER, DATA[:-1], b""], ids=["hash", "size", "empty"])
def test_wrong_hand_placed_file_is_an_error_with_both_hashes(server, tmp_path, bad):
    path = put(tmp_path / "home/.u2net/tiny.onnx", bad)
    with pytest.raises(WeightsError) as error:
        weights.ensure(model(row(server)))
    text = str(error.value)
    for needed in (
        str(path),
        hashlib.sha256(bad).hexdigest(),
        hashlib.sha256(DATA).hexdigest(),
        f"{len(bad)} bytes",
        f"{len(DATA)} bytes",
        "Delete it",
        "model custom",
        "MODEL_CHECKSUM_DISABLED",
    ):
        assert needed in text
    assert path.read_bytes() == bad and server.requests == []


def test_a_good_copy_elsewhere_is_preferred_with_a_warning(server, tmp_path, caplog):
    bad = put(tmp_path / "comfy/tiny.onnx", OTHER)
    good = put(tmp_path / "home/.u2net/tiny.onnx")
    assert weights.ensure(model(row(server)), folders=[tmp_path / "comfy"]) == (good,)
    assert str(bad) in caplog.text and str(good) in caplog.text
    assert bad.read_bytes() == OTHER


def test_md5_where_no_sha256_is_known(server, tmp_path):
    file = row(server, sha256=None, size=None, md5=hashlib.md5(DATA).hexdigest())
    weights.verify(put(tmp_path / "good"), file)
    with pytest.raises(WeightsError, match=hashlib.md5(OTHER).hexdigest()):
        weights.verify(put(tmp_path / "bad", OTHER), file)


def test_size_alone_where_no_hash_is_known(server, tmp_path):
    file = row(server, sha256=None)
    weights.verify(put(tmp_path / "good", OTHER), file)
    with pytest.raises(WeightsError, match=f"has 3 bytes, instead of {len(DATA)} bytes"):
        weights.verify(put(tmp_path / "bad", b"abc"), file)


def test_checksum_disabled_accepts_anything(server, tmp_path, monkeypatch):
    path = put(tmp_path / "home/.u2net/tiny.onnx", b"my own")
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "")  # rembg asks whether it is set at all
    assert weights.find(model(row(server))) == (path,)
    assert weights.ensure(model(row(server))) == (path,)
    monkeypatch.delenv("MODEL_CHECKSUM_DISABLED")
    with pytest.raises(WeightsError):
        weights.ensure(model(row(server)))


def test_the_hash_that_a_file_was_verified_by(tmp_path):
    path = put(tmp_path / "tiny.onnx", DATA)
    sha256 = hashlib.sha256(DATA).hexdigest()
    assert weights.verified_sha256(path) is None
    weights.verify(path, WeightFile(file="tiny.onnx", md5=hashlib.md5(DATA).hexdigest()))
    assert weights.verified_sha256(path) is None
    weights.verify(path, WeightFile(file="tiny.onnx", sha256=sha256.upper()))
    assert weights.verified_sha256(path) == sha256
    os.utime(path, (1, 1))
    assert weights.verified_sha256(path) is None


def test_verified_once_unless_the_file_changes(server, tmp_path, monkeypatch):
    path = put(tmp_path / "tiny.onnx")
    weights.verify(path, row(server))
    hashed = []
    monkeypatch.setattr(weights, "mismatch", lambda *args: hashed.append(args))
    weights.verify(path, row(server))
    assert hashed == []
    os.utime(path, ns=(1, 1))
    weights.verify(path, row(server))
    assert len(hashed) == 1


# Downloads that work


@pytest.mark.parametrize("folders", [(), ("comfy",)], ids=["home", "comfy"])
def test_download_from_the_hub_first(server, tmp_path, folders):
    seen = []
    folder = tmp_path / folders[0] if folders else tmp_path / "home/.u2net"
    paths = weights.ensure(
        model(row(server)),
        folders=[tmp_path / name for name in folders],
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert paths == (folder / "tiny.onnx",)
    assert paths[0].read_bytes() == DATA
    assert files_in(folder) == ["tiny.onnx"]
    assert server.paths() == [HUB]
    done = [d for d, _ in seen]
    assert done == sorted(done) and done[0] == 0 and done[-1] == len(DATA)
    assert max(b - a for a, b in itertools.pairwise(done)) < 2 * MIB
    assert {total for _, total in seen} == {len(DATA)}
    server.requests.clear()
    assert weights.ensure(model(row(server)), folders=[folder]) == paths
    assert server.requests == []


def test_size_and_revision_are_optional(server):
    server.files["/hub/repo/resolve/abc/x/tiny.onnx"] = DATA
    seen = []
    file = row(server, revision="abc", size=None, sha256=None, md5=hashlib.md5(DATA).hexdigest())
    weights.ensure(model(file), on_progress=lambda done, total: seen.append(total))
    assert server.paths() == ["/hub/repo/resolve/abc/x/tiny.onnx"]
    assert seen[0] == 0 and seen[-1] == len(DATA)


def test_mirror_is_read_when_the_download_starts(server, make_server, monkeypatch, tmp_path):
    mirror = make_server()
    mirror.files = server.files
    use_hub(monkeypatch, mirror.url)
    weights.ensure(model(row(server)), folders=[tmp_path])
    assert mirror.paths() == [HUB] and server.requests == []


# Downloads that break


def test_truncated_body_is_continued(server, tmp_path):
    server.behaviours[HUB] = [truncate, truncate, serve]
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    half = len(DATA) // 2
    rest = half + (len(DATA) - half) // 2
    assert server.ranges() == [None, f"bytes={half}-", f"bytes={rest}-"]
    assert server.requests[1][1]["If-Range"] == ETAG


def test_reset_connection_is_continued(server, tmp_path):
    server.behaviours[HUB] = [reset, serve]
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.paths() == [HUB, HUB]


def test_left_over_part_is_continued(server, tmp_path):
    put(tmp_path / "tiny.onnx.part", DATA[:1000])
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.ranges() == ["bytes=1000-"]


@pytest.mark.parametrize(
    ("behave", "ranges"),
    [
        (no_range, ["bytes=1000-"]),
        (wrong_range, ["bytes=1000-", None]),
        (lambda h: (status(416) if "Range" in h.headers else serve)(h), ["bytes=1000-", None]),
    ],
    ids=["200", "wrong content-range", "416"],
)
def test_server_that_cannot_continue_makes_it_start_over(server, tmp_path, behave, ranges):
    put(tmp_path / "tiny.onnx.part", DATA[:1000])
    server.behaviours[HUB] = [behave]
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.ranges() == ranges


@pytest.mark.parametrize(
    "left", [OTHER[:1000], OTHER, OTHER + b"x"], ids=["short", "as long", "too long"]
)
def test_left_over_of_something_else_does_not_blame_the_source(server, tmp_path, left):
    put(tmp_path / "tiny.onnx.part", left)
    (path,) = weights.ensure(model(row(server, url=False)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.ranges()[-1] is None


def test_whole_left_over_needs_no_network(server, tmp_path):
    put(tmp_path / "a/tiny.onnx.part")
    put(tmp_path / "b/tiny.onnx.part")
    weights.ensure(model(row(server)), folders=[tmp_path / "a"])
    # SAM's rows have no size: only the hash can tell that nothing is missing.
    sized = row(server, size=None, sha256=None, md5=hashlib.md5(DATA).hexdigest())
    weights.ensure(model(sized), folders=[tmp_path / "b"])
    assert server.requests == []
    assert files_in(tmp_path / "b") == ["tiny.onnx"]


def test_left_over_without_a_hash_to_prove_it_is_dropped(server, tmp_path):
    put(tmp_path / "tiny.onnx.part", OTHER[:1000])
    weights.ensure(model(row(server, sha256=None)), folders=[tmp_path])
    assert server.ranges() == [None]
    assert (tmp_path / "tiny.onnx").read_bytes() == DATA


def test_source_that_brings_nothing_new_is_given_up(server, tmp_path):
    server.behaviours[HUB] = [no_range_half]  # always the same half
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.paths() == [HUB] * (1 + transfer.TRIES) + [RELEASE]
    assert server.ranges()[-1] == f"bytes={len(DATA) // 2}-"


def test_wrong_content_falls_to_the_next_source(server, tmp_path, caplog):
    server.files[HUB] = OTHER
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.paths() == [HUB, RELEASE] and server.ranges() == [None, None]
    assert hashlib.sha256(OTHER).hexdigest() in caplog.text


def test_wrong_length_is_noticed_before_the_download(server, tmp_path, caplog):
    page = b"<html>Please log in to the hotel's network</html>"
    server.files[HUB] = page
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert f"offers {len(page)} bytes, instead of {len(DATA)} bytes" in caplog.text


def test_a_web_page_is_no_model_even_where_nothing_is_checked(
    server, tmp_path, caplog, monkeypatch
):
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")

    def log_in(handler):
        page = b"<html>Please log in to the hotel's network</html>"
        head(handler, 200, len(page), Content_Type="text/html; charset=utf-8")
        handler.wfile.write(page)

    server.behaviours[HUB] = [log_in]
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert "sent a web page; perhaps this network wants you to log in" in caplog.text


def test_wrong_content_everywhere_is_an_error_and_leaves_nothing(server, tmp_path):
    server.files = dict.fromkeys(server.files, OTHER)
    with pytest.raises(WeightsError) as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    text = str(error.value)
    for needed in (server.url + HUB, server.url + RELEASE, str(tmp_path / "tiny.onnx"), "By hand"):
        assert needed in text
    assert text.count(hashlib.sha256(OTHER).hexdigest()) == 1
    assert files_in(tmp_path) == []


# The disk


def test_full_disk_is_noticed_before_writing(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeightsError) as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    for needed in ("disk is full", f"{len(DATA)} more bytes", "1000", server.url + HUB):
        assert needed in str(error.value)
    assert server.paths() == [HUB]  # another source would not help
    assert not (tmp_path / "tiny.onnx").exists()


def test_full_disk_while_writing_keeps_what_is_there(server, tmp_path, monkeypatch):
    write_all = transfer.write_all
    written = []

    def fill(stream, data):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(len(data))
        write_all(stream, data)

    monkeypatch.setattr(transfer, "write_all", fill)
    with pytest.raises(WeightsError, match="disk is full"):
        weights.ensure(model(row(server)), folders=[tmp_path])
    assert server.paths() == [HUB]
    assert (tmp_path / "tiny.onnx.part").stat().st_size == written[0]
    monkeypatch.setattr(transfer, "write_all", write_all)
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.ranges()[-1] == f"bytes={written[0]}-"


def test_short_writes_are_completed():
    class Slow:
        def __init__(self):
            self.got = b""

        def write(self, data):
            self.got += bytes(data[:3])
            return len(data[:3])

    stream = Slow()
    transfer.write_all(stream, b"0123456789")
    assert stream.got == b"0123456789"


@pytest.mark.parametrize("where", ["mkdir", "lock"])
def test_read_only_folder(server, tmp_path, monkeypatch, where):
    folder = tmp_path / "models"
    os_open, mkdir = os.open, Path.mkdir

    def locked_open(path, *args, **kwargs):
        if str(path).startswith(str(folder)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return os_open(path, *args, **kwargs)

    def locked_mkdir(self, *args, **kwargs):
        if self == folder:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return mkdir(self, *args, **kwargs)

    if where == "mkdir":
        monkeypatch.setattr(Path, "mkdir", locked_mkdir)
    else:
        monkeypatch.setattr(os, "open", locked_open)
    with pytest.raises(WeightsError) as error:
        weights.ensure(model(row(server)), folders=[folder])
    for needed in (str(folder / "tiny.onnx"), "cannot be written", "U2NET_HOME", "By hand"):
        assert needed in str(error.value)
    assert server.requests == []


def make_folder(path, other):
    path.mkdir()


def make_pipe(path, other):
    os.mkfifo(path)


def make_link(path, other):
    path.symlink_to(other)


def make_loose_link(path, other):
    path.symlink_to(other.with_name("nowhere"))


posix = pytest.mark.skipif(os.name != "posix", reason="needs pipes and links")


@posix
@pytest.mark.parametrize("make", [make_folder, make_pipe, make_link, make_loose_link])
@pytest.mark.parametrize("name", ["tiny.onnx", "net.data.1.bin", "net.data.bin"])
def test_what_is_no_file_in_place_of_the_part(server, tmp_path, make, name):
    spec = model(row(server)) if name == "tiny.onnx" else parted(server)
    other = put(tmp_path / "other", b"somebody's")
    part = tmp_path / f"{name}.part"
    make(part, other)
    with pytest.raises(WeightsError) as error:
        weights.ensure(spec, folders=[tmp_path])
    for needed in (f"{part} is in the way", "Remove it", "By hand"):
        assert needed in str(error.value)
    assert other.read_bytes() == b"somebody's" and not (tmp_path / "nowhere").exists()
    assert f"/release/{name}" not in server.paths() and HUB not in server.paths()


@posix
@pytest.mark.parametrize("make", [make_folder, make_pipe, make_loose_link])
def test_what_is_no_file_in_place_of_the_target(server, tmp_path, make):
    make(tmp_path / "tiny.onnx", tmp_path / "other")
    with pytest.raises(WeightsError, match=r"tiny\.onnx (is in the way|cannot be read).* it to"):
        weights.ensure(model(row(server)), folders=[tmp_path])
    assert server.requests == [] and os.path.lexists(tmp_path / "tiny.onnx")


@posix
@pytest.mark.parametrize("gone", ["part", "folder", "everything"])
def test_what_vanishes_while_downloading_is_not_called_a_permission(server, tmp_path, gone):
    folder = tmp_path / "models"

    def remove(done, total):
        if done >= MIB and gone == "part":
            (folder / "tiny.onnx.part").unlink(missing_ok=True)
        elif done >= MIB:
            shutil.rmtree(folder if gone == "folder" else tmp_path, ignore_errors=True)

    with pytest.raises(WeightsError, match=r"was removed while tiny\.onnx was downloaded") as error:
        weights.ensure(model(row(server)), folders=[folder], on_progress=remove)
    assert "writable" not in str(error.value) and "By hand" in str(error.value)
    tmp_path.mkdir(exist_ok=True)


@posix
def test_lock_that_vanishes_while_downloading_is_nobodys_fault(server, tmp_path):
    def remove(done, total):
        if done:
            (tmp_path / "tiny.onnx.lock").unlink(missing_ok=True)

    (path,) = weights.ensure(model(row(server)), folders=[tmp_path], on_progress=remove)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOTDIR, errno.EACCES])
def test_advice_follows_from_what_the_disk_says(server, tmp_path, monkeypatch, code):
    def fail(stream, data):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(transfer, "write_all", fail)
    with pytest.raises(WeightsError) as error:
        weights.ensure(model(row(server)), folders=[tmp_path])
    assert os.strerror(code) in str(error.value)
    assert ("writable" in str(error.value)) == (code == errno.EACCES)


# Cancelling, killing, waiting


class Stop(BaseException):
    """What ComfyUI's cancel is on newer versions."""


@pytest.mark.parametrize("error", [Stop(), TimeoutError("caller"), WeightsError("caller")])
def test_cancel_passes_through_and_the_next_call_continues(server, tmp_path, error):
    def cancel(done, total):
        if done >= MIB:
            raise error

    with pytest.raises(type(error)) as caught:
        weights.ensure(model(row(server)), folders=[tmp_path], on_progress=cancel)
    assert caught.value is error
    assert server.paths() == [HUB]
    kept = (tmp_path / "tiny.onnx.part").read_bytes()
    assert MIB <= len(kept) < len(DATA) and DATA.startswith(kept)
    assert files_in(tmp_path) == ["tiny.onnx.part"]
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.ranges()[-1] == f"bytes={len(kept)}-"


@pytest.mark.parametrize(("behave", "has"), [(silent, 0), (half_then_wait, len(DATA) // 2)])
def test_cancel_while_nothing_arrives(server, tmp_path, monkeypatch, behave, has):
    monkeypatch.setattr(network, "BREATH", 0.02)
    server.behaviours[HUB] = [behave, serve]
    told = []

    def cancel(done, total):
        told.append(done)
        if server.requests and told[-3:] == [has] * 3:
            raise Stop

    with pytest.raises(Stop):
        weights.ensure(model(row(server)), folders=[tmp_path], on_progress=cancel)
    assert server.paths() == [HUB] and not server.gave_up
    part = tmp_path / "tiny.onnx.part"
    assert (part.stat().st_size if part.exists() else 0) == has
    # the connection that still waits is in nobody's way
    (path,) = weights.ensure(model(row(server)), folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert server.ranges()[-1] == (f"bytes={has}-" if has else None)
    assert not server.gave_up


def test_no_thread_is_left_behind(server, tmp_path, monkeypatch):
    """Also where the network is faster than whoever cancels: its pieces fill the queue."""
    monkeypatch.setattr(network, "BREATH", 0.02)

    def cancel(done, total):
        if done:
            raise Stop

    with pytest.raises(Stop):
        weights.ensure(model(row(server)), folders=[tmp_path], on_progress=cancel)
    for thread in threading.enumerate():
        if thread.name == network.THREAD:
            thread.join(10)
            assert not thread.is_alive()


def test_cancel_while_another_one_downloads(server, tmp_path):
    calls = []
    error = TimeoutError("caller")

    def cancel(done, total):
        calls.append((done, total))
        if len(calls) == 3:
            raise error

    with (
        FileLock(tmp_path / "tiny.onnx.lock"),
        pytest.raises(TimeoutError) as caught,
    ):
        weights.ensure(model(row(server)), folders=[tmp_path], on_progress=cancel)
    assert caught.value is error
    assert calls == [(0, len(DATA))] * 3
    assert server.requests == []


CHILD = """
import sys
from pathlib import Path
from rembg_sessions.core.weights import store as weights
from rembg_sessions.core.registry.spec import ModelSpec, WeightFile

url, size, sha256, folder = sys.argv[1:]
file = WeightFile(file="tiny.onnx", url=url, size=int(size), sha256=sha256)
spec = ModelSpec(name="tiny", label="", session_class="", good_for="", licence="", weights=(file,))
report = lambda done, total: print(done, flush=True)
print(weights.ensure(spec, folders=[Path(folder)], on_progress=report)[0], flush=True)
"""


@pytest.fixture
def start_child(server, tmp_path):
    children = []
    facts = [server.url + RELEASE, str(len(DATA)), hashlib.sha256(DATA).hexdigest()]

    def start():
        command = [sys.executable, "-c", CHILD, *facts, str(tmp_path)]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.communicate()


def test_two_processes_download_once(server, start_child, tmp_path):
    server.behaviours[RELEASE] = [wait_then_serve]
    children = [start_child(), start_child()]
    for child in children:
        assert child.stdout.readline() == "0\n"  # about to take the lock, or waiting for it
    server.released.set()
    for child in children:
        out, _ = child.communicate(timeout=30)
        assert child.returncode == 0
        assert out.splitlines()[-1] == str(tmp_path / "tiny.onnx")
    assert server.paths() == [RELEASE]
    assert (tmp_path / "tiny.onnx").read_bytes() == DATA
    assert not (tmp_path / "tiny.onnx.lock").exists()


@pytest.mark.parametrize("part", [False, True])
def test_lock_file_goes_whatever_became_of_the_download(server, tmp_path, part):
    lock = tmp_path / "tiny.onnx.lock"
    if not part:
        server.behaviours = {HUB: [status(404)], RELEASE: [status(404)]}
        with pytest.raises(WeightsError, match="could not be downloaded"):
            weights.ensure(model(row(server)), folders=[tmp_path])
        assert files_in(tmp_path) == [] and not lock.exists()
        return

    def cancel(done, total):
        if done:
            raise Stop

    with pytest.raises(Stop):
        weights.ensure(model(row(server)), folders=[tmp_path], on_progress=cancel)
    assert not lock.exists() and (tmp_path / "tiny.onnx.part").exists()
    weights.ensure(model(row(server)), folders=[tmp_path])
    assert not lock.exists()


@posix
@pytest.mark.parametrize("followed", [False, True])
def test_a_lock_whose_file_is_gone_keeps_nobody_out(tmp_path, followed):
    """Its holder removes it, after it was opened here: another one may make and hold a new one."""
    path = tmp_path / "x.lock"
    lock, next_one = FileLock(path), FileLock(path)
    acquire = lock.acquire

    def late(timeout):
        acquire(timeout=timeout)
        path.unlink()
        if followed:
            next_one.acquire(timeout=1)

    lock.acquire = late
    assert not download._acquire(lock, path, is_soft=False)
    assert not lock.is_locked
    lock.acquire = acquire
    if followed:
        with pytest.raises(Timeout):
            download._acquire(lock, path, is_soft=False)
        next_one.release()
    assert download._acquire(lock, path, is_soft=False) and lock.is_locked
    lock.release()


def test_many_processes_that_fail_never_work_at_once(server, start_child, tmp_path):
    """Each removes the lock file that the next ones wait for."""
    busy, most = [0], []

    def work(handler):
        busy[0] += 1
        most.append(busy[0])
        time.sleep(0.05)
        busy[0] -= 1
        handler.send_error(404)

    server.behaviours[RELEASE] = [work]
    children = [start_child() for _ in range(4)]
    for child in children:
        child.communicate(timeout=60)
    assert most == [1] * 4 and files_in(tmp_path) == []


def test_threads_download_once(server, tmp_path):
    server.behaviours[HUB] = [wait_then_serve]
    begun = threading.Barrier(4)
    results = []

    def run():
        begun.wait()
        results.append(weights.ensure(model(row(server)), folders=[tmp_path]))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait()
    server.released.set()
    for thread in threads:
        thread.join()
    assert results == [(tmp_path / "tiny.onnx",)] * 3
    assert server.paths() == [HUB]
    assert not (tmp_path / "tiny.onnx.lock").exists()


def test_killed_download_leaves_nothing_that_looks_complete(server, start_child, tmp_path):
    server.behaviours[RELEASE] = [half_then_wait, serve]
    child = start_child()
    for line in child.stdout:
        if int(line) >= MIB:
            break
    child.kill()
    child.wait()
    assert files_in(tmp_path) == ["tiny.onnx.part"]
    spec = model(row(server, hub=False))
    assert weights.find(spec, [tmp_path]) is None
    (path,) = weights.ensure(spec, folders=[tmp_path])
    assert path.read_bytes() == DATA
    assert int(server.ranges()[-1].removeprefix("bytes=").removesuffix("-")) >= MIB


# Switched off


@pytest.mark.parametrize("switch", ["argument", "constant", "HF_HUB_OFFLINE", "own"])
def test_offline_asks_nobody_and_says_what_to_put_where(server, tmp_path, monkeypatch, switch):
    if switch == "constant":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif switch != "argument":
        name = "REMBG_SESSIONS_OFFLINE" if switch == "own" else switch
        monkeypatch.setenv(name, "1")
    spec = model(row(server), row(server, file="second.onnx", hub=False))
    folder = tmp_path / "comfy"
    with pytest.raises(OfflineError) as error:
        weights.ensure(spec, folders=[folder], download=switch != "argument")
    for needed in ("tiny.onnx", server.url + HUB, server.url + RELEASE, "second.onnx", str(folder)):
        assert needed in str(error.value)
    assert server.requests == [] and not folder.exists()
    first, second = put(folder / "tiny.onnx"), put(tmp_path / "home/.u2net/second.onnx")
    assert weights.ensure(spec, folders=[folder], download=False) == (first, second)


# Files in parts


def parted(server, **sizes):
    """A model whose first file has external data, published in two parts."""
    pieces = {"net.data.1.bin": DATA[:MIB], "net.data.2.bin": DATA[MIB:]}
    rows = []
    for name, data in pieces.items():
        server.files[f"/release/{name}"] = data
        digest = hashlib.md5(data).hexdigest()
        rows.append(WeightFile(file=name, url=f"{server.url}/release/{name}", md5=digest))
    server.files["/release/net.onnx"] = b"net"
    server.files["/release/tail.onnx"] = b"tail"
    net, tail = (
        WeightFile(
            file=f"{name}.onnx",
            url=f"{server.url}/release/{name}.onnx",
            md5=hashlib.md5(name.encode()).hexdigest(),
        )
        for name in ("net", "tail")
    )
    return model(net, tail, WeightFile(file="net.data.bin", parts=tuple(rows)))


def test_parts_are_joined_and_cleared_away(server, tmp_path):
    spec = parted(server)
    paths = weights.ensure(spec, folders=[tmp_path])
    assert [path.name for path in paths] == ["net.onnx", "tail.onnx", "net.data.bin"]
    assert paths[2].read_bytes() == DATA
    assert files_in(tmp_path) == ["net.data.bin", "net.onnx", "tail.onnx"]
    assert weights.find(spec, [tmp_path]) == paths
    server.requests.clear()
    assert weights.ensure(spec, folders=[tmp_path]) == paths
    assert server.requests == []


def test_parts_that_are_whole_are_not_downloaded_again(server, tmp_path):
    spec = parted(server)
    server.behaviours["/release/net.data.2.bin"] = [status(404), serve]
    with pytest.raises(WeightsError, match=r"net\.data\.2\.bin answered 404"):
        weights.ensure(spec, folders=[tmp_path])
    assert not (tmp_path / "net.data.bin").exists()
    server.requests.clear()
    weights.ensure(spec, folders=[tmp_path])
    assert server.paths() == ["/release/net.data.2.bin"]
    assert (tmp_path / "net.data.bin").read_bytes() == DATA


def test_hand_placed_parts_are_used_offline_and_kept(server, tmp_path):
    spec = parted(server)
    put(tmp_path / "net.onnx", b"net")
    put(tmp_path / "tail.onnx", b"tail")
    part = put(tmp_path / "net.data.1.bin", DATA[:MIB])
    with pytest.raises(OfflineError) as error:
        weights.ensure(spec, folders=[tmp_path], download=False)
    lines = [line for line in str(error.value).splitlines() if line.startswith("- ")]
    assert lines == [f"- net.data.2.bin from {server.url}/release/net.data.2.bin"]
    put(tmp_path / "net.data.2.bin", DATA[MIB:])
    paths = weights.ensure(spec, folders=[tmp_path], download=False)
    assert paths[2].read_bytes() == DATA and part.read_bytes() == DATA[:MIB]
    assert server.requests == []


def test_external_data_must_lie_beside_its_network(server, tmp_path):
    spec = parted(server)
    one, two = tmp_path / "one", tmp_path / "two"
    put(one / "net.onnx", b"net")
    tail = put(one / "tail.onnx", b"tail")
    data = put(two / "net.data.bin")
    assert weights.find(spec, [one, two]) is None
    net = put(two / "net.onnx", b"net")
    assert weights.find(spec, [one, two]) == (net, tail, data)
    assert weights.ensure(spec, folders=[one, two], download=False) == (net, tail, data)


def test_registry_pairs_only_the_network_with_external_data():
    groups = weights._groups(registry.get_model("sam-vit-h"))
    assert [[file.file for file in group] for group in groups] == [
        ["sam_vit_h_4b8939.encoder.onnx", "sam_vit_h_4b8939.encoder_data.bin"],
        ["sam_vit_h_4b8939.decoder.onnx"],
    ]


def test_full_disk_before_joining(server, tmp_path, monkeypatch):
    spec = parted(server)
    monkeypatch.setattr(weights, "_offline_reason", lambda download: None)
    usage = shutil.disk_usage(tmp_path)._replace(free=len(DATA) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match="disk is full"):
        weights.ensure(spec, folders=[tmp_path])
    assert not (tmp_path / "net.data.bin").exists()


# The user's own files
