"""The engine ray of the command batch, on real clusters of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from rembg_sessions.core import cli

ROOT = Path(__file__).resolve().parents[2]
COUNT = 30


def save(folder, count):
    """Pictures that take a tenth of a second each, and a broken one."""
    (folder / "sub").mkdir(parents=True)
    for number in range(count):
        small = np.random.default_rng(number).integers(0, 200, (30, 40, 3), dtype=np.uint8)
        place = folder / ("sub" if number % 2 else ".") / f"{number:02d}.jpg"
        Image.fromarray(small).resize((900, 700)).save(place)
    (folder / "broken.jpg").write_bytes(b"broken")


@pytest.fixture
def source(tmp_path):
    save(tmp_path / "in", COUNT)
    return tmp_path / "in"


@pytest.fixture
def ray():
    if sys.platform == "win32":
        pytest.skip("sends signals of Unix")
    return pytest.importorskip("ray.data", reason='Ray is not here: pip install "ray[data]"')


@pytest.fixture
def start(tmp_path, network, ray):
    """Start the command as a process; the network is a tiny one."""
    network("u2net.onnx")
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments, **variables):
        command = [sys.executable, "-m", "rembg_sessions", "batch", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "MODEL_CHECKSUM_DISABLED": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def end(process):
    """Wait for a process; returns its code and what it said."""
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def rows(place):
    text = place.read_text("utf-8") if place.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def outputs(target):
    found = (path for path in target.rglob("*") if path.is_file() and path.suffix != ".jsonl")
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in found}


def until(found, process):
    """Wait until something is true of a process that runs."""
    ends = time.monotonic() + 120
    while time.monotonic() < ends and process.poll() is None:
        if result := found():
            return result
        time.sleep(0.01)
    raise AssertionError(f"It never was; {end(process)}")


def workers(process):
    """The actors below a process that have something to do."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if child.cmdline()[:1] and child.cmdline()[0].startswith("ray::MapWorker"):
                found.append(child.pid)
        except psutil.Error:  # it has just ended
            continue
    return found


def ended(place):
    return [row for row in rows(place) if row["state"] in ("done", "failed")]


def test_a_worker_that_is_killed(tmp_path, start):
    count, in_block = 96, 6
    save(tmp_path / "in", count)
    assert end(start("in", "plain"))[0] == 1
    target = tmp_path / "out"
    place = target / "manifest.jsonl"
    process = start("in", "out", "--engine", "ray", "--concurrency", "2", "--json")

    def stopped_within_blocks():
        """Both, stopped where each has written outputs that it has not told of."""
        found = workers(process)
        if len(found) < 2 or len(ended(place)) < 3:
            return None
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)  # for what was told
        if len(list(target.rglob("*.png"))) - len(ended(place)) > in_block:
            return found
        for pid in found:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.15)
        return None

    victim, other = until(stopped_within_blocks, process)
    os.kill(victim, signal.SIGKILL)
    os.kill(other, signal.SIGCONT)
    code, out, err = end(process)
    assert code == 1 and f"{count} cut out on CPU, 1 failed" in err
    counts = Counter((row["source"], row["state"]) for row in rows(place))
    assert set(counts.values()) == {1}
    assert Counter(state for _, state in counts) == {
        **{"planned": count + 1, "done": count, "failed": 1}
    }
    assert [row for row in ended(place) if row["milliseconds"] is None], "found, not made again"
    assert len(out.splitlines()) == count + 1, "a line of JSON for each, and nothing else"
    assert outputs(target) == outputs(tmp_path / "plain"), "no half file, none missing"
    facts = [
        {row["source"]: (row["output"], row["model"], row["error"]) for row in ended(each)}
        for each in (place, tmp_path / "plain" / "manifest.jsonl")
    ]
    assert facts[0] == facts[1]


def test_ctrl_c_ends_it_and_the_other_engine_goes_on(source, tmp_path, start):
    place = tmp_path / "out" / "manifest.jsonl"
    process = start("in", "out", "--engine", "ray", "--concurrency", "1")
    until(lambda: len(ended(place)) >= 3, process)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    code, _, err = end(process)
    assert code == 130 and err.rstrip().endswith("Cancelled.") and "Traceback" not in err
    assert not psutil.wait_procs(below, timeout=30)[1], "Ray's processes end, too"
    before = len(ended(place))
    assert before <= COUNT
    code, _, err = end(start("in", "out"))
    assert code == 1 and "done already" in err
    counts = Counter((row["source"], row["state"]) for row in rows(place))
    assert set(counts.values()) == {1} and len(ended(place)) == COUNT + 1
    assert len(outputs(tmp_path / "out")) == COUNT
    code, _, err = end(start("in", "out", "--engine", "ray", "--retry-failed"))
    assert code == 1 and "0 cut out on CPU, 1 failed" in err
    (source / "broken.jpg").unlink()
    Image.new("RGB", (40, 30), "red").save(source / "broken.jpg")
    assert end(start("in", "out", "--engine", "ray", "--retry-failed"))[0] == 0


def test_what_keeps_models_from_opening_is_said_once(source, home, start):
    process = start("in", "out", "--engine", "ray", "-m", "silueta")
    code, _, err = end(process)
    assert code == 1 and "The model silueta is not installed" in err and "Traceback" not in err
    assert err.count("error:") == 1


def test_a_worker_that_fits_nowhere(source, start):
    code, _, err = end(start("in", "out", "--engine", "ray", "--num-gpus", "99"))
    assert code == 1 and "A worker takes 1 CPUs and 99 GPUs" in err


def test_addresses(source, tmp_path, start):
    """Of one disk, in place of a bucket: they are read and written by fsspec, too."""
    pytest.importorskip("fsspec", reason="fsspec is not installed: pip install fsspec")
    address = f"local://{source}"
    arguments = (address, f"{address}/cutouts", "--engine", "ray", "--manifest", "done.jsonl")
    code, _, err = end(start(*arguments))
    assert code == 1 and f"{COUNT} cut out on CPU, 1 failed" in err
    assert len(outputs(source / "cutouts")) == COUNT
    code, _, err = end(start(*arguments))
    assert code == 1 and f"{COUNT} are done already" in err


# -- a cluster that is there ---------------------------------------------------------------------

# What Python says where a package is not installed.
ABSENT = """
import sys
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "rembg_sessions":
            raise ModuleNotFoundError("No module named 'rembg_sessions'", name=name)
sys.meta_path.insert(0, Finder)
"""


@pytest.fixture
def cluster(tmp_path, ray):
    """Start a cluster of its own, with variables; returns its address."""
    started = []

    def begin(**variables):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = server.getsockname()[1]
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **variables}
        ray_script = [sys.executable, "-m", "ray.scripts.scripts"]
        command = [*ray_script, "start", "--head", "--block", "--num-cpus=2", f"--port={port}"]
        command += ["--include-dashboard=false", "--disable-usage-stats"]
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        for line in process.stdout:
            if b"--block" in line or b"runtime started" in line:
                return f"127.0.0.1:{port}"
        raise AssertionError("the cluster did not start")

    yield begin
    for process in started:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.communicate(timeout=60)
        psutil.wait_procs(children, timeout=30)


def test_a_cluster_by_its_address(source, tmp_path, start, cluster):
    address = cluster(MODEL_CHECKSUM_DISABLED="1")
    code, _, err = end(start("in", "out", "--engine", "ray", "--address", address))
    assert code == 1 and f"{COUNT} cut out on CPU, 1 failed" in err
    assert f"Joining the Ray cluster at {address}" in err
    code, _, err = end(start("in", "two", "--engine", "ray", RAY_ADDRESS=address))
    assert f"Joining the Ray cluster at {address}" in err
    assert outputs(tmp_path / "two") == outputs(tmp_path / "out")
    assert end(start("in", "three"))[0] == 1
    assert outputs(tmp_path / "three") == outputs(tmp_path / "out")


def test_workers_without_the_package(source, tmp_path, start, cluster):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ABSENT)
    address = cluster(PYTHONPATH=str(folder))
    code, _, err = end(start("in", "out", "--engine", "ray", "--address", address))
    assert code == 1 and "error: The workers have no rembg-sessions" in err.splitlines()[-1]
    assert all(len(line) < 300 for line in err.splitlines()), "no trace of calls"


# -- without Ray ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "ray", "--watch"], "--watch is not for --engine ray"),
        (["--engine", "ray", "--jobs", "2"], "--jobs is not for --engine ray"),
        (["--engine", "ray", "--device-id", "1"], "--device-id is not for --engine ray"),
        (["--address", "host:6379"], "--address is for --engine ray"),
        (["--num-gpus", "1"], "--num-gpus is for --engine ray"),
        (["--concurrency", "1-2"], "--concurrency is for --engine ray"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, arguments, said, capsys):
    (tmp_path / "in").mkdir()
    assert cli.main(["batch", str(tmp_path / "in"), str(tmp_path / "out"), *arguments]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "argument",
    ["--concurrency=0", "--concurrency=3-2", "--concurrency=two", "--num-gpus=1.5", "--num-gpus=x"],
)
def test_options_out_of_range(argument, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["batch", "in", "out", "--engine", "ray", argument])
    assert ended.value.code == 2 and argument.partition("=")[2] in capsys.readouterr().err


def test_without_ray_one_sentence_says_how_to_get_it(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    options = ["-m", "backdrop", "--engine", "ray"]
    assert cli.main(["batch", str(source), str(tmp_path / "out"), *options]) == 1
    said = capsys.readouterr().err
    assert "needs the extra ray" in said and "pip install 'ray[data]'" in said
