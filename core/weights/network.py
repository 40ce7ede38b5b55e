"""One request at a time: the only module that speaks to the network.

It asks through the client of huggingface_hub, which knows proxies and certificates, and which a
program may have replaced by its own. Of which library it is depends on huggingface_hub's version.
Where a setting keeps huggingface_hub from being imported, sources other than Hugging Face are asked
through that library alone.
"""

from __future__ import annotations

import queue
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote, urljoin, urlsplit

from .. import settings
from ..registry.spec import HubFile
from ..text import quotable
from .failures import SourceFailed, failure, said

TIMEOUT = 30.0
"""Seconds to wait for a connection, and for each piece of data."""
PATIENCE = 120.0
"""Seconds to wait for an answer, redirects included."""
SLOWEST = 1024
"""Bytes a second that a source must send at least, averaged over each ``WINDOW``."""
WINDOW = 30.0
"""Seconds."""
BREATH = 0.5
"""Seconds between two signs of life while nothing arrives."""
CHUNK = 1 << 20
"""Bytes read at most at a time."""
REDIRECTS = 10
"""Redirects followed at most."""
THREAD = "rembg-sessions: receive"
"""The name of the thread that waits for the network."""


class Answer(NamedTuple):
    """What a server says before its data; ``headers`` ignores case."""

    status: int
    reason: str
    headers: Mapping[str, str]


def _load_hub() -> Callable[..., str]:
    """Import huggingface_hub, which reads its settings meanwhile, and return its ``hf_hub_url``.

    Raises
    ------
    SourceFailed
        If it does not take one of them; the message names it.
    """
    try:
        # the package itself would print what is wrong, with what may be a piece of a password
        from huggingface_hub.file_download import hf_hub_url
    except ValueError as exc:
        names = settings.hub_settings(str(exc))
        # of an address, the reason may quote a piece of a password
        reason = "no address" if "HF_ENDPOINT" in names else said(exc)
        raise SourceFailed(
            f"was not asked: huggingface_hub does not take what {' or '.join(names)} is set to "
            f"({reason}); correct or unset it"
        ) from None
    return hf_hub_url


def offline() -> bool:
    """Return whether huggingface_hub is switched off; a program may have done it."""
    try:
        _load_hub()
    except SourceFailed:  # it serves no program at all; other sources are asked
        return False
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


Arrivals: TypeAlias = "queue.Queue[Answer | bytes | Exception | None]"


def hub_url(hub: HubFile) -> str:
    """Return where a file of Hugging Face is, or of its mirror.

    Where huggingface_hub cannot be imported, that is for a browser only: :func:`ask` refuses it.
    """
    try:
        hf_hub_url = _load_hub()
    except SourceFailed:
        return f"https://huggingface.co/{hub.repo}/resolve/{hub.revision or 'main'}/{hub.path}"
    return hf_hub_url(hub.repo, hub.path, revision=hub.revision)


def hub_page(hub: HubFile) -> str:
    """Return the page where the licence of a file of Hugging Face is accepted."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{hub.repo}"


def ask(
    url: str, headers: Mapping[str, str], idle: Callable[[], None], *, is_hub: bool
) -> Generator[Answer | bytes, None, None]:
    """Yield the answer to a GET, then its data as it arrives.

    A thread of its own waits for the network, so that ``idle`` is called while nothing
    arrives. Once nobody wants the data it ends by itself: with the next piece, or after
    ``TIMEOUT`` without one.

    Parameters
    ----------
    idle
        What it raises ends the request and is passed on unchanged.
    is_hub
        Whether the URL is Hugging Face's: the user's token goes there, and nowhere else.

    Raises
    ------
    SourceFailed, Broken
        The message says what the server did, and follows its URL in a sentence.
    """
    arrived: Arrivals = queue.Queue(8)
    unwanted = threading.Event()
    pieces = _exchange(url, headers, is_hub=is_hub)
    waiting = threading.Thread(
        target=_receive, args=(pieces, arrived, unwanted), name=THREAD, daemon=True
    )
    waiting.start()
    answered, waited, got = False, 0.0, 0
    try:
        while True:
            began = time.monotonic()
            try:
                what = arrived.get(timeout=BREATH)
            except queue.Empty:
                what = b""
            # Only waiting counts: neither a slow disk nor a sleeping computer is the server's.
            waited += min(time.monotonic() - began, BREATH)
            if what is None:
                return
            if isinstance(what, Exception):
                raise what
            if isinstance(what, Answer):
                answered, waited = True, 0.0
            else:
                got += len(what)
            if waited >= (WINDOW if answered else PATIENCE):
                if not answered:
                    raise SourceFailed(f"did not answer for {PATIENCE:g} seconds")
                if got < SLOWEST * waited:
                    raise SourceFailed(f"sent less than {SLOWEST} bytes a second")
                waited, got = 0.0, 0
            if what:
                yield what
            else:
                idle()
    finally:
        unwanted.set()


def _receive(
    pieces: Generator[Answer | bytes, None, None], arrived: Arrivals, unwanted: threading.Event
) -> None:
    """Hand on what arrives, and None at its end or what went wrong, while anybody wants it."""

    def give(what: Answer | bytes | Exception | None) -> None:
        while not unwanted.is_set():
            try:
                return arrived.put(what, timeout=BREATH)
            except queue.Full:
                continue  # the disk is slower than the network

    try:
        with closing(pieces):
            for piece in pieces:
                give(piece)
                if unwanted.is_set():
                    return
        give(None)
    except Exception as exc:  # the caller's to handle: it waits for an answer
        give(exc)


def _exchange(
    url: str, headers: Mapping[str, str], *, is_hub: bool
) -> Generator[Answer | bytes, None, None]:
    """Yield the answer and its data, after redirects.

    They are followed here, since neither library keeps a token from a redirect to http.
    """
    # The hub's build_hf_headers would report what is installed here, and may ask the hub.
    sent = {
        "User-Agent": "rembg-sessions",
        "Accept-Encoding": "identity",
        "Connection": "close",  # or each thread would leave one open
        **headers,
    }
    if is_hub:
        _load_hub()  # else a mirror may have been asked for, and this is not its address
    url, login = _login(url)
    sent |= login or (_token() if is_hub else {})
    for _ in range(REDIRECTS + 1):
        with _opened(url, sent) as (answer, pieces):
            new = _redirect(url, answer)
            if new is None:
                yield answer
                try:
                    yield from pieces
                except Exception as exc:  # three libraries' own: see failure
                    raise failure(exc, url, TIMEOUT, opening=False) from None
                return
        new, login = _login(new)
        if urlsplit(new)[:2] != urlsplit(url)[:2]:
            sent.pop("Authorization", None)
        url, sent = new, sent | login
    raise SourceFailed(f"redirects more than {REDIRECTS} times")


def _login(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without the password in it, which httpx would log, and its header.

    Raises
    ------
    SourceFailed
        If it is no address of a web server.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        parts, usable = urlsplit(""), False
    if not usable:
        raise SourceFailed(
            "is not a usable address: it must begin with https:// and a host (a mirror's is set "
            "in HF_ENDPOINT)"
        )
    login, _, host = parts.netloc.rpartition("@")
    basic = b64encode(unquote(login if ":" in login else f"{login}:").encode()).decode()
    return parts._replace(netloc=host).geturl(), (
        {"Authorization": f"Basic {basic}"} if login else {}
    )


def _token() -> dict[str, str]:
    from huggingface_hub import constants, get_token

    try:
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    except Exception as exc:  # a token may be exchanged or renewed, which fails in many ways
        raise SourceFailed(f"was not asked: no token could be had ({said(exc)})") from None
    if token and not (token.isascii() and token.isprintable()):
        raise SourceFailed("was not asked: HF_TOKEN has characters that no token has")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _client(stack: ExitStack) -> Any:
    """Return huggingface_hub's client; where it cannot be imported, one of its library, to close.

    Raises
    ------
    SourceFailed
        If there is neither.
    """
    try:
        _load_hub()
    except SourceFailed:
        if httpx := _httpx():
            return stack.enter_context(httpx.Client())
        raise
    from huggingface_hub import get_session

    return get_session()


def _httpx() -> Any:
    """Return the library of huggingface_hub 2, or that of 1; None where neither is installed."""
    with suppress(ImportError):
        import httpx2  # pyright: ignore[reportMissingImports]

        return httpx2
    with suppress(ImportError):
        import httpx  # pyright: ignore[reportMissingImports]

        return httpx
    return None


def _unchanged(request: object) -> object:
    return request


@contextmanager
def _opened(
    url: str, headers: Mapping[str, str]
) -> Generator[tuple[Answer, Iterator[bytes]], None, None]:
    with ExitStack() as stack:
        try:
            session = _client(stack)
            options: dict[str, Any] = {"headers": headers, "timeout": TIMEOUT}
            if hasattr(session, "build_request"):  # httpx
                response = stack.enter_context(
                    session.stream("GET", url, follow_redirects=False, **options)
                )
                reason, pieces = response.reason_phrase, response.iter_raw()
            else:
                options["auth"] = _unchanged  # none from ~/.netrc: as in httpx
                response = stack.enter_context(
                    session.get(url, stream=True, allow_redirects=False, **options)
                )
                raw = response.raw
                # read1 gives what has arrived, so that a break loses none; urllib3 1 has none
                read = getattr(raw, "read1", raw.read)
                size = CHUNK if hasattr(raw, "read1") else 1 << 14
                reason, pieces = response.reason, iter(partial(read, size), b"")
        except SourceFailed:
            raise
        except Exception as exc:  # three libraries' own: see failure
            raise failure(exc, url, TIMEOUT, opening=True) from None
        yield Answer(response.status_code, reason or "", response.headers), pieces


def _redirect(url: str, answer: Answer) -> str | None:
    """Return where an answer leads; None if it does not. Never from https to http."""
    location = answer.headers.get("Location")
    if answer.status not in (301, 302, 303, 307, 308) or not location:
        return None
    try:
        new = urljoin(url, location)
        old_scheme, new_scheme = urlsplit(url).scheme, urlsplit(new).scheme
    except ValueError:
        raise SourceFailed(f"redirects to {quotable(location)}, which is no address") from None
    if new_scheme != "https" and (old_scheme == "https" or new_scheme != "http"):
        raise SourceFailed(f"redirects to {quotable(new)}, which is not encrypted")
    return new
