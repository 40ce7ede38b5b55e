"""The shell: odd names, faults of the disk, signals, environments, options."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unicodedata
import warnings
from pathlib import Path

import pytest
from fuzzing import MOST_LINES, Watch, listening
from PIL import Image

from helpers import Whole
from rembg_sessions.core import cli
from rembg_sessions.core.cli import needed, one_picture
from rembg_sessions.core.cli.arguments import parser

POSIX = os.name == "posix"
PROGRAM = [sys.executable, "-m", "rembg_sessions"]
CODES = (0, 1, 2, 3, 130)
LINE = 2000
"""Characters of a line that is said, at most: paths may be long."""
STOPPED = re.compile(r"The run was stopped; (\d+) (?:is|are) left to do\.$", re.MULTILINE)
SUMMARY = re.compile(r"^(\d+) cut out on .*, (\d+) failed\.$", re.MULTILINE)


def counts(short, long):
    """Run a test for a short time, and for a long one where it is asked for."""
    slow = pytest.param(long, id="long", marks=pytest.mark.slow)
    return pytest.mark.parametrize("count", [pytest.param(short, id="short"), slow])


@pytest.fixture
def watch():
    """Watch calls, and fail where one was wrong."""
    found = Watch()
    with listening(found), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about damage, which is what there is
        yield found
    found.verdict()


class Session(Whole):
    """Finds everything, in no time."""

    provider = "CPU"

    def open(self):
        pass


def shell(watch, label, *arguments, stdin=b"", lines=MOST_LINES):
    """Call the command line in this process; returns its exit code and what it wrote.

    Checked is what holds whatever it is called with.
    """
    streams = {
        "stdin": io.TextIOWrapper(io.BytesIO(stdin)),
        "stdout": io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n"),
        "stderr": io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", newline="\n"),
    }

    def call():
        try:
            return cli.main([*map(str, arguments)])
        except SystemExit as ended:
            return ended.code

    with pytest.MonkeyPatch.context() as patch:
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        code = watch.call(str(label), call)
    for name in ("stdout", "stderr"):
        streams[name].flush()
    err = streams["stderr"].buffer.getvalue()
    if code is not None:
        check_end(watch, label, code, err, lines)
    return code, streams["stdout"].buffer.getvalue(), err.decode()


def check_end(watch, label, code, err, lines=MOST_LINES):
    """Check how a call of the command line ended."""
    said = err.decode("utf-8", "backslashreplace").replace(os.linesep, "\n")
    watch.check(label, code in CODES, f"ended with {code}: {said[-200:]!r}")
    watch.check(label, "Traceback" not in said, f"a traceback: {said[-300:]!r}")
    shown = said.replace("\n", "").replace("\r", "")  # a bar goes back to where it began
    odd = [char for char in shown if not (char.isprintable() or unicodedata.category(char) == "Zs")]
    watch.check(label, not odd, f"control characters {odd[:9]}: {said[:300]!r}")
    # all that a bar shows is one line
    found = [line.rpartition("\r")[2] for line in said.splitlines()]
    watch.check(label, len(said.split("\n")) <= lines + 1, f"too many lines: {found[:3]}")
    longest = max(map(len, found), default=0)
    watch.check(label, longest <= LINE, f"a line of {longest} characters: {said[:200]!r}")


def shown(name):
    """Return a name as it is shown: escaped where it could steer a terminal."""
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == "Zs" else repr(char)[1:-1]
        for char in str(name)
    )


def contents(folder):
    """Return what lies in a folder: the bytes of files, where links lead, None for the rest."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink():
                found[path] = str(path.readlink())
            else:
                found[path] = path.read_bytes() if path.is_file() else None
    return found


def size_of(data):
    """Return the size of a picture, which tells which one it is; None if it is none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            return picture.size
    except Exception:
        return None


# -- odd names ------------------------------------------------------------------------------

STEMS = [
    *("a", "A", "a b", " a", "a ", "a.", "a\nb", "a\tb", "\x1b[31mred", "\u202egnp", "\x85", "🌵"),
    *("é", "e\u0301", "ß", "SS", "\u5b57" * 83, "x" * 251, "-a", "--overwrite", "-", ".hidden"),
    *("..a", "a.tar", "a.png", "A.PNG", "a.jpg", "a.png.jpg", "a.png.png", "%s", "%(x)s", "{a}"),
    *("'", '"', "a\\b", "*", "?", "~", "~root", "$HOME", "#", "0", "&", ";"),
    *(os.fsdecode(b"\xff\xfe"), os.fsdecode(b"caf\xe9"), "\u200b", "a\u0301" * 60, "9\u202fPM"),
]
if POSIX:  # elsewhere they are devices, and parts of files
    STEMS += ["con", "CON", "a:b"]
SUFFIXES = {
    **{".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".tif": "TIFF"},
    **{".PNG": "PNG", ".Jpg": "JPEG", ".bmp": "BMP"},
}
OTHERS = [
    *("note.txt", "p.png.part", "a.part", "._a.png", "png", "Thumbs.db", ".DS_Store", "a.pdf"),
    *(".rembg-0123456789abcdef.part", "a.heic", "x.svg", "a.png~"),
]


class Tree:
    """A folder of pictures, each of a size of its own, and what people keep beside them."""

    def __init__(self, rng, root):
        self.rng, self.root = rng, root
        self.source, self.target = root / "in", root / "out"
        self.numbers = itertools.count()
        for path in (self.source, root / "elsewhere", self.target):
            path.mkdir(parents=True)
        self.folders = [self.source, self.source, self.source]
        for _ in range(rng.randrange(4, 40)):
            # a name that this file system does not take is none that can be met on it
            with contextlib.suppress(OSError, NotImplementedError, UnicodeEncodeError):
                self.add()
        for _ in range(rng.choice((0, 0, 1, 3))):
            with contextlib.suppress(OSError, NotImplementedError, UnicodeEncodeError):
                self.add_output()

    def picture(self, suffix):
        """Return the bytes of a picture of a size that no other has."""
        number = next(self.numbers)
        buffer = io.BytesIO()
        picture = Image.new("RGB", (1 + number % 30, 1 + number // 30), "red")
        picture.save(buffer, SUFFIXES[suffix])
        return buffer.getvalue()

    def add(self):
        """Add something to the inputs."""
        rng = self.rng
        suffix = rng.choice([*SUFFIXES])
        name = rng.choice(STEMS) + suffix
        path = rng.choice(self.folders) / (rng.choice(OTHERS) if rng.random() < 0.1 else name)
        if os.path.lexists(path):
            return
        kind = rng.choice(
            [
                *(*12 * ["picture"], "damaged", "empty", "folder", "folder", "gone", "loop"),
                *("link", "link", "outside", "linked folder", "linked folder", "pipe", "socket"),
            ]
        )
        inside = [each for each in self.source.rglob("*") if each.is_file()]
        if kind == "folder":
            path = path.with_name(rng.choice(STEMS))
            path.mkdir()
            self.folders.append(path)
        elif kind == "linked folder":
            to = rng.choice([*self.folders, self.root / "elsewhere", self.root, self.target])
            path.with_name(rng.choice(STEMS)).symlink_to(to, target_is_directory=True)
        elif kind == "gone":
            path.symlink_to("gone.png")
        elif kind == "loop":
            path.symlink_to(path.name)
        elif kind == "link" and inside:
            path.symlink_to(rng.choice(inside))
        elif kind == "outside":
            to = self.root / "elsewhere" / f"{next(self.numbers)}{suffix}"
            to.write_bytes(self.picture(suffix))
            path.symlink_to(to)
        elif kind == "pipe" and POSIX:
            os.mkfifo(path)
        elif kind == "socket" and POSIX:
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
                made.bind(str(path))
        elif kind == "empty":
            path.touch()
        elif kind == "damaged":
            path.write_bytes(self.picture(suffix)[:-9])
        else:
            path.write_bytes(self.picture(suffix))

    def add_output(self):
        """Put something of somebody's into the folder of the outputs."""
        rng = self.rng
        path = self.target / rng.choice(
            (*OTHERS, *(f"{rng.choice(STEMS)}{suffix}" for suffix in ("", ".png", ".png.png")))
        )
        kind = rng.choice(("file", "folder", "link", "folder link", "back"))
        if kind == "file":
            path.write_bytes(b"precious")
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to(rng.choice(("gone", *self.source.iterdir())))
        else:
            to = self.source if kind == "back" else self.root / "elsewhere"
            path.symlink_to(to, target_is_directory=True)

    def pictures(self):
        """Yield what the names of pictures lead to: paths, folders once, links followed."""
        seen, folders = set(), [self.source]
        while folders:
            folder = folders.pop()
            real = os.path.realpath(folder)
            if real in seen or real == os.path.realpath(self.target):
                continue
            seen.add(real)
            for path in folder.iterdir():
                if path.name.startswith("._"):
                    continue
                if path.is_dir():
                    folders.append(path)
                elif path.suffix.lower() in (".png", ".jpg", ".webp", ".gif", ".tif", ".bmp"):
                    yield path


def sized(found, folder):
    """Return how many pictures below a folder have each size."""
    sizes = {}
    for path, data in found.items():
        if path.is_relative_to(folder) and isinstance(data, bytes):
            size = size_of(data)
            sizes[size] = sizes.get(size, 0) + 1
    return sizes


def check_run(watch, label, tree, before, result, unsure=()):
    """Check what a run over a tree of pictures did.

    Parameters
    ----------
    before
        What lay there, see :func:`contents`.
    unsure
        Paths that something else changed meanwhile.
    """
    code, _, said = result
    after = contents(tree.root)
    watch.check(label, "Nothing is left to do" not in said or code == 0, f"ended with {code}")
    changed = [p for p in before if p not in unsure and after.get(p, 0) != before[p]]
    watch.check(label, not changed, f"changed {changed[:3]}")
    new = {path: data for path, data in after.items() if path not in before}
    astray = [path for path in new if not path.is_relative_to(tree.target)]
    watch.check(label, not astray, f"wrote {astray[:3]}")
    made = {path: data for path, data in new.items() if data is not None}
    rests = [path for path in made if path.name.endswith(".part")]
    watch.check(label, not rests, f"left {rests[:3]}")
    broken = [path for path, data in made.items() if size_of(data) is None]
    watch.check(label, not broken, f"unreadable outputs: {broken[:3]}")
    summary = SUMMARY.search(said)
    cut, failed = map(int, summary.groups()) if summary else (0, 0)
    watch.check(label, cut == len(made), f"said {cut}, made {len(made)}")
    if summary:
        watch.check(label, code == (1 if failed else 0), f"ended with {code}: {said[-200:]!r}")
    # each picture has an output, which is told by its size, or is named as a failure
    sizes = sized(after, tree.target)
    for path in tree.pictures():
        name = path.relative_to(tree.source)
        if {path, Path(os.path.realpath(path))} & {*unsure} or shown(name.name) in said:
            continue
        size = size_of(path.read_bytes()) if path.is_file() else None
        stem, kept = tree.target / name.with_suffix(""), tree.target / f"{name}.png"
        kept = [*(p for p in before if p in (stem.with_name(f"{stem.name}.png"), kept))]
        watch.check(label, sizes.get(size) or kept, f"{name} ({size}) is lost: {said[-300:]!r}")


@pytest.fixture
def quick(monkeypatch):
    """Cut out in no time."""
    monkeypatch.setattr(needed, "get_session", lambda *a, **k: Session())


@counts(12, 120)
def test_odd_names(count, watch, tmp_path, quick):
    rng = random.Random(1)
    for number in range(count):
        tree = Tree(rng, tmp_path / str(number))
        before = contents(tree.root)
        arguments = ("cutout", tree.source, tree.target)
        first = shell(watch, f"{number}", *arguments, lines=99)
        check_run(watch, f"{number}", tree, before, first)
        # again: there is nothing to do, but for what failed
        done = contents(tree.root)
        code, _, said = shell(watch, f"{number} again", *arguments, lines=99)
        watch.check(number, contents(tree.root) == done, "the second run changed something")
        summary = SUMMARY.search(said)
        watch.check(number, not summary or summary[1] == "0", f"again: {said[-200:]!r}")
        watch.check(number, code == first[0] or summary, f"{first[0]}, then {code}: {said!r}")
        # over what is there: never over a picture that is cut out
        shell(watch, f"{number} over", *arguments, "--overwrite", lines=99)
        inputs = {path for path in before if path.is_relative_to(tree.source)}
        after = contents(tree.root)
        lost = [path for path in inputs if after.get(path, 0) != before[path]]
        watch.check(f"{number} over", not lost, f"overwrote {lost[:3]}")
        shutil.rmtree(tree.root)


@counts(10, 100)
def test_files_that_vanish_or_change(count, watch, tmp_path, quick, monkeypatch):
    rng, opened = random.Random(2), one_picture.read_file
    for number in range(count):
        tree = Tree(rng, tmp_path / str(number))
        before, touched = contents(tree.root), set()

        def meddle(tree=tree, touched=touched, before=before):
            kind = rng.choice(("remove", "change", "grow", "folder", "new"))
            files = [path for path in before if path.is_relative_to(tree.source)]
            path = rng.choice(files or [tree.source])
            with contextlib.suppress(OSError):
                if kind == "new":
                    path = path.with_name(f"new{next(tree.numbers)}.png")
                    path.write_bytes(tree.picture(".png"))
                elif path.is_symlink() or not path.is_dir():
                    touched.update({path, path.resolve(), *tree.pictures()})
                    path.unlink()
                    if kind == "change":
                        path.write_bytes(b"something else")
                    elif kind == "folder":
                        path.mkdir()
                touched.update({path, Path(os.path.realpath(path))})

        def read_file(given, meddle=meddle):
            if rng.random() < 0.3:
                meddle()
            return opened(given)

        monkeypatch.setattr(one_picture, "read_file", read_file)
        result = shell(watch, f"{number}", "cutout", tree.source, tree.target, lines=99)
        before.update(dict.fromkeys(path for path in touched if path.exists()))
        check_run(watch, f"{number}", tree, before, result, touched)
        shutil.rmtree(tree.root)


# -- faults ---------------------------------------------------------------------------------


class Faults:
    """Lets some of the calls fail that write files."""

    def __init__(self, rng, patch):
        self.rng, self.failed, self.chance = rng, 0, 0.3
        opened = Path.open

        def open_file(path, mode="r", *arguments, **options):
            file = opened(path, mode, *arguments, **options)
            if "x" in mode or "w" in mode:
                write = file.write
                patch.setattr(file, "write", lambda data: self.write(write, data), raising=False)
            return file

        patch.setattr(Path, "open", self.failing(open_file, lambda path, mode="r", *_: "x" in mode))
        for name in ("replace", "mkdir", "unlink"):
            patch.setattr(Path, name, self.failing(getattr(Path, name)))

    def error(self):
        number = self.rng.choice((errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE))
        self.failed += 1
        return OSError(number, os.strerror(number))

    def failing(self, function, when=lambda *_: True):
        def call(*arguments, **options):
            if when(*arguments) and self.rng.random() < self.chance / 4:
                raise self.error()
            return function(*arguments, **options)

        return call

    def write(self, write, data):
        if self.rng.random() < self.chance:
            write(data[: len(data) // 2])
            raise self.error()
        return write(data)


def pictures(folder, count, size=(64, 48)):
    """Write pictures of a square before a plain backdrop."""
    folder.mkdir(parents=True)
    for number in range(count):
        picture = Image.new("RGB", (size[0] + number, size[1]), "white")
        picture.paste((200, 10, 10), (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2))
        picture.save(folder / f"{number}.png")


def check_outputs(watch, label, target, cut=None):
    """Check that whatever has the name of an output is one."""
    found = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    rests = [path for path in found if path.suffix == ".part"]
    outputs = [path for path in found if path not in rests]
    watch.check(label, not rests, f"left {rests[:3]}")
    broken = [path for path in outputs if size_of(found[path]) is None]
    watch.check(label, not broken, f"unreadable outputs {broken[:3]}")
    watch.check(label, cut in (None, len(outputs)), f"said {cut}, made {len(outputs)}")


@counts(20, 150)
def test_a_disk_that_fails(count, watch, tmp_path, quick):
    rng = random.Random(3)
    pictures(tmp_path / "in", 9)
    arguments = "cutout", tmp_path / "in", tmp_path / "out"
    for number in range(count):
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(rng, patch)
            code, _, said = shell(watch, number, *arguments, lines=20)
        summary = SUMMARY.search(said)
        cut, failed = map(int, summary.groups()) if summary else (0, 0)
        stopped = STOPPED.search(said)
        left = int(stopped[1]) if stopped else 0
        watch.check(number, cut + failed + left == 9, f"said {said[-200:]!r}")
        watch.check(number, code == (failed > 0), f"ended with {code}, {failed} failed")
        named = [f"{n}.png" for n in range(9) if f"in{os.sep}{n}.png" in said]
        watch.check(number, len(named) == failed, f"{failed} failed, named {named}")
        # what the disk did not let go may be left for the next run
        rests = list((tmp_path / "out").glob("*.part"))
        watch.check(number, len(rests) <= faults.failed, f"left {rests}")
        code, _, said = shell(watch, f"{number} again", *arguments)
        watch.check(number, code == 0, f"again {code}: {said!r}")
        check_outputs(watch, number, tmp_path / "out", 9)
        shutil.rmtree(tmp_path / "out")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 100 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)], capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_or_read_only(small_disk, watch, tmp_path, quick):
    rng = random.Random(4)
    for number in range(9):
        path = tmp_path / "in" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.frombytes("RGB", (90, 70), rng.randbytes(90 * 70 * 3)).save(path)
    arguments = "cutout", tmp_path / "in", small_disk / "out"
    code, _, said = shell(watch, "full", *arguments, lines=20)
    summary = SUMMARY.search(said)
    watch.check("full", code == 1 and summary, f"{code}: {said[-200:]!r}")
    watch.check("full", said.count("No space left") == int(summary[2]) == 1, said[-300:])
    watch.check("full", STOPPED.search(said), said[-300:])
    check_outputs(watch, "full", small_disk, int(summary[1]))
    before = contents(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, _, said = shell(watch, "read-only", *arguments, lines=20)
    refused = "out cannot be written to. Name another output, or make it writable."
    watch.check("read-only", code == 1 and refused in said, said[-300:])
    subprocess.run(["mount", "-o", "remount,rw,size=10m", str(small_disk)], check=True)
    watch.check("read-only", contents(small_disk) == before, "changed something")
    code, _, said = shell(watch, "again", *arguments)
    watch.check("again", code == 0, f"{code}: {said!r}")
    check_outputs(watch, "again", small_disk, 9)


@pytest.mark.skipif(not POSIX or os.geteuid() == 0, reason="everything can be read and written")
def test_what_may_not_be_read_or_written(watch, tmp_path, quick):
    source, target = tmp_path / "in", tmp_path / "out"
    for name in ("closed", "open", "names only"):
        pictures(source / name, 2)
    Image.new("RGB", (5, 5)).save(source / "secret.png")
    locked = {source / "closed": 0, source / "names only": 0o444, source / "secret.png": 0}
    for path, mode in locked.items():
        path.chmod(mode)
    code, _, said = shell(watch, "read", "cutout", source, target, lines=20)
    for path in locked:
        path.chmod(0o755)
        watch.check("read", f"{path.name}" in said, f"{path.name} is lost: {said[-300:]!r}")
    watch.check("read", code == 1, f"ended with {code}")
    check_outputs(watch, "read", target, 2)
    target.chmod(0o555)
    code, _, said = shell(watch, "write", "cutout", source, target, lines=20)
    target.chmod(0o755)
    watch.check("write", code == 1, f"ended with {code}")
    watch.check("write", "or make it writable" in said, said)
    check_outputs(watch, "write", target, 2)


# -- signals --------------------------------------------------------------------------------


def environment(**changes):
    """Return the environment with changes; None takes a variable away."""
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **changes}
    return {name: text for name, text in found.items() if text is not None}


@pytest.mark.skipif(not POSIX, reason="Windows has other signals")
@pytest.mark.parametrize("number", ["SIGINT", "SIGKILL"])
@counts(2, 10)
def test_signals(count, number, watch, tmp_path):
    rng, amount = random.Random(number), 8 if count == 2 else 30
    pictures(tmp_path / "in", amount, (256, 200))
    command = [*PROGRAM, "cutout", "in", "out", "-m", "backdrop"]
    target = tmp_path / "out"
    target.mkdir()
    for attempt in range(count):
        label = f"{number} {attempt}"
        there = len(list(target.iterdir()))
        run = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
        while run.poll() is None and len(list(target.iterdir())) <= there:
            time.sleep(0.005)  # from now on there is work to be broken off
        time.sleep(rng.uniform(0, 0.025) * amount)
        run.send_signal(signal.Signals[number])
        said = run.communicate(timeout=30)[1]
        watch.calls += 1
        if number == "SIGINT":
            check_end(watch, label, run.returncode, said)
            watch.check(label, run.returncode in (130, 0), f"ended with {run.returncode}")
            check_outputs(watch, label, target)
        rests = [path for path in target.iterdir() if path.suffix == ".part"]
        watch.check(label, len(rests) <= 1, f"left {rests}")
        if attempt % 2 == 0:
            before = contents(target)
            run = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
            check_end(watch, f"{label} again", run.returncode, run.stderr)
            watch.check(label, run.returncode == 0, f"again: {run.returncode}")
            check_outputs(watch, f"{label} again", target, amount)
            after = contents(target)
            redone = [p for p in before if p.suffix != ".part" and after.get(p) != before[p]]
            watch.check(label, not redone, f"again: {redone[:3]}")
            for path in rng.sample(sorted(target.iterdir()), amount - 2):
                path.unlink()


@pytest.mark.skipif(not POSIX, reason="Windows has other signals")
@counts(2, 8)
def test_cancelling_while_it_starts(count, watch, tmp_path):
    rng = random.Random(5)
    # what the installed command does; it says when it has begun: Python's own start is not ours
    code = "import os, sys; from rembg_sessions.__main__ import main"
    command = [sys.executable, "-c", f"{code}; os.write(2, b'.'); sys.exit(main())", "models"]
    for attempt in range(count):
        run = subprocess.Popen(command, cwd=tmp_path, stdout=-1, stderr=-1, env=environment())
        run.stderr.read(1)
        time.sleep(rng.uniform(0.005, 0.2))
        run.send_signal(signal.SIGINT)
        said = run.communicate(timeout=30)[1]
        watch.calls += 1
        check_end(watch, attempt, run.returncode, said)
        watch.check(attempt, run.returncode in (130, 0), f"ended with {run.returncode}")


# -- environments ---------------------------------------------------------------------------

LONG = "x" * 5000
PLACES = [
    *(None, "", " ", "relative", "/gone/away", "/dev/null", "~", "~nouser", "~nouser/x", "$HOME"),
    *(
        "a.png",
        "a.png/x",
        "%00",
        "\\0",
        "\x1b[2J\x1b[31m",
        "a\nb",
        os.fsdecode(b"\xff"),
        LONG,
        "🌵",
    ),
]
ENCODINGS = ["cp1252", "ascii", "ascii:strict", "latin-1", "utf-8:ignore", ":surrogateescape"]
VARIABLES = {
    **dict.fromkeys(("HOME", "U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME", "TMPDIR"), PLACES),
    **dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME"), PLACES[:6]),
    **{"PYTHONIOENCODING": ENCODINGS, "LANG": ["C", "de_DE.cp1252", "xx_YY", "", "\x1b[2J"]},
    **{"LC_ALL": ["C", "POSIX", "xx", None], "PYTHONUTF8": ["0", "1"]},
    **{"TERM": ["", "dumb", "\x1b[2J", LONG, None, "xterm-256color"], "NO_COLOR": ["1"]},
    **{"FORCE_COLOR": ["1"], "COLUMNS": ["", "0", "-5", "1", "abc", "9" * 50, "9" * 5000]},
    "LINES": ["0", "abc"],
    "OMP_NUM_THREADS": [
        *("", " ", "0", "-1", "1", "4,2", "abc", "1e3", "1.5", "9" * 5000, "٣", "①", "1025"),
        *("2;", "\x1b[2J", "nan", "4294967296"),
    ],
    "HF_ENDPOINT": ["", "nonsense", "http://me:hidden@host/x", "\x1b[2J", LONG],
    "HTTPS_PROXY": ["", "nonsense", "http://me:hidden@host:1", "\x1b[2J", "socks5://x", LONG],
    "HF_HUB_OFFLINE": ["", "maybe", "0", "1"],
    "MODEL_CHECKSUM_DISABLED": ["", "1"],
    "CUDA_VISIBLE_DEVICES": ["", "-1", "abc", "\x1b[2J"],
    "TQDM_MININTERVAL": ["", "abc", "nan"],
    "TQDM_DISABLE": ["1"],
    "TZ": ["nonsense", "\x1b[2J"],
    "PYTHONUNBUFFERED": ["1"],
}
COMMANDS = [
    *("models", "doctor", "download u2netp", "--version", "cutout --help", "nonsense"),
    *("cutout a.png b.png -m backdrop", "cutout in out -m backdrop", "cutout a.png - -m backdrop"),
    *("cutout 🌵é.png out.png -m backdrop", "cutout gone-ü.png x.png"),
    "cutout a.png c.png -m u2net_custom --model-path tiny.onnx",
]


@pytest.fixture
def place(tmp_path, network):
    """A working folder with pictures, and a tiny network where the search for models finds it."""
    folder = tmp_path / "place"
    pictures(folder / "in", 2)
    for name in ("a.png", "🌵é.png", os.fsdecode(b"caf\xe9.png")):
        with contextlib.suppress(OSError):  # macOS takes no such bytes
            shutil.copy(folder / "in" / "0.png", folder / name)
    network("tiny.onnx", size_hw=(64, 64))
    return folder


def check_place(watch, label, place, code):
    """Check what a command left, and take it away."""
    for path in place.rglob("*"):
        if path.is_file() and path.suffix in (".png", ".part"):
            watch.check(label, size_of(path.read_bytes()), f"{path} is no picture")
    for path in place.iterdir():
        if path.is_dir() and path.name != "in":
            shutil.rmtree(path)
        elif path.name in ("b.png", "c.png", "out.png"):
            path.unlink()


@counts(5, 80)
def test_odd_environments(count, watch, place):
    rng = random.Random(6)
    singles = [(name, text) for name, texts in VARIABLES.items() for text in texts]
    rng.shuffle(singles)
    for number in range(count):
        few = [singles[number % len(singles)], *rng.sample(singles, rng.choice((0, 0, 1, 3)))]
        command = rng.choice(COMMANDS)
        label = f"{number} {command}: {[(name, text and text[:20]) for name, text in few]}"
        started = time.perf_counter()
        try:
            run = subprocess.run(
                [*PROGRAM, *command.split()],
                cwd=place,
                env=environment(**dict(few)),
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=60,
            )
        except (ValueError, OSError):  # what this system takes for no environment
            continue
        watch.calls += 1
        seconds = time.perf_counter() - started
        watch.slowest = max(watch.slowest, (seconds, label))
        # an OpenMP of others says what it takes for no number, on two lines for each copy
        check_end(watch, label, run.returncode, run.stderr, lines=9)
        watch.check(label, b"hidden" not in run.stdout + run.stderr, "a password is shown")
        if command in ("doctor", "models", "download u2netp"):
            out = run.stdout.decode("utf-8", "replace").replace(os.linesep, "")
            out = out.replace("\n", "").replace("\ufffd", "?")
            watch.check(label, out.isprintable(), f"control characters on stdout: {out[:200]!r}")
        check_place(watch, label, place, run.returncode)


# as in a container whose user is in no list
NO_ONE = """
import pwd, sys
def missing(*_):
    raise KeyError
pwd.getpwuid = pwd.getpwnam = missing
from rembg_sessions.__main__ import main
sys.exit(main())
"""


@pytest.mark.skipif(not POSIX, reason="Windows has no list of users")
@counts(2, len(COMMANDS))
def test_a_user_who_is_in_no_list(count, watch, place):
    env = environment(**dict.fromkeys(("HOME", "U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME")))
    for command in COMMANDS[:count]:  # the first are those that look for a home
        line = [sys.executable, "-c", NO_ONE, *command.split()]
        run = subprocess.run(line, cwd=place, env=env, capture_output=True, timeout=60)
        watch.calls += 1
        check_end(watch, command, run.returncode, run.stderr, lines=9)
        if "backdrop" in command or command in ("models", "doctor"):
            expected = 1 if command == "doctor" else 0  # there is nowhere to keep models
            watch.check(command, run.returncode == expected, f"{run.returncode}: {run.stderr}")


STREAMS = [
    *("<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full", ">/dev/full 2>&1"),
    *("| :", "2>&1 | :", "</dev/null", "2>/dev/full >&-"),
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="streams as a shell redirects them")
@counts(5, 40)
def test_odd_streams(count, watch, place):
    rng = random.Random(7)
    commands = [*COMMANDS, "cutout - - -m backdrop", "cutout - b.png -m backdrop"]
    cases = list(itertools.product(STREAMS, commands))
    # what a folder says of each of its pictures goes wrong in the most ways
    cases.sort(key=lambda case: (case[1] != "cutout in out -m backdrop", rng.random()))
    for streams, command in cases[:count]:
        label = f"{command} {streams}"
        line = f"exec 3>code; {{ {' '.join([*PROGRAM, command])}; echo $? >&3; }} {streams}"
        (place / "in" / "broken.png").write_bytes(b"no picture")
        run = subprocess.run(["sh", "-c", line], cwd=place, capture_output=True, timeout=60)
        code = int((place / "code").read_text())
        watch.calls += 1
        check_end(watch, label, code, run.stderr)
        if command == "cutout in out -m backdrop":
            made = sorted(path.name for path in (place / "out").glob("*"))
            watch.check(label, (code, made) == (1, ["0.png", "1.png"]), f"{code}, made {made}")
        (place / "in" / "broken.png").unlink()
        check_place(watch, label, place, code)


@pytest.mark.skipif(not POSIX, reason="Windows keeps the folder a program works in")
@counts(1, 4)
def test_a_working_folder_that_is_gone(count, watch, place):
    for command in ("cutout in out", "models", "doctor", "cutout a.png b.png")[:count]:
        line = f"mkdir gone; cd gone; rmdir ../gone; exec {' '.join([*PROGRAM, command])}"
        run = subprocess.run(["sh", "-c", line], cwd=place, capture_output=True, timeout=60)
        check_end(watch, command, run.returncode, run.stderr)


# -- options --------------------------------------------------------------------------------

# argparse has no other way to its options; left out are one that does not end, and one that
# takes inputs away
OPTIONS = [
    action
    for action in parser()._subparsers._group_actions[0].choices["cutout"]._actions
    if action.option_strings and action.dest not in ("help", "watch", "delete_input")
]
TEXTS = [
    *("", " ", "-", "--", "0", "-1", "1", "2", "1.5", "-0.0", "1e309", "nan", "inf", "-inf", "٣"),
    *("①", "1_0", "0x10", "9" * 4000, "9" * 5000, f"1.{'9' * 5000}", LONG, "\x1b[2J\x1b[31mred"),
    *("a\nb", "\u202ex", os.fsdecode(b"\xff"), "🌵", "[" * 5000, f"[{'9' * 5000}]", "{}", "null"),
    *("true", "None", "../x", ".", "..", "...", "/", "~", "~nouser", "a.png", "in", "gone/a.png"),
    *("tiny.onnx", "#12345678", "1,2,3", "1,2,3,4,5", "red", "rgb(1,2,3)", ".png", ".jpg", "webp"),
    *(".psd", ".ico", ".PNG", "png/..", ".p ng", "\\0", "%00", "%s", "%(prog)s", "100", "255"),
    *("1000000", '[{"type": "point", "data": [1, 2], "label": 1}]', "2147483648", "CPU", "cpu"),
    *("CUDA", "Auto", "4294967296", "1024", "backdrop", "u2net", "u2net_custom", "@a.png"),
]
INPUTS = [
    *(*9 * ["a.png"], "in", "in", "-", "", " ", "gone.png", "gone\x1b[2J.png", LONG, "a.png/", "."),
    *("a.png/b", "in/../in", "~", "🌵é.png", "-x", "\n", os.fsdecode(b"caf\xe9.png")),
]
TARGETS = [
    *(*9 * ["b.png"], "out", "out", "-", "", " ", "b.jpg", "b.webp", "a.png", "in", ".", "..png"),
    *("x" * 300 + ".png", LONG + ".png", "deep/down/b.png", os.devnull, f"{os.devnull}/b.png", "b"),
    *("a.png/b.png", "b\x1b[2J.png", "b\n.png", "\udcff.png", "b.", ".png"),
]


@counts(120, 1500)
def test_odd_options(count, watch, place, monkeypatch):
    rng = random.Random(8)
    monkeypatch.chdir(place)
    before = contents(place)
    for number in range(count):
        arguments = ["cutout", rng.choice(INPUTS), rng.choice(TARGETS)]
        model = rng.choice((["-m", "backdrop"], ["-m", "u2net_custom", "--model-path=tiny.onnx"]))
        arguments += model if rng.random() < 0.9 else []
        for action in rng.sample(OPTIONS, rng.choice((1, 1, 1, 2, 3))):
            arguments.append(rng.choice(action.option_strings))
            if action.nargs != 0 and rng.random() < 0.97:
                right = [*map(str, action.choices or ())]
                text = rng.choice(right if right and rng.random() < 0.4 else TEXTS)
                if rng.random() < 0.7:  # else some are taken for options
                    arguments[-1] += f"={text}" if arguments[-1].startswith("--") else text
                else:
                    arguments.append(text)
        threads = rng.choice([*5 * [None], *VARIABLES["OMP_NUM_THREADS"]])
        if threads is None:
            monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        else:
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
        label = f"{number} {[a if len(a) < 40 else f'{a[:40]}…{len(a)}' for a in arguments]}"
        stdin = (place / "a.png").read_bytes() if rng.random() < 0.7 else rng.randbytes(99)
        code, out, said = shell(watch, label, *arguments, stdin=stdin, lines=12)
        after = contents(place)
        over = "--overwrite" in arguments
        changed = [path for path in before if after.get(path, 0) != before[path]]
        watch.check(label, over or not changed, f"changed {changed[:3]}")
        new = {p: data for p, data in after.items() if p not in before and data is not None}
        broken = [path for path, data in new.items() if size_of(data) is None]
        watch.check(label, not broken, f"unreadable outputs {broken[:3]}")
        watch.check(label, code != 0 or new or out or changed or over, f"made nothing: {said!r}")
        if code != 0 and not SUMMARY.search(said):
            told = "--json" in arguments and out.startswith(b"{")
            watch.check(label, not new and (not out or told), f"ended with {code}, made {[*new]}")
            watch.check(label, said.strip(), "says nothing")
        for path in sorted(after.keys() - before.keys(), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for path in changed:
            path.write_bytes(before[path])


@counts(30, 600)
def test_odd_commands(count, watch, place, monkeypatch):
    rng = random.Random(9)
    monkeypatch.chdir(place)
    words = [*("models", "doctor", "download", "cutout", "--help", "-h", "--version"), *TEXTS]
    for number in range(count):
        arguments = rng.sample(words, rng.choice((0, 1, 1, 2, 3)))
        label = f"{number} {[a if len(a) < 40 else f'{a[:40]}…{len(a)}' for a in arguments]}"
        code, out, said = shell(watch, label, *arguments, lines=12)
        watch.check(label, code != 0 or out or said, "says nothing")
