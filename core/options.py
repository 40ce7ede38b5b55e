"""The arguments of remove, as a type: for editors, and for those who pass them on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, TypedDict

from .errors import OptionError
from .imaging.framing import Framing
from .imaging.picture import Picture
from .session.protocol import AnySession
from .session.vitmatte import VitMatte
from .text import short

EdgeColouring = Literal["estimated", "original", "naive"]


class RemoveOptions(TypedDict, total=False):
    """The keyword arguments of :func:`.pipeline.remove`, but for ``force_return_bytes``."""

    alpha_matting: bool
    alpha_matting_foreground_threshold: int
    alpha_matting_background_threshold: int
    alpha_matting_erode_size: int
    session: AnySession | None
    only_mask: bool
    post_process_mask: bool
    decontaminate: bool
    vitmatte: bool
    vitmatte_model: str | VitMatte | None
    bgcolor: str | tuple[int, ...] | None
    putalpha: bool
    edge_colours: EdgeColouring | None
    max_size: int | None
    channel_order: str
    sam_prompt: object
    cloth_category: str | None
    cc: str | None
    matting_method: str | None
    alpha_matting_scale_erode: bool
    trimap: Picture | None
    crop: bool | Framing
    remove_specks: float
    fill_holes: bool | float


def check_known(unknown: Iterable[str]) -> None:
    """Raise OptionError for names that are none of an argument's, with the right one.

    ``input_points`` and ``input_labels`` were rembg's before it had ``sam_prompt``.
    """
    known = (*RemoveOptions.__annotations__, "force_return_bytes")
    for name in unknown:
        if name in ("input_points", "input_labels"):
            advice = 'Point with sam_prompt=[{"type": "point", "label": 1, "data": [x, y]}].'
        elif close := difflib.get_close_matches(name, known, 3):
            advice = f"Did you mean {' or '.join(close)}?"
        else:
            advice = f"It takes {', '.join(known)}."
        raise OptionError(f"remove takes no argument {short(name)}. {advice}")
