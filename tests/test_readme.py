"""The commands of the README, run literally, one after the other, as somebody new would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")

posix = pytest.mark.skipif(os.name != "posix", reason="the commands are for a shell of Unix")


def commands() -> list[str]:
    (block,) = re.findall(r"## Shell\n.*?```sh\n(.+?)```", README, re.DOTALL)
    return block.splitlines()


@posix
def test_the_commands_run_one_after_the_other(tmp_path, network, home):
    """In a clone where make has been run; the networks are tiny ones under the real names."""
    for name in ("u2net", "isnet-general-use"):
        network(f"{name}.onnx", size_hw=None)
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    script = scripts / "rembg-sessions"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rembg_sessions "$@"\n')
    script.chmod(0o755)
    (tmp_path / "tests").mkdir()
    shutil.copytree(ROOT / "tests" / "sample", tmp_path / "tests" / "sample")
    first, *rest = commands()
    assert first == "make demo"
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(rest)],
        cwd=tmp_path,
        env={**os.environ, "MODEL_CHECKSUM_DISABLED": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    named = re.findall(r"([\w-]+\.(?:png|jpg|webp))\b(?!/)", " ".join(rest))
    assert set(named) <= written
    assert "installed" in done.stdout.lower() and "rembg-sessions 0" in done.stdout
    with Image.open(tmp_path / "shop" / "thistle.jpg") as shop:
        assert shop.size == (2000, 2000)


def test_every_option_that_is_named_is_there():
    """Of the shell, in the README: none was renamed."""
    from rembg_sessions.core.cli.arguments import parser

    subparsers = next(a for a in parser()._actions if hasattr(a, "choices") and a.choices)
    known = {text for each in subparsers.choices.values() for text in each._option_string_actions}
    named = set(re.findall(r"`(--[a-z-]+)", README)) | set(
        re.findall(r"\s(--[a-z-]+)", "\n".join(commands()))
    )
    assert named and named <= known
