"""What the page may ask of the pack: models, downloads, the diagnosis, a node's values."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import platform
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import OptionError, RembgSessionsError, WeightsError
from ..core.prepare.cache import kept, remove_kept
from ..core.registry.lookup import get_model
from ..core.registry.models import MODELS
from ..core.registry.spec import ModelSpec
from ..core.runtime.diagnosis import report
from ..core.runtime.installation import collect
from ..core.weights.removal import delete, own_files
from ..core.weights.store import find
from . import downloads, host
from .foreign import own_values
from .models import SHORT_LABELS

HEADER = "X-Rembg-Sessions"
"""A header that only the pack's own page, and programs, can send."""
DOWNLOAD_EVENT = "rembg-sessions.download"

_LONGEST_REQUEST = 1_000_000
_LONGEST_PAGE = 100  # characters; ComfyUI's own names of pages have 32
# Names that nobody can register (RFC 6761, 6762, 8375 and the custom of home networks).
_HOME_DOMAINS = (".localhost", ".local", ".home.arpa", ".internal", ".lan", ".home")


def register() -> None:
    """Add the routes to ComfyUI's server; outside ComfyUI there is nothing to add them to."""
    server = host.server()
    if server is not None:
        add_routes(server.routes, server.send_sync)


def add_routes(routes: Any, send: Callable[[str, Any, str | None], None]) -> None:
    """Add the routes to a table.

    Parameters
    ----------
    routes
        An ``aiohttp.web.RouteTableDef``.
    send
        Sends an event (name, data, page) to a page, or every one with None; called from other
        threads.
    """
    from aiohttp import web

    def tell(state: dict[str, Any], page: str | None) -> None:
        send(DOWNLOAD_EVENT, state, page)

    def refusal(status: int, message: str) -> Any:
        return web.json_response({"error": message}, status=status)

    def guarded(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def handler(request: Any) -> Any:
            if not is_own_page(request.headers):
                return refusal(
                    403,
                    "Only ComfyUI's own page may ask for this. If this is it, a proxy changes the "
                    "Host header: let it pass the header on unchanged.",
                )
            try:
                return web.json_response(await answer(request))
            except RembgSessionsError as error:
                return refusal(400, str(error))

        return handler

    @routes.get("/rembg-sessions/models")
    async def models(_request: Any) -> Any:
        # looks at many folders, some of which may be on a network
        return web.json_response(await asyncio.to_thread(list_models))

    @routes.get("/rembg-sessions/diagnosis")
    @guarded
    async def diagnosis(request: Any) -> Any:
        if not is_known_host(request.headers):
            raise OptionError(
                "The diagnosis names folders of this machine, and goes to a page that was opened "
                "under the machine's address or over https only. Open ComfyUI like this, or run "
                "the doctor in a shell of that machine, see the README."
            )
        return await asyncio.to_thread(examine)

    for name, answer in _ACTIONS.items():
        routes.post(f"/rembg-sessions/{name}")(guarded(partial(answer, tell)))


async def download(tell: downloads.Tell, request: Any) -> dict[str, Any]:
    """Start a download, or join the one that runs; return its state."""
    spec, page = await asked_model(request)
    return downloads.start(spec, host.model_folders(), tell, page)


async def cancel(_tell: downloads.Tell, request: Any) -> dict[str, Any]:
    """Stop a download; return whether there was one."""
    spec, _ = await asked_model(request)
    return {"cancelled": downloads.cancel(spec)}


async def delete_model(_tell: downloads.Tell, request: Any) -> dict[str, Any]:
    """Delete a model's files from ComfyUI's folders; return their names."""
    spec, _ = await asked_model(request)
    deleted = await asyncio.to_thread(delete, spec, host.model_folders())
    return {"deleted": [path.name for path in deleted]}


async def delete_prepared(_tell: downloads.Tell, _request: Any) -> dict[str, Any]:
    """Delete the prepared copies of networks; return how many, and their bytes."""
    try:
        removed = await asyncio.to_thread(remove_kept, host.model_folders())
    except OSError as error:
        raise WeightsError(
            f"A prepared copy cannot be deleted: {error.strerror or error}."
        ) from error
    return {"files": len(removed), "bytes": sum(removed.values())}


async def asked_model(request: Any) -> tuple[ModelSpec, str]:
    """Return the model that a request names, and the page that asks; else an OptionError."""
    body = await read_json(request)
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise OptionError('The request must be {"model": "name"}.')
    client = body.get("client")
    known = isinstance(client, str) and len(client) <= _LONGEST_PAGE
    return get_model(body["model"]), client if known else ""


async def translated(_tell: downloads.Tell, request: Any) -> dict[str, Any]:
    """Return a node's values in our words; a request without any is an OptionError."""
    given = await read_json(request)
    plain = isinstance(given, dict) and all(
        isinstance(value, (str, int, float)) for value in given.values()
    )
    if not plain:
        raise OptionError("The request must be a JSON object of input names and values.")
    return own_values(given)


_ACTIONS = {
    "download": download,
    "cancel": cancel,
    "delete": delete_model,
    "delete-prepared": delete_prepared,
    "own-values": translated,
}


async def read_json(request: Any) -> Any:
    """Return what an ``aiohttp.web.Request`` carries.

    Raises
    ------
    OptionError
        If it is no JSON, or too long.
    """
    # other content types are what a page of another site may send unasked
    if request.content_type != "application/json":
        raise OptionError("The request must be JSON.")
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > _LONGEST_REQUEST:
            raise OptionError(f"The request is longer than {_LONGEST_REQUEST} bytes.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise OptionError("The request is not JSON.") from None


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Return whether a request comes from ComfyUI's own page, or from no page at all.

    A page of another site cannot send ``HEADER`` without the browser asking the server first,
    and ComfyUI's answer allows it not even with ``--enable-cors-header``. Where the browser
    says who asks, that decides; it says so everywhere but on plain http of another machine.
    """
    if HEADER not in headers:
        return False
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("Origin")
    return origin is None or origin.lower().partition("://")[2] == headers.get("Host", "").lower()


def is_known_host(headers: Mapping[str, str]) -> bool:
    """Return whether a request cannot come from a page whose name was made to point here.

    Such a page (DNS rebinding) is of the same origin to the browser. It cannot have come over
    https, and where there is https, or where the machine is this one, the browser says so by
    a header that pages cannot set. Else the name decides: an address, or one that no stranger
    can own.
    """
    if headers.get("Sec-Fetch-Site") == "same-origin":
        return True
    try:
        name = (urlsplit(f"//{headers.get('Host', '')}").hostname or "").rstrip(".")
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        own = name == platform.node().lower()
        return bool(name) and ("." not in name or own or name.endswith(_HOME_DOMAINS))
    return True


def list_models() -> dict[str, Any]:
    """Return what the page shows of each model, and the downloads that run; no paths."""
    folders = host.model_folders()
    prepared = kept(folders)
    return {
        "models": [_row(spec, folders) for spec in MODELS],
        "downloads": downloads.running(),
        "prepared": {"files": len(prepared), "bytes": sum(prepared.values())},
    }


def _row(spec: ModelSpec, folders: Any) -> dict[str, Any]:
    sizes = [file.size for file in spec.weights]
    return {
        "name": spec.name,
        "choice": spec.choice,
        "shown": f"{spec.name}: {SHORT_LABELS.get(spec.name, spec.label)}",
        "names": [spec.name, *spec.aliases],
        "good_for": spec.good_for,
        "licence": spec.licence,
        "commercial": spec.commercial,
        "size": None if None in sizes else sum(sizes),
        "has_file": bool(spec.weights),
        "custom": spec.custom,
        "installed": not spec.custom and find(spec, folders) is not None,
        "deletable": bool(own_files(spec, folders)),
    }


def examine() -> dict[str, Any]:
    """Return the diagnosis as text."""
    folder = next(iter(host.model_folders()), None)
    return {"report": report(collect(folder))}
