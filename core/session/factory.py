"""Sessions by name, under the names rembg gives them; and those that callers share."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from .. import settings
from ..checks import path_list
from ..errors import OptionError
from ..registry.lookup import get_model
from ..registry.models import MODELS
from ..registry.names import ModelName
from ..registry.spec import ModelSpec, Output
from ..runtime.providers import AUTO, Request
from ..text import short
from ..weights.own import custom_path
from .backdrop import BackdropSession
from .network import Model, NetworkSession
from .rembg_api import BaseSession
from .sam import SamSession

AnyModel = TypeVar("AnyModel", bound=Model | BaseSession)

DEFAULT_MODEL: ModelName = "u2net"
# Options that say nothing about the model: where its files are looked for, and who watches.
_FINDING = ("folders", "on_progress")


def _session_class(spec: ModelSpec) -> type[BaseSession]:
    special = {Output.SAM: SamSession, Output.BACKDROP: BackdropSession}
    base = special.get(spec.output, NetworkSession)
    own = {"spec": spec, "__doc__": spec.good_for, "__reduce__": _reduce}
    made: Any = type(spec.session_class, (base,), own)
    return made


def _reduce(session: BaseSession) -> tuple[Any, ...]:
    """Make a copy, or one in another process, a session of the same name and options."""
    if session.options.get("sess_opts") is not None:
        raise TypeError(
            "A session with an onnxruntime.SessionOptions cannot be copied or sent to another "
            "process; make it there, or pass threads and optimization instead."
        )
    return _restore, (session.spec.name, session.options)


def _restore(name: str, options: dict[str, Any]) -> BaseSession:
    return _make(sessions[name], None, options)


sessions: dict[str, type[BaseSession]] = {spec.name: _session_class(spec) for spec in MODELS}
"""Session class by registry name."""
sessions_names: list[str] = list(sessions)
sessions_class: list[type[BaseSession]] = list(sessions.values())


def _session_type(model_name: str, options: dict[str, Any]) -> type[BaseSession]:
    """Return the class for a name; rembg's ``sam_model`` and ``sam_quant`` choose a SAM row."""
    spec = get_model(model_name)
    sam_model, quantised = options.pop("sam_model", None), options.pop("sam_quant", False)
    if sam_model is not None or quantised:
        if spec.output is not Output.SAM:
            raise OptionError(
                f"{spec.name} does not take sam_model or sam_quant; use the model sam."
            )
        spec = get_model(sam_model or "sam-vit-b")
        if quantised and not spec.name.endswith("-quant"):
            spec = get_model(f"{'sam-vit-b' if spec.name == 'sam' else spec.name}-quant")
    return sessions[spec.name]


def new_session(
    model_name: ModelName | str = DEFAULT_MODEL,
    providers: Request = None,
    *,
    sess_opts: Any = None,
    **options: Any,
) -> BaseSession:
    """Open a model.

    With ``with new_session(...) as session:`` its memory is given back at the end of the block.

    Parameters
    ----------
    model_name
        A registry name or alias; hyphens and underscores are the same.
    providers
        None or ``"Auto"``, a name such as ``"CUDA"``, or ONNX Runtime's own list.
    sess_opts
        An ``onnxruntime.SessionOptions``, passed through.
    **options
        The other keyword arguments of :class:`.network.Model`: ``model_path``, ``cpu_fallback``,
        ``threads`` and so on; for SAM also rembg's ``sam_model`` and ``sam_quant``; for
        ``backdrop`` those of :class:`.backdrop.BackdropSession`.

    Returns
    -------
    BaseSession
        Loaded and ready.

    Raises
    ------
    UnknownModelError, OptionError, ModelPathError, WeightsError, ProviderError

    Examples
    --------
    >>> new_session("backdrop")
    <PlainBackdropSession backdrop on CPU, open>
    """
    options["providers"] = providers
    session = _make(_session_type(model_name, options), sess_opts, options)
    session.open()
    return session


def _make(kind: type[AnyModel], sess_opts: Any, options: dict[str, Any]) -> AnyModel:
    # None is every option's way of not being given
    options = {name: value for name, value in options.items() if value is not None}
    if not (kind.spec.weights or kind.spec.custom):  # there are no files to be found
        options = {name: value for name, value in options.items() if name not in _FINDING}
    make: Any = kind
    return make(kind.spec.name, sess_opts, **options)


_shared: WeakValueDictionary[tuple[Any, ...], Model | BaseSession] = WeakValueDictionary()
# The last models stay alive without a user, so that the next workflow finds them: networks, and
# what needs no weights, such as `backdrop`, which must not push a network out.
_networks: deque[Model | BaseSession] = deque(maxlen=2)
_weightless: deque[Model | BaseSession] = deque(maxlen=2)
_lock = threading.Lock()


def get_session(model_name: ModelName | str = DEFAULT_MODEL, **options: Any) -> BaseSession:
    """Return the one session for a model, its files and its options, making it if need be.

    Two calls with the same arguments share a session as long as someone holds it, and the
    last two stay alive in between. The session is not loaded yet. Arguments as in
    :func:`new_session`, without ``sess_opts``.
    """
    return share(_session_type(model_name, options), **options)


def _plain(value: object) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value  # pyright: ignore


def share(kind: type[AnyModel], **options: Any) -> AnyModel:
    """Return the one model of a class and its options, see :func:`get_session`."""
    if options.pop("sess_opts", None) is not None:
        raise OptionError(
            "Sessions with an onnxruntime.SessionOptions cannot be shared: make one with "
            "new_session, or pass threads and optimization instead."
        )
    chosen = {
        name: _plain(value)
        for name, value in options.items()
        if name != "on_progress" and value is not None
    }
    if kind.spec.custom:  # a path from the working folder may mean another file tomorrow
        folders = path_list("folders", chosen.get("folders", ()))
        path = custom_path(chosen.get("model_path"), folders, anywhere=True)
        chosen["model_path"] = str(path)
    if chosen.get("providers") == AUTO:
        del chosen["providers"]
    homes = (settings.home(), *settings.rembg_homes())
    try:
        key = (kind, homes, repr(sorted(chosen.items())))
    except Exception:
        raise OptionError(f"The options {short(chosen)} cannot be told from others.") from None
    with _lock:
        model: Any = _shared.get(key)
    if model is None or not model.is_current():
        # outside the lock: this may download for minutes
        model = _make(kind, None, options)
    with _lock:
        known = _shared.get(key)  # another thread may have been faster
        if known is None or not known.is_current():
            if known is not None:  # its file was replaced
                known.close()
                if known in _networks:
                    _networks.remove(known)
            _shared[key] = known = model
        model = known
        recent = _networks if model.graphs else _weightless
        if model in recent:
            recent.remove(model)
        recent.append(model)
    return model


def release_sessions() -> None:
    """Close every shared model and let go of those nobody uses."""
    with _lock:
        for model in list(_shared.values()):
            model.close()
        _networks.clear()
        _weightless.clear()
