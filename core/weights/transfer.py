"""Brings one URL to disk: resumed after a break, and verified."""

from __future__ import annotations

import http.client
import io
import logging
import queue
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from ..registry.spec import HubFile, WeightFile
from .sources import check_room, expectation, mismatch, on_disk

TIMEOUT = 30.0
"""Seconds to wait for a connection, and for each piece of data."""
TRIES = 3
"""Broken connections in a row that bring nothing new before a source is given up."""
PAUSE = 1.0
"""Seconds between two tries."""
CHUNK = 1 << 20
"""Bytes read at most at a time, and reported on at the latest."""
BREATH = 0.5
"""Seconds between two reports while nothing arrives."""

Report = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total; the total is 0 while unknown."""

_log = logging.getLogger("rembg_sessions")


class SourceFailed(Exception):
    """This source does not give the file; another one may."""


class _Broken(Exception):
    """The transfer stopped in a way that is worth another try."""


def part_path(target: Path) -> Path:
    """Return where a file lies until it is whole and verified."""
    return target.with_name(f"{target.name}.part")


def write_all(stream: io.FileIO, data: bytes) -> None:
    """Write to an unbuffered file, which may take less than it is given."""
    left = memoryview(data)
    while left:
        left = left[stream.write(left) :]


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
        self.open = _opener().open

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
                self.part.unlink()
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
            except _Broken as exc:
                tries = 0 if self.done() > best else tries + 1
                if tries == TRIES:
                    raise SourceFailed(str(exc)) from None
                best = max(best, self.done())
                _log.info("%s: %s %s; trying again", self.file.file, self.url, exc)
            self.tell(self.done(), self.size or 0)
            time.sleep(PAUSE)

    def tell(self, done: int, total: int) -> None:
        self.told = done, total
        self.report(done, total)

    def stream(self) -> None:
        """Append what is missing, or write everything where the server cannot continue."""
        start = self.done()
        self.told = start, self.size or 0
        with closing(self.arriving(start)) as arriving:
            response = cast(http.client.HTTPResponse, next(arriving))
            start = start if response.status == 206 else 0
            length = response.headers.get("Content-Length", "")
            end = start + int(length) if length.isdecimal() else self.size
            if self.size is not None and end != self.size:
                raise SourceFailed(f"offers {end} bytes, instead of {self.size} bytes")
            etag = response.headers.get("ETag", "")
            self.etag = "" if etag.startswith("W/") else etag  # weak: not the same bytes
            self.tell(start, end or 0)
            with on_disk(self.file, self.target):
                stream = self.part.open("ab" if start else "wb", buffering=0)
            with stream:
                if end is not None:
                    check_room(self.file, self.target, end - start)
                reported, at = start, time.monotonic()
                while (end is None or start < end) and (data := cast(bytes, next(arriving))):
                    with on_disk(self.file, self.target):
                        write_all(stream, data)
                    start += len(data)
                    self.told = start, end or 0
                    now = time.monotonic()
                    if start - reported >= CHUNK or start == end or now - at > 0.2:
                        reported, at = start, now
                        self.report(*self.told)
        if end is not None and start < end:
            raise _Broken(f"ended after {start} of {end} bytes")

    def arriving(self, start: int) -> Generator[http.client.HTTPResponse | bytes, None, None]:
        """Yield the response, then its data as it comes, and b"" at its end.

        A thread of its own waits for the network, so that reports, which may cancel, go on
        while nothing arrives. Once nobody wants the data it ends by itself, within TIMEOUT.
        """
        arrived: queue.Queue[http.client.HTTPResponse | bytes | BaseException] = queue.Queue(4)
        unwanted = threading.Event()

        def give(what: http.client.HTTPResponse | bytes | BaseException) -> None:
            while not unwanted.is_set():
                try:
                    return arrived.put(what, timeout=BREATH)
                except queue.Full:
                    continue  # the disk is slower than the network

        def receive() -> None:
            try:
                with self.request(start) as response:
                    give(response)
                    while not unwanted.is_set() and (data := self.read(response)):
                        give(data)
                give(b"")
            except BaseException as exc:  # the caller's to handle: it waits for an answer
                give(exc)

        threading.Thread(target=receive, name=f"receive {self.file.file}", daemon=True).start()
        try:
            while True:
                try:
                    what = arrived.get(timeout=BREATH)
                except queue.Empty:
                    self.report(*self.told)
                    continue
                if isinstance(what, BaseException):
                    raise what
                yield what
        finally:
            unwanted.set()

    def request(self, start: int) -> http.client.HTTPResponse:
        """Ask for the bytes from ``start`` on, or for all where they cannot be had alone."""
        try:
            response = cast(
                http.client.HTTPResponse, self.open(self.headed(start), timeout=TIMEOUT)
            )
        except urllib.error.HTTPError as exc:
            exc.close()
            if start and exc.code == 416:
                return self.request(0)
            raise self.refusal(exc.code, exc.reason) from None
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise _failure(exc, self.url) from None
        if response.status == 200 or (response.status == 206 and self.fits(response, start)):
            return response
        response.close()
        if start:
            return self.request(0)
        raise self.refusal(response.status, response.reason)

    def headed(self, start: int) -> urllib.request.Request:
        request = urllib.request.Request(self.url, headers={"User-Agent": "rembg-sessions"})
        if self.hub:
            from huggingface_hub import constants, get_token

            # Its build_hf_headers would also report the installed packages, and may ask the hub.
            token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
            if token:
                # It must not follow a redirect to another host, see _Redirects.
                request.add_unredirected_header("Authorization", f"Bearer {token}")
        if start:
            request.add_header("Range", f"bytes={start}-")
            if self.etag:
                request.add_header("If-Range", self.etag)
        return request

    def fits(self, response: http.client.HTTPResponse, start: int) -> bool:
        span = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not start or not span or int(span[1]) != start:
            return False
        return self.size is None or span[2] in ("*", str(self.size))

    def read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            # read1 gives what has arrived, so that a break loses none of it.
            return response.read1(CHUNK)
        except (OSError, http.client.HTTPException) as exc:
            raise _failure(exc, self.url) from None

    def refusal(self, code: int, reason: str) -> Exception:
        answer = f"answered {code} {reason}".rstrip()
        if code in (408, 425, 429) or code >= 500:
            return _Broken(answer)
        if code in (401, 403) and self.hub:
            from huggingface_hub import constants

            return SourceFailed(
                f"{answer}: the model may be gated. Accept its licence on "
                f"{constants.ENDPOINT}/{self.hub.repo}, then log in with `hf auth login` or set "
                "HF_TOKEN (a wrong or expired token gets this answer, too)"
            )
        if code in (401, 403):
            return SourceFailed(f"{answer}: access is refused, perhaps by a proxy or firewall")
        if code in (404, 410):
            return SourceFailed(f"{answer}: there is no such file any more")
        return SourceFailed(answer)


def _failure(exc: Exception, url: str) -> Exception:
    """Return what a failed connection means: the end of this source, or another try."""
    connecting = isinstance(exc, urllib.error.URLError)
    reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    if isinstance(reason, ssl.SSLCertVerificationError):
        return SourceFailed(
            f"has a certificate that could not be verified ({reason.verify_message}): check the "
            "clock and the proxy, or point SSL_CERT_FILE to your network's certificates"
        )
    if isinstance(reason, socket.gaierror):
        return SourceFailed(
            f"could not be reached: the name {urlsplit(url).hostname} is not known "
            f"({reason.strerror}); check the internet connection"
        )
    if isinstance(reason, TimeoutError):
        text = f"did not answer for {TIMEOUT:g} seconds (timeout)"
        return SourceFailed(text) if connecting else _Broken(text)
    if isinstance(reason, (ValueError, http.client.InvalidURL)):
        return SourceFailed(f"is not a usable address ({reason})")
    text = f"could not be read: {reason or type(reason).__name__}"
    final = connecting and not isinstance(reason, (ConnectionResetError, ConnectionAbortedError))
    return SourceFailed(text) if final else _Broken(text)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, keeps the token on its host and never leaves https for http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme != "https" and (old.scheme == "https" or new.scheme != "http"):
            fp.close()
            raise SourceFailed(f"redirects to {newurl}, which is not encrypted")
        # Python 3.10 does not follow 308, which some mirrors answer.
        code = 307 if code == 308 else code
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        if request and token and (old.scheme, old.netloc) == (new.scheme, new.netloc):
            request.add_unredirected_header("Authorization", token)
        return request

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302


def _opener() -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    try:
        import certifi  # Some Pythons come without certificates.
    except ImportError:
        pass
    else:
        context.load_verify_locations(certifi.where())
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())
