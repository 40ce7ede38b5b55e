"""Cut-outs, and what puts them over a colour or an image."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageOps

from ..checks import one_of
from ..errors import OptionError
from ..text import short
from .foreground import EdgeColours
from .levels import alpha_to_levels
from .rows import CACHED, cached_rows, map_rows

Colour = tuple[int, int, int, int]
# Pixels that are worked on at a time. Of fewer, copying each strip would cost more than it saves.
_STRIP = 1 << 20
# Characters; CSS has nothing near to it.
_LONGEST_COLOUR = 100
FITS = ("stretch", "fit", "fill", "centre")


def naive_cutout(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Multiply every channel by the mask, as rembg does by default.

    Soft edges come out too dark, because the colour is multiplied by alpha once here and
    again by whatever shows the cut-out. Kept for callers who need rembg's pixels.

    Parameters
    ----------
    image, mask
        RGB and L, of one size.

    Returns
    -------
    PIL.Image.Image
        RGBA.
    """

    def multiply(image: Image.Image, mask: Image.Image) -> Image.Image:
        product = Image.new("RGBA", image.size)
        product.paste(image, mask=mask)
        return product

    return _by_rows(multiply, image, mask)


def straight_cutout(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Add the mask as alpha channel and leave the colours alone, as rembg's ``putalpha`` does.

    So the whole background is in the file, under alpha 0: whatever drops alpha shows it.
    """

    def join(image: Image.Image, mask: Image.Image) -> Image.Image:
        joined = image.convert("RGBA")
        joined.putalpha(mask)
        return joined

    return _by_rows(join, image, mask)


def _by_rows(
    make: Callable[[Image.Image, Image.Image], Image.Image], image: Image.Image, mask: Image.Image
) -> Image.Image:
    """Make RGBA of an image and a mask, strip by strip: what is large leaves the cache between."""
    if image.width * image.height <= _STRIP:
        return make(image, mask)
    cutout = Image.new("RGBA", image.size, None)  # every pixel is written

    def write(top: int, bottom: int) -> None:
        box = (0, top, image.width, bottom)
        cutout.paste(make(image.crop(box), mask.crop(box)), box)

    map_rows(write, image.height, image.width * image.height, max(1, _STRIP // image.width))
    return cutout


def original_cutout(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Add the mask as alpha channel; keep the colours, but none where alpha is 0."""
    return Image.fromarray(_masked(np.asarray(image), np.asarray(mask)))


def cut_out(
    image: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    edge: EdgeColours,
    limit: NDArray[np.uint8] | None = None,
) -> Image.Image:
    """Cut out with foreground colours.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    alpha
        float32 (H, W), 0..1.
    edge
        Colours of soft edges, see :func:`.foreground.estimate_edge_colours`.
    limit
        uint8 (H, W): the most that alpha may be, where the picture was transparent already.

    Returns
    -------
    PIL.Image.Image
        RGBA, straight: the picture's own colours where alpha is 1; alpha and colours 0 where
        less than a level of 8 bit would be seen.
    """
    cutout = _masked(image, alpha, limit)
    flat = cutout.reshape(-1, 4)

    def colour(first: int, last: int) -> None:
        pixels, colours = edge.pixels[first:last], edge.colours[first:last]
        if limit is not None:
            seen = flat[pixels, 3] > 0
            pixels, colours = pixels[seen], colours[seen]
        flat[pixels, :3] = colours + 0.5

    map_rows(colour, len(edge.pixels), len(edge.pixels), CACHED)
    return Image.fromarray(cutout)


def _masked(
    image: NDArray[np.uint8], alpha: NDArray[Any], limit: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Join colours and alpha (float32 of 0..1, or uint8); colours are 0 where alpha is."""
    height, width = alpha.shape
    cutout = np.empty((height, width, 4), np.uint8)

    def write(top: int, bottom: int) -> None:
        rows = slice(top, bottom)
        levels = alpha[rows] if alpha.dtype == np.uint8 else alpha_to_levels(alpha[rows])
        if limit is not None:
            levels = np.minimum(levels, limit[rows])
        is_seen = (levels > 0).view(np.uint8)
        for channel in range(3):  # numpy is slow where the last axis is short
            np.multiply(image[rows, :, channel], is_seen, out=cutout[rows, :, channel])
        cutout[rows, :, 3] = levels

    map_rows(write, height, alpha.size, cached_rows(width))
    return cutout


def parse_colour(value: str | tuple[int, ...] | list[int]) -> Colour:
    """Read a colour as (red, green, blue, alpha), 0..255 each.

    Parameters
    ----------
    value
        ``#RGB``, ``#RGBA``, ``#RRGGBB``, ``#RRGGBBAA``, a CSS name, ``"r,g,b"`` or
        ``"r,g,b,a"``, or a sequence of 3 or 4 numbers.

    Raises
    ------
    OptionError
        If it is none of these.
    """
    try:
        if not isinstance(value, str):
            numbers = tuple(index(number) for number in value)
        elif len(value) > _LONGEST_COLOUR:
            numbers = ()
        elif "," in value and "(" not in value:
            numbers = tuple(int(part) for part in value.split(","))
        else:
            numbers = ImageColor.getrgb(value.strip())
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) == 3:
        numbers = (*numbers, 255)
    if len(numbers) != 4 or not all(0 <= number <= 255 for number in numbers):
        raise OptionError(
            f"{short(value)} is not a colour. Use #RGB, #RRGGBB, #RRGGBBAA, a name such as white, "
            "or r,g,b with whole numbers from 0 to 255."
        )
    return numbers


def over_colour(cutout: Image.Image, colour: Colour) -> Image.Image:
    """Put an RGBA cut-out over a colour; the result is RGBA."""
    return Image.alpha_composite(Image.new("RGBA", cutout.size, colour), cutout)


def over_picture(cutout: Image.Image, background: Image.Image) -> Image.Image:
    """Put an RGBA cut-out over an RGB picture that fills its size; the result is RGB."""
    behind = fit_picture(background, (cutout.height, cutout.width), "fill").convert("RGBA")
    return Image.alpha_composite(behind, cutout).convert("RGB")


def fit_picture(
    picture: Image.Image,
    size_hw: tuple[int, int],
    fit: str,
    colour: tuple[int, ...] = (0, 0, 0),
) -> Image.Image:
    """Fit a background image to a size.

    Parameters
    ----------
    picture
        RGB or RGBA.
    size_hw
        Result (height, width).
    fit
        ``stretch`` ignores the proportions; ``fit`` shows the whole image, with bars;
        ``fill`` covers everything and crops; ``centre`` keeps the pixels and crops, or adds
        a border.
    colour
        Of bars and borders, of as many channels, 0..255.

    Raises
    ------
    OptionError
        If ``fit`` is none of these.
    """
    height, width = size_hw
    one_of("fit", fit, FITS)
    if fit == "stretch":
        return picture.resize((width, height), Image.Resampling.LANCZOS)
    if fit == "fill":
        return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    if fit == "fit":
        scale = min(width / picture.width, height / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    result = Image.new(picture.mode, (width, height), colour)
    result.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return result


def stack(pictures: list[Image.Image]) -> Image.Image:
    """Place images of one mode below each other, left-aligned."""
    if len(pictures) == 1:
        return pictures[0]
    width = max(picture.width for picture in pictures)
    result = Image.new(pictures[0].mode, (width, sum(picture.height for picture in pictures)))
    top = 0
    for picture in pictures:
        result.paste(picture, (0, top))
        top += picture.height
    return result
