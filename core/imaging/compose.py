"""Puts a cut-out over a colour or a picture: placed, with a shadow and an outline.

A :class:`Composition` says what is wanted, :func:`make_ground` makes what is behind, once for all
pictures, :func:`arrange` says where the cut-out goes, and :func:`compose_into` does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..checks import number, one_of, whole
from ..errors import ImageError
from ..text import short
from .bleed import bleed
from .box import Box, around, find_box
from .composite import FITS, Colour, fit_picture, over_colour, parse_colour
from .effects import cast_shadow, draw_outline
from .frame import place
from .framing import LARGEST_SIDE, UNITS, Placement
from .levels import VISIBLE, to_levels
from .rows import cached_rows, map_rows

CANVASES = ("image", "background")
LARGEST_SCALE = 100.0
LARGEST_OUTLINE = 256
LARGEST_BLUR = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """How a cut-out is put over a background.

    Attributes
    ----------
    canvas
        Whose size the result has: the ``"image"``'s, or the ``"background"`` picture's.
    width, height
        Of the result, in pixels, in place of that; 0 follows the other one.
    fit
        How a picture is brought to that size, see :func:`.composite.fit_picture`.
    scale
        Size of the subject, from 0.01 on; 1 keeps its pixels. The middle of its own box stays
        where it is.
    move_x, move_y
        How far the subject is moved to the right and down. Where it is: the middle of the image
        lies on the middle of the canvas.
    move_unit
        ``"%"`` of the canvas's width and height, or ``"px"``.
    shadow
        Opacity of the shadow, black, 0..1; 0 draws none.
    shadow_blur
        Standard deviation in pixels.
    shadow_x, shadow_y
        How far it falls to the right and down, in whole pixels.
    outline
        Width in pixels of an outline around the subject; 0 draws none.
    outline_colour
        An opaque colour, see :func:`.composite.parse_colour`.

    Raises
    ------
    OptionError
        If a value is out of range.
    """

    canvas: str = CANVASES[0]
    width: int = 0
    height: int = 0
    fit: str = "fill"
    scale: float = 1.0
    move_x: float = 0.0
    move_y: float = 0.0
    move_unit: str = UNITS[0]
    shadow: float = 0.0
    shadow_blur: float = 12.0
    shadow_x: int = 0
    shadow_y: int = 12
    outline: int = 0
    outline_colour: str | tuple[int, ...] = "#ffffff"

    def __post_init__(self) -> None:
        """Check everything that does not depend on a picture."""
        one_of("canvas", self.canvas, CANVASES)
        whole("width", self.width, 0, LARGEST_SIDE)
        whole("height", self.height, 0, LARGEST_SIDE)
        one_of("fit", self.fit, FITS)
        number("scale", self.scale, 0.01, LARGEST_SCALE)
        number("move_x", self.move_x, -LARGEST_SIDE, LARGEST_SIDE)
        number("move_y", self.move_y, -LARGEST_SIDE, LARGEST_SIDE)
        one_of("move_unit", self.move_unit, UNITS)
        number("shadow", self.shadow, 0, 1)
        number("shadow_blur", self.shadow_blur, 0, LARGEST_BLUR)
        whole("shadow_x", self.shadow_x, -LARGEST_SIDE, LARGEST_SIDE)
        whole("shadow_y", self.shadow_y, -LARGEST_SIDE, LARGEST_SIDE)
        whole("outline", self.outline, 0, LARGEST_OUTLINE)
        parse_colour(self.outline_colour)

    def canvas_hw(
        self, image_hw: tuple[int, int], background_hw: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Return the size of the result.

        Raises
        ------
        ImageError
            If it is to be that of a background which is not there.
        """
        if self.canvas == "background" and background_hw is None:
            raise ImageError(
                "canvas is background, and there is no background picture. Connect one, or use "
                "canvas = image."
            )
        height, width = image_hw
        if self.canvas == "background" and background_hw is not None:
            height, width = background_hw
        if self.width and self.height:
            return self.height, self.width
        if self.width:
            return max(1, round(height * self.width / width)), self.width
        if self.height:
            return self.height, max(1, round(width * self.height / height))
        return height, width


def compose(
    cutout: Image.Image,
    background: Image.Image | str | tuple[int, ...] | None = None,
    composition: Composition | None = None,
) -> Image.Image:
    """Put a cut-out over a background.

    Parameters
    ----------
    cutout
        Mode RGBA, straight, as :func:`.pipeline.remove` returns it.
    background
        A picture; a colour, see :func:`.composite.parse_colour`, which may be half-transparent;
        None leaves it transparent.
    composition
        Size, place, shadow, outline; None is how they are without it.

    Returns
    -------
    PIL.Image.Image
        RGB where nothing can be transparent, else RGBA.

    Raises
    ------
    ImageError, OptionError
        If an argument cannot be used.
    NotEnoughMemoryError

    Examples
    --------
    >>> cutout = Image.new("RGBA", (60, 40))
    >>> cutout.paste("red", (20, 10, 40, 30))
    >>> card = compose(cutout, "white", Composition(scale=0.5, shadow=0.4, outline=2))
    >>> card.mode, card.size, card.getpixel((30, 20)), card.getpixel((24, 20))
    ('RGB', (60, 40), (255, 0, 0), (255, 255, 255))
    """
    if not isinstance(cutout, Image.Image):
        raise ImageError(f"The cut-out is {short(cutout)}; pass a Pillow picture of mode RGBA.")
    composition = composition or Composition()
    picture = background if isinstance(background, Image.Image) else None
    colour: Colour = (0, 0, 0, 0)
    if background is not None and not isinstance(background, Image.Image):
        colour = parse_colour(background)
    image_hw = (cutout.height, cutout.width)
    canvas_hw = composition.canvas_hw(
        image_hw, None if picture is None else (picture.height, picture.width)
    )
    ground = make_ground(picture, canvas_hw, composition.fit, colour)
    values = np.asarray(cutout.convert("RGBA"), np.float32) / np.float32(255)
    alpha = np.ascontiguousarray(values[..., 3])
    box = find_box(alpha) if composition.scale != 1 else None
    placement = arrange([box], image_hw, canvas_hw, composition)
    result = np.empty((*canvas_hw, 3 if is_opaque(ground) else 4), np.float32)
    compose_into(values, alpha, placement, composition, ground, result, np.empty(canvas_hw, "f4"))
    return Image.fromarray(to_levels(result))


def make_ground(
    picture: Image.Image | None, canvas_hw: tuple[int, int], fit: str, colour: Colour
) -> NDArray[np.uint8]:
    """Return what is behind the subject: a picture over a colour, or the colour alone.

    Parameters
    ----------
    picture
        RGB or RGBA.
    colour
        Red, green, blue and opacity, 0..255: of what the picture leaves free.

    Returns
    -------
    ndarray
        uint8 (H, W, 4), of the size of the canvas, read-only.
    """
    if picture is None:
        return np.broadcast_to(np.array(colour, np.uint8), (*canvas_hw, 4))
    placed = fit_picture(picture.convert("RGBA"), canvas_hw, fit, (0, 0, 0, 0))
    return np.asarray(over_colour(placed, colour))


def is_opaque(ground: NDArray[np.uint8]) -> bool:
    """Return whether nothing shows through what is behind the subject."""
    return bool(ground[..., 3].min() == 255)


def arrange(
    boxes: Sequence[Box | None],
    image_hw: tuple[int, int],
    canvas_hw: tuple[int, int],
    composition: Composition,
) -> Placement:
    """Return where the images of a batch go on their canvases, all to the same place.

    A point p of the image goes to s (p − c) + c + m: s is the scale, c the middle of the box around
    all subjects, so that nothing jumps, and m moves the middle of the image to that of the canvas,
    and on as is asked for.

    Parameters
    ----------
    boxes
        Around the subject of each image, see :func:`.box.find_box`; needed for scales other
        than 1.
    """
    found = [box for box in boxes if box is not None]
    (height, width), scale = image_hw, composition.scale
    box = around(found) if found else Box(0, 0, width, height)
    move_x, move_y = composition.move_x, composition.move_y
    if composition.move_unit == "%":
        move_x, move_y = move_x * canvas_hw[1] / 100, move_y * canvas_hw[0] / 100
    left = (1 - scale) * (box.x + box.width / 2) + (canvas_hw[1] - width) / 2 + move_x
    top = (1 - scale) * (box.y + box.height / 2) + (canvas_hw[0] - height) / 2 + move_y
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    target = Box(round(left), round(top), *size)
    return Placement(image_hw, canvas_hw, Box(0, 0, width, height), target)


def compose_into(
    picture: NDArray[np.float32],
    alpha: NDArray[np.float32],
    placement: Placement,
    composition: Composition,
    ground: NDArray[np.uint8],
    out: NDArray[np.float32],
    mask: NDArray[np.float32],
) -> None:
    """Compose one picture, channel by channel: beside the result there are few planes in memory.

    Parameters
    ----------
    picture
        float32 (H, W, 3 or 4), 0..1, straight; of four channels the last is not read.
    alpha
        float32 (H, W), 0..1: what of it is seen.
    placement
        From :func:`arrange`.
    ground
        From :func:`make_ground`.
    out
        float32 (H', W', 3), or (…, 4) where the ground is not opaque: gets the result, straight.
    mask
        float32 (H', W'): gets the opacity of the subject and its outline, without the shadow.

    Raises
    ------
    NotEnoughMemoryError
    """
    height, width = placement.canvas_hw
    is_placed = placement.box != placement.target or placement.picture_hw != placement.canvas_hw
    mask[:] = place(alpha, placement) if is_placed else alpha
    seen = mask
    if composition.outline:
        seen = mask.copy()
        behind = draw_outline(seen, composition.outline)
        behind *= 1 - seen  # what the subject leaves of it
        mask += behind
        del behind
    cover = mask
    if composition.shadow:
        cover = cast_shadow(
            mask, composition.shadow_blur, composition.shadow_x, composition.shadow_y
        )
        cover *= np.float32(composition.shadow) * (1 - mask)
        cover += mask
    rim = parse_colour(composition.outline_colour)

    def blend(planes: Mapping[int, NDArray[np.float32]], top: int, bottom: int) -> None:
        rows = slice(top, bottom)
        share, covered = seen[rows], cover[rows]
        total = room = 1 - covered
        if out.shape[2] == 4:
            room *= _unit(ground[rows, :, 3])
            total = covered + room
            out[rows, :, 3] = total
        for channel, plane in planes.items():
            if is_placed:  # filters overshoot; colours times alpha are not above it
                value = np.minimum(plane[rows], share)
            else:
                value = plane[rows] * share
            if composition.outline:
                value += np.float32(rim[channel] / 255) * (mask[rows] - share)
            value += room * _unit(ground[rows, :, channel])
            if out.shape[2] == 4:
                is_seen = total >= np.float32(VISIBLE)
                value = np.divide(value, total, out=np.zeros_like(value), where=is_seen)
                np.clip(value, 0, 1, out=value)
            out[rows, :, channel] = value

    strip = cached_rows(width)
    if not is_placed:
        planes = {channel: picture[..., channel] for channel in range(3)}
        map_rows(partial(blend, planes), height, height * width, strip)
    else:  # one plane at a time, for the sake of memory
        for channel in range(3):
            planes = {channel: place(picture[..., channel] * alpha, placement)}
            map_rows(partial(blend, planes), height, height * width, strip)
    if out.shape[2] == 4:
        bleed(out, from_certain=picture.shape[2] == 3)


def _unit(levels: NDArray[np.uint8]) -> NDArray[np.float32] | np.float32:
    """Return levels (h, w) as 0..1; of an even colour, one number."""
    if levels.strides == (0, 0):
        return np.float32(levels[0, 0] / 255)
    return levels.astype(np.float32) / np.float32(255)
