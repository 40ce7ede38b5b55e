"""The models that the options of cutout need, opened, and what is asked of them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from ..matting.methods import check_method
from ..options import RemoveOptions
from ..registry.lookup import get_model
from ..registry.spec import Output
from ..runtime.library import hush_onnxruntime
from ..session.factory import get_session
from ..session.vitmatte import get_vitmatte
from . import asked
from .terminal import downloads


@dataclass(slots=True)
class Models:
    """The session, and the model of ViTMatte; None for neither."""

    session: Any
    refiner: Any
    name: str

    @property
    def provider(self) -> str:
        """What the first of them runs on."""
        return next((each.provider for each in (self.session, self.refiner) if each), "CPU")


def open_models(options: argparse.Namespace) -> Models:
    """Find, fetch and open the models that are asked for."""
    settings = asked.runtime_options(options)
    method = asked.method_of(options)
    session = refiner = None
    takes_model = bool(method) and check_method(method).takes_model
    takes_session = options.trimap is None
    if takes_model or (takes_session and get_model(options.model).output is not Output.BACKDROP):
        hush_onnxruntime()
    if takes_session:
        with downloads(options.model) as on_progress:
            session = get_session(
                options.model,
                **asked.model_options(options),
                on_progress=on_progress,
                **settings,
            )
    if takes_model:
        with downloads("vitmatte") as on_progress:
            refiner = get_vitmatte(options.vitmatte_model, on_progress=on_progress, **settings)
    for model in (session, refiner):
        if model is not None:
            model.open()
    return Models(session, refiner, options.model if session is not None else method)


def wanted(models: Models, options: argparse.Namespace) -> RemoveOptions:
    """Return what is asked of :func:`.pipeline.remove` for each picture."""
    found = asked.picture_options(options)
    found.update(session=models.session, vitmatte_model=models.refiner)
    return found
