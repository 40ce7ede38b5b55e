"""What the options of cutout ask for, checked before anything is loaded or fetched."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from PIL import Image

from ..errors import OptionError
from ..imaging.composite import over_picture, parse_colour
from ..imaging.mask import check_cleaning
from ..imaging.parts import take_apart
from ..imaging.picture import open_picture
from ..imaging.profile import without_profile
from ..layers import LONGEST, check_max_size
from ..matting.methods import MattingOptions
from ..options import RemoveOptions
from ..pipeline import choose_method
from ..registry.lookup import get_model
from ..registry.spec import Output
from ..session.factory import DEFAULT_MODEL
from ..session.network import check_category
from ..session.prompt import check_prompt
from ..text import short
from ..weights.own import custom_path
from .folders import comfy_folders
from .framing import framing
from .output import check_format, takes_exif, takes_quality

_THRESHOLDS = (
    "alpha_matting_foreground_threshold",
    "alpha_matting_background_threshold",
    "alpha_matting_erode_size",
)
_MATTING = (*_THRESHOLDS, "alpha_matting_scale_erode")
_EXCLUDED = (
    ("overwrite", "redo_if_newer", "the one replaces all that the other does"),
    ("putalpha", "decontaminate", "the one keeps the colours that the other changes"),
    ("putalpha", "edge_colours", "both choose the colours of soft edges"),
    ("only_mask", "putalpha", "a mask has no colours"),
    ("only_mask", "decontaminate", "a mask has no colours"),
    ("only_mask", "edge_colours", "a mask has no colours"),
    ("only_mask", "bgcolor", "a mask has no background"),
    ("only_mask", "background", "a mask has no background"),
    ("bgcolor", "background", "the one covers the other"),
    ("trimap", "steady", "it belongs to one picture"),
    *(
        ("trimap", name, "a trimap takes the place of a model and its mask")
        for name in (
            *("model", "model_path", "input_size", "no_prepare", "sam_prompt", "cloth_category"),
            *("post_process_mask", "remove_specks", "fill_holes", "max_size", *_MATTING),
            *("sam_model", "sam_quant"),
        )
    ),
)
"""Pairs of options of which one would have no effect, and why."""
# Arguments of Python's functions that -x may bring; cc is rembg's name of another.
_EXTRAS = (
    *("model_path", "providers", "device_id", "threads", "optimization", "input_size"),
    *("sam_model", "sam_quant", "sam_prompt", "cloth_category", "cc"),
    *("alpha_matting", *_MATTING, "matting_method", "vitmatte", "vitmatte_model", "trimap"),
    *("only_mask", "post_process_mask", "remove_specks", "fill_holes", "decontaminate"),
    *("putalpha", "edge_colours", "bgcolor", "max_size"),
    *("tolerance", "soft_edge", "keep_shadow", "strict"),
)


def settle(options: argparse.Namespace) -> None:
    """Bring options into the form in which they are used.

    Raises
    ------
    OptionError, ImageError, UnknownModelError
        If one is out of range or of a wrong form, or two of them cannot be had together.
    """
    options.sam_model = options.sam_quant = None
    _add_extras(options)
    for one, other, reason in _EXCLUDED:
        if _is_given(options, one) and _is_given(options, other):
            raise OptionError(
                f"{_flag(one)} and {_flag(other)} do not go together: {reason}. Leave one out."
            )
    if options.decontaminate and options.edge_colours not in (None, "estimated"):
        raise OptionError(
            f"--decontaminate is the same as --edge-colours estimated, and --edge-colours is "
            f"{options.edge_colours}; leave one out."
        )
    options.vitmatte = options.vitmatte or options.vitmatte_model is not None
    options.framing = framing(options)
    check_max_size(options.max_size)
    check_cleaning(options.remove_specks, options.fill_holes)
    _check_matting(options)
    if options.bgcolor is not None:
        options.bgcolor = parse_colour(options.bgcolor)
    if options.background is not None:
        options.background = take_apart(open_picture(options.background)[0]).rgb
    if options.trimap is not None:
        options.trimap = open_picture(options.trimap)[0]
    else:
        _check_model(options)


def _is_given(options: argparse.Namespace, name: str) -> bool:
    return getattr(options, name) not in (None, False)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add_extras(options: argparse.Namespace) -> None:
    """Take over what rembg's -x brings: arguments of its functions, as a JSON object."""
    if options.extras is None:
        return
    try:
        extras = json.loads(options.extras)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"--extras is not valid JSON ({error}).") from error
    if not isinstance(extras, Mapping):
        raise OptionError(
            f'--extras is {short(extras)}; use an object such as {{"model_path": "my.onnx"}}.'
        )
    for name, value in cast("Mapping[str, Any]", extras).items():
        if name not in _EXTRAS:
            raise OptionError(f"--extras holds {short(name)}; use some of {', '.join(_EXTRAS)}.")
        setattr(options, "cloth_category" if name == "cc" else name, value)


def _check_matting(options: argparse.Namespace) -> None:
    method = method_of(options)
    if not method:
        for name in _MATTING:
            if _is_given(options, name):
                raise OptionError(f"{_flag(name)} needs alpha matting; add --alpha-matting.")
        return
    given = _thresholds(options).items()
    thresholds = {name.removeprefix("alpha_matting_"): value for name, value in given}
    MattingOptions(method=method, scale_erode=options.alpha_matting_scale_erode, **thresholds)


def _check_model(options: argparse.Namespace) -> None:
    options.model = options.model or ("custom" if options.model_path else DEFAULT_MODEL)
    spec = get_model(options.model)
    if spec.custom:
        options.model_path = custom_path(options.model_path, comfy_folders(), anywhere=True)
    if options.sam_prompt is not None:
        if spec.output is not Output.SAM:
            raise OptionError(f"{spec.name} does not take a sam_prompt; use a sam model.")
        check_prompt(options.sam_prompt, (LONGEST, LONGEST))
    if options.cloth_category is not None:
        check_category(spec, options.cloth_category)


def check_output(options: argparse.Namespace, suffix: str) -> None:
    """Refuse a format that is not written, or does not fit the other options.

    Raises
    ------
    OptionError
    """
    check_format(suffix, is_opaque(options))
    if options.quality is not None and not takes_quality(suffix):
        raise OptionError(f"{suffix} loses nothing and takes no --quality; leave it out.")
    if options.keep_metadata and not takes_exif(suffix):
        raise OptionError(f"{suffix} keeps no EXIF data; leave --keep-metadata out, or use .png.")


def is_opaque(options: argparse.Namespace) -> bool:
    """Return whether what is asked for has no transparency."""
    colour = options.bgcolor
    is_covered = colour is not None and colour[3] == 255
    return options.only_mask or is_covered or options.background is not None


def finished(result: Image.Image, options: argparse.Namespace) -> Image.Image:
    """Return a result of :func:`.pipeline.remove` over the background picture, if one is given."""
    if options.background is None:
        return result
    if profile := result.info.get("icc_profile"):  # the background means sRGB
        result = without_profile(result, profile)
    covered = over_picture(result, options.background)
    if "dpi" in result.info:
        covered.info["dpi"] = result.info["dpi"]
    return covered


def file_suffix(output: str, options: argparse.Namespace) -> str:
    """Return the suffix of an output that has a name of its own.

    Raises
    ------
    OptionError
        If ``--suffix`` says something else.
    """
    suffix = Path(output).suffix
    if options.suffix is not None and options.suffix.lower() != suffix.lower():
        raise OptionError(
            f"The output ends in {suffix} and --suffix is {short(options.suffix)}; leave one out."
        )
    return suffix


def method_of(options: argparse.Namespace) -> str:
    """Return the matting method that is asked for; empty for none."""
    return choose_method(
        options.alpha_matting, options.vitmatte, options.matting_method, options.trimap
    )


def runtime_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return how any network is run."""
    return {
        "folders": comfy_folders(),
        "providers": options.providers,
        "cpu_fallback": not options.no_cpu_fallback,
        "device_id": options.device_id,
        "threads": options.threads,
        "optimization": options.optimization,
    }


def model_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what is asked of the model that finds the foreground, besides.

    Raises
    ------
    OptionError
        If it does not take them.
    """
    return {
        "model_path": options.model_path,
        "input_size": options.input_size,
        "prepare": False if options.no_prepare else None,
        "sam_model": options.sam_model,
        "sam_quant": options.sam_quant,
        **_backdrop_options(options),
    }


def _backdrop_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options given of the model for plain backdrops."""
    given = {
        "tolerance": options.tolerance,
        "soft_edge": options.soft_edge,
        "keep_shadow": options.keep_shadow or None,
        "holes": False if options.no_holes else None,
        "strict": options.strict or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if given and get_model(options.model).output is not Output.BACKDROP:
        names = ", ".join("no-holes" if n == "holes" else n.replace("_", "-") for n in given)
        raise OptionError(f"Only the model backdrop takes {names}; add `-m backdrop`.")
    return given


def picture_options(options: argparse.Namespace) -> RemoveOptions:
    """Return what is done to each picture: arguments of :func:`.pipeline.remove`."""
    method = method_of(options) or None
    edge_colours = options.edge_colours
    if edge_colours is None and options.putalpha:
        edge_colours = "original" if method else None
    elif edge_colours is None and (options.decontaminate or method != "pymatting"):
        edge_colours = "estimated"  # pymatting brings its own
    found: RemoveOptions = {
        "alpha_matting_scale_erode": options.alpha_matting_scale_erode,
        "matting_method": method,
        "trimap": options.trimap,
        "only_mask": options.only_mask,
        "post_process_mask": options.post_process_mask,
        "remove_specks": options.remove_specks,
        "fill_holes": options.fill_holes,
        "putalpha": options.putalpha,
        "edge_colours": edge_colours,
        "bgcolor": options.bgcolor,
        "max_size": options.max_size,
        "sam_prompt": options.sam_prompt,
        "cloth_category": options.cloth_category,
        "crop": options.framing or False,
    }
    found.update(_thresholds(options))
    return found


def _thresholds(options: argparse.Namespace) -> Any:
    """Return the thresholds that were given, by name."""
    given = {name: getattr(options, name) for name in _THRESHOLDS}
    return {name: value for name, value in given.items() if value is not None}
