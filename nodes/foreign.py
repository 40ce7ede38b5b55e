"""What the workflows of other packs hold where ours hold something else.

ComfyUI copies values from the node that it replaces (see replacements.py) as they are, so
RemBGRemove and RemBGSession understand them; the page shows them in our words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.errors import OptionError, RembgSessionsError
from ..core.registry.lookup import get_model
from ..core.runtime.providers import CHOICES
from .models import DETAILS, is_own


class Look(NamedTuple):
    """The inputs of RemBGRemove that other packs store in their own words."""

    background: Any = "transparent"
    background_colour: Any = "#ffffff"
    edge_colours: Any = "estimated"
    invert: Any = False
    grow: Any = 0
    feather: Any = 0.0
    detail: Any = "full"
    alpha_matting: Any = "off"


# ComfyUI-RMBG until May 2025 chose from these; "Alpha" is older and newer than the rest.
_RMBG_BACKGROUNDS = {
    "black": "#000000",
    "white": "#ffffff",
    "gray": "#808080",
    "green": "#00ff00",
    "blue": "#0000ff",
    "red": "#ff0000",
}
# WAS Node Suite; its other names are CSS names. Without a colour it shows black.
_WAS_COLOURS = {"none": "#000000", "chroma green": "#00b140", "chroma blue": "#0047bb"}


def own_look(look: Look) -> Look:
    """Put what other packs stored into our words; what is in our words already stays.

    Values are not checked here.

    Raises
    ------
    OptionError
        If ComfyUI's swap has lost a value that cannot be guessed.
    """
    look = _own_order(look)
    if not isinstance(look.detail, str):  # ComfyUI-RMBG: process_res
        look = look._replace(detail=_nearest_detail(look.detail))
    if isinstance(look.alpha_matting, bool):  # WAS Node Suite
        look = look._replace(alpha_matting="on" if look.alpha_matting else "off")
    if isinstance(look.edge_colours, bool):  # ComfyUI-RMBG: refine_foreground
        look = look._replace(edge_colours="estimated" if look.edge_colours else "original")
    background, colour = look.background, str(look.background_colour)
    if background in ("true", "false"):  # WAS Node Suite until September 2023
        background = background == "true"
    if (
        isinstance(background, bool) and colour.isdecimal() and len(colour) <= 8
    ):  # ComfyUI_BiRefNet_ll: fill_color
        background, colour = "colour" if background else "transparent", f"#{int(colour):06x}"
    elif isinstance(background, bool):  # WAS Node Suite: transparency
        background, colour = (
            "transparent" if background else "colour",
            _WAS_COLOURS.get(colour, colour),
        )
    elif isinstance(background, str) and background in _RMBG_BACKGROUNDS:
        background, colour = "colour", _RMBG_BACKGROUNDS[background]
    elif isinstance(background, str):  # ComfyUI-RMBG
        background = {"Alpha": "transparent", "Color": "colour"}.get(background, background)
    return look._replace(background=background, background_colour=colour)


def _own_order(look: Look) -> Look:
    """Undo the shift of widgets between versions of ComfyUI-RMBG.

    A file says nothing of the version, and ComfyUI copies by position; the kinds of the
    values tell it.
    """
    if look.background_colour in ("Alpha", "Color"):
        # BiRefNetRMBG since July 2026 begins with one widget more: all have moved up by one
        if look.background_colour == "Color":
            raise OptionError(
                "The colour behind this node's pictures was lost when BiRefNetRMBG was swapped. "
                "Set background to colour and choose background_colour; then turn invert off, "
                "and set grow and feather to 0."
            )
        return Look(
            edge_colours="original",
            invert=look.edge_colours,
            grow=look.invert,
            feather=look.grow,
            detail=look.detail,
            alpha_matting=look.alpha_matting,
        )
    if look.invert in ("Alpha", *_RMBG_BACKGROUNDS):
        # RMBG and BiRefNetRMBG until May 2025 had the background before the other two
        return look._replace(
            background=look.invert, invert=look.edge_colours, edge_colours="original"
        )
    return look


def _nearest_detail(process_res: Any) -> str:
    """Return the detail that comes nearest to a number of pixels; full is 1024 of them."""
    sides = {(1024 if name == DETAILS[0] else int(name)): name for name in DETAILS}
    try:
        return sides[min(sides, key=lambda side: abs(side - float(process_res)))]
    except (TypeError, ValueError, OverflowError):
        return process_res  # execute() says what is wrong


def own_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put the widget values of one of our nodes into our words, for the page.

    What cannot be read stays as it is: running the node says what is wrong with it.

    Parameters
    ----------
    values
        Input to text, number or truth value, of a RemBGSession or RemBGRemove.
    """
    own = dict(values)
    try:
        if own.keys() >= set(Look._fields):
            own |= own_look(Look(*(own[name] for name in Look._fields)))._asdict()
        if "model" in own and not is_own(str(own["model"])):
            own["model"] = get_model(own["model"]).choice
    except RembgSessionsError:
        pass
    if "device" in own:
        listed = {choice.casefold(): choice for choice in CHOICES}
        own["device"] = listed.get(str(own["device"]).casefold(), own["device"])
    return own
