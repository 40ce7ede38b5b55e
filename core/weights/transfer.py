"""Brings one URL to disk: resumed after a break, and verified."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from ..registry.spec import HubFile, WeightFile
from ..text import quotable, without_passwords
from .disk import check_room, on_disk, part_path, write_all
from .failures import Broken, SourceFailed
from .filesystem import remove
from .network import CHUNK, Answer, ask, hub_page
from .sources import expectation, mismatch

TRIES = 3
"""Broken connections in a row that bring nothing new before a source is given up."""
PAUSE = 1.0
"""Seconds between two tries."""

SILENCE = 10.0
"""Seconds without anything from a source until the user is told."""

Report = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total; the total is 0 while unknown."""

_COUNT = "([0-9]{1,18})"  # bytes; no file has more digits

_log = logging.getLogger("rembg_sessions")


class Transfer:
    """One source's file on its way to its .part.

    Bytes that an earlier, broken download left there are continued where a hash can prove the
    result.
    """

    def __init__(
        self, url: str, hub: HubFile | None, file: WeightFile, target: Path, report: Report
    ) -> None:
        self.url, self.hub, self.file = url, hub, file
        self.target, self.part, self.report = target, part_path(target), report
        self.size, _, self.digest = expectation(file)
        self.etag = ""  # of the response that the bytes in the part came from
        self.told = 0, 0  # said again while nothing new arrives
        self.heard, self.is_named = time.monotonic(), False

    def run(self) -> None:
        """Download and verify; SourceFailed tells why this source is of no use."""
        left_over = self.done()
        if left_over and self.size is None:
            with on_disk(self.file, self.target):
                if mismatch(self.part, self.file) is None:
                    return  # Only the size could have told that nothing is missing.
        while True:
            self.complete()
            with on_disk(self.file, self.target):
                fault = mismatch(self.part, self.file)
                if fault is None:
                    return
                remove(self.part)
            if not left_over:
                raise SourceFailed(f"sent a file that {fault}")
            left_over = 0  # The bytes found on disk may have been the wrong ones: once more.

    def done(self) -> int:
        """Return how many bytes of the part can be built upon."""
        try:
            size = self.part.stat().st_size
        except OSError:
            return 0
        # Without a hash or an ETag nothing tells whether old and new bytes belong together.
        known = self.digest or self.etag
        return size if known and (self.size is None or size <= self.size) else 0

    def complete(self) -> None:
        tries, best = 0, self.done()
        while self.size is None or self.done() < self.size:
            try:
                return self.stream()
            except Broken as exc:
                tries = 0 if self.done() > best else tries + 1
                if tries == TRIES:
                    raise SourceFailed(str(exc)) from None
                best = max(best, self.done())
                url = without_passwords(self.url)
                _log.info("%s: %s %s; trying again", self.file.file, url, exc)
            self.tell(self.done(), self.size or 0)
            time.sleep(PAUSE)

    def tell(self, done: int, total: int) -> None:
        self.told = done, total
        self.report(done, total)

    def wait(self) -> None:
        """Say once that a source is silent, and report that nothing new has arrived."""
        if not self.is_named and time.monotonic() - self.heard >= SILENCE:
            self.is_named = True
            _log.warning(
                "%s has sent nothing for %g seconds; another source is tried if that goes on. What "
                "has arrived is kept if you cancel.",
                quotable(urlsplit(self.url).hostname or self.url),
                SILENCE,
            )
        self.report(*self.told)

    def stream(self) -> None:
        """Append what is missing, or write everything where the server cannot continue."""
        for start in dict.fromkeys((self.done(), 0)):
            self.told, self.heard = (start, self.size or 0), time.monotonic()
            arriving = ask(self.url, self.range(start), self.wait, is_hub=self.hub is not None)
            with closing(arriving):
                answer = cast(Answer, next(arriving))
                goes_on = answer.status == 206 and self.fits(answer, start)
                if start and not goes_on and answer.status in (206, 416):
                    continue  # another piece than the one that was asked for, or none
                if not goes_on and answer.status != 200:
                    raise self.refusal(answer)
                data = cast("Iterator[bytes]", arriving)
                return self.write(answer, data, start if goes_on else 0)

    def range(self, start: int) -> dict[str, str]:
        """Return the headers that ask for the bytes from ``start`` on."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        return headers | {"If-Range": self.etag} if start and self.etag else headers

    def fits(self, answer: Answer, start: int) -> bool:
        """Return whether a part of the file is the one from ``start`` to the end."""
        span = re.match(
            rf"bytes {_COUNT}-{_COUNT}/(?:{_COUNT}|\*)$", answer.headers.get("Content-Range", "")
        )
        if not start or not span or int(span[1]) != start:
            return False
        return self.size is None or span[3] in (None, str(self.size))

    def write(self, answer: Answer, arriving: Iterator[bytes], start: int) -> None:
        """Write the data to the part from ``start`` on."""
        if answer.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise SourceFailed("sent a web page; perhaps this network wants you to log in first")
        length = re.fullmatch(_COUNT, answer.headers.get("Content-Length", ""))
        end = start + int(length[1]) if length else self.size
        if self.size is not None and end != self.size:
            raise SourceFailed(f"offers {end} bytes, instead of {self.size} bytes")
        # A weak one (W/…) may stand for other bytes; no other character can be sent back.
        etag = answer.headers.get("ETag", "")
        self.etag = etag if re.fullmatch('"[!-~]{1,200}"', etag) else ""
        self.tell(start, end or 0)
        with on_disk(self.file, self.target):
            stream = self.part.open("ab" if start else "wb", buffering=0)
        with stream:
            if end is not None:
                check_room(self.file, self.target, end - start)
            reported, at = start, time.monotonic()
            while (end is None or start < end) and (data := next(arriving, b"")):
                with on_disk(self.file, self.target):
                    write_all(stream, data)
                start += len(data)
                self.told = start, end or 0
                self.heard = now = time.monotonic()
                if start - reported >= CHUNK or start == end or now - at > 0.2:
                    reported, at = start, now
                    self.report(*self.told)
        if end is not None and start < end:
            raise Broken(f"ended after {start} of {end} bytes")

    def refusal(self, answer: Answer) -> Exception:
        """Return what a status other than success means."""
        code = answer.status
        text = f"answered {code} {quotable(answer.reason)}".rstrip()
        if code in (408, 425, 429) or code >= 500:
            return Broken(text)
        if code in (401, 403) and self.hub:
            return SourceFailed(
                f"{text}: the model may be gated. Accept its licence on "
                f"{without_passwords(hub_page(self.hub))}, then log in with `hf auth login` or set "
                "HF_TOKEN (a wrong or expired token gets this answer, too)"
            )
        if code in (401, 403):
            return SourceFailed(f"{text}: access is refused, perhaps by a proxy or firewall")
        if code in (404, 410):
            return SourceFailed(f"{text}: there is no such file any more")
        return SourceFailed(text)
