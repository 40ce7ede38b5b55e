"""The models that the options of cutout need, opened, and what is asked of them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from ..matting.methods import check_method
from ..options import RemoveOptions
from ..session.factory import get_session
from ..session.vitmatte import get_vitmatte
from . import asked
from .terminal import download_bar


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
    with download_bar() as on_progress:
        if options.trimap is None:
            session = get_session(
                options.model,
                **asked.model_options(options),
                on_progress=on_progress,
                **settings,
            )
        if method and check_method(method).takes_model:
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
