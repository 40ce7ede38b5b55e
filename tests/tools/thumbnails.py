"""Makes the thumbnails of the templates from the sample picture.

    python tests/tools/thumbnails.py

Everything is cut out by the model ``backdrop``, which needs no download; also the blossom that
the points of the SAM template pick, which its colour tells from the stem.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from demo import SAMPLE, checkerboard
from PIL import Image, ImageDraw, ImageFilter

from rembg_sessions.core import Composition, Framing, compose, new_session, remove

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"
EXAMPLES = FOLDER.parent / "web" / "examples"
SAM = "Pick an object with SAM points"
SIDE = 400  # pixels
LINE = 3  # white, between two pictures
MATTING_BAND = 40
GREEN, RED = (60, 200, 60), (230, 50, 50)
DUSK, DAWN = np.array([250.0, 190.0, 120.0]), np.array([90.0, 70.0, 130.0])


def main() -> None:
    photo = Image.open(SAMPLE).convert("RGB")
    session = new_session("backdrop")
    whole = remove(photo, session=session, edge_colours="estimated")
    photo, cutout = (each.resize((SIDE, SIDE), Image.Resampling.LANCZOS) for each in (photo, whole))
    pictures = {
        "Remove a background": on_checkerboard(cutout),
        "Product on a colour and on a picture": halves(
            *(compose(cutout, behind, Composition(shadow=0.4)) for behind in ("white", sunset()))
        ),
        "Portrait with alpha matting": matted(Image.open(SAMPLE).convert("RGB"), whole),
        "Frames to an RGBA sequence": film(photo, session),
        "Hints painted by hand": hinted(Image.open(EXAMPLES / "rembg_sessions_fur.jpg")),
        "Subject cropped and centred": centred(
            Image.open(EXAMPLES / "rembg_sessions_product.jpg"), session
        ),
        "Video to WebM with transparency": with_sign(on_checkerboard(cutout)),
        "Video over a moving background": with_sign(over(cutout, sunset())),
        SAM: picked(photo, cutout),
        "Plain backdrop without a download": halves(photo, on_checkerboard(cutout)),
        "Session shared with ComfyUI nodes": halves(
            cutout.getchannel("A").convert("RGB"), on_checkerboard(cutout)
        ),
    }
    for name, picture in pictures.items():
        picture.save(FOLDER / f"{name}.jpg", quality=88)


def over(cutout: Image.Image, behind: Image.Image) -> Image.Image:
    return Image.alpha_composite(behind.convert("RGBA"), cutout).convert("RGB")


def on_checkerboard(cutout: Image.Image) -> Image.Image:
    return over(cutout, checkerboard(cutout.size, 20))


def sunset() -> Image.Image:
    rows = np.linspace(0, 1, SIDE)[:, None, None]
    levels = np.broadcast_to(DAWN + (DUSK - DAWN) * rows, (SIDE, SIDE, 3)).astype(np.uint8)
    picture = Image.fromarray(levels.copy())
    ImageDraw.Draw(picture).ellipse((40, 190, 160, 310), fill=(255, 225, 170))
    return picture.filter(ImageFilter.GaussianBlur(9))


def halves(left: Image.Image, right: Image.Image) -> Image.Image:
    """Show the left half of one picture beside the right half of another."""
    picture = left.copy()
    picture.paste(right.crop((SIDE // 2, 0, SIDE, SIDE)), (SIDE // 2, 0))
    draw_line(picture, SIDE // 2)
    return picture


def draw_line(picture: Image.Image, x: int) -> None:
    ImageDraw.Draw(picture).line((x, 0, x, SIDE), fill="white", width=LINE)


class Coarse:
    """A session that finds one mask, without hairs."""

    def __init__(self, mask: Image.Image):
        self.mask = mask

    def predict(self, image: Image.Image, **_: object) -> list[Image.Image]:
        return [self.mask]


def matted(photo: Image.Image, cutout: Image.Image) -> Image.Image:
    """Show hairs cut out by a coarse mask, and by the matte that is made from it."""
    corner = (312, 120, 312 + SIDE, 120 + SIDE)
    photo = photo.crop(corner)
    blurred = cutout.crop(corner).getchannel("A").filter(ImageFilter.GaussianBlur(6))
    mask = blurred.point(lambda level: 255 if level > 100 else 0)
    hard = photo.copy()
    hard.putalpha(mask)
    soft = remove(
        photo, session=Coarse(mask), alpha_matting=True, alpha_matting_erode_size=MATTING_BAND
    )
    ground = Image.new("RGB", photo.size, (250, 240, 215))
    return halves(over(hard, ground), over(soft, ground))


def hinted(photo: Image.Image) -> Image.Image:
    """Show strokes along the fur of an animal, as the mask editor shows them."""
    side = photo.height
    left = (photo.width - side) // 2 + 10
    picture = photo.crop((left, 0, left + side, side)).resize((SIDE, SIDE))
    strokes = Image.new("L", picture.size)
    draw = ImageDraw.Draw(strokes)
    outline = [(112, 330), (106, 250), (140, 170), (165, 100), (222, 66), (282, 92)]
    outline += [(318, 165), (358, 245), (362, 330)]
    draw.line(outline, fill=170, width=38, joint="curve")
    for x, y in outline:
        draw.ellipse((x - 19, y - 19, x + 19, y + 19), fill=170)
    picture.paste("white", mask=strokes.filter(ImageFilter.GaussianBlur(2)))
    return picture


def centred(photo: Image.Image, session: object) -> Image.Image:
    """Show a product on white, in the middle."""
    framing = Framing(width=SIDE, height=SIDE, margin=7.5, enlarge=True)
    return remove(
        photo, session=session, edge_colours="estimated", crop=framing, bgcolor="white"
    ).convert("RGB")


def with_sign(picture: Image.Image) -> Image.Image:
    """Show that it moves."""
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.ellipse((20, 316, 84, 380), fill=(0, 0, 0, 150))
    draw.polygon([(42, 330), (42, 366), (70, 348)], fill="white")
    return picture


def film(photo: Image.Image, session: object) -> Image.Image:
    """Show four frames of a clip that pans over the picture, each cut out on its own."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    side = (SIDE - LINE) // 2
    for i in range(4):
        x = 90 - 20 * i
        frame = photo.crop((x, 30, x + 280, 310))
        cutout = remove(frame, session=session, edge_colours="estimated")
        place = (i % 2 * (side + LINE), i // 2 * (side + LINE))
        picture.paste(on_checkerboard(cutout.resize((side, side))), place)
    return picture


def picked(photo: Image.Image, cutout: Image.Image) -> Image.Image:
    """Show the template's points, and what they do not pick dimmed."""
    grey = photo.convert("L").point(lambda level: level // 2 + 90).convert("RGB")
    red, green, blue, alpha = np.asarray(cutout, int).transpose(2, 0, 1)
    blossom = cutout.copy()
    blossom.putalpha(Image.fromarray((alpha * (np.minimum(red, blue) > green)).astype(np.uint8)))
    picture = over(blossom, grey)
    draw = ImageDraw.Draw(picture)
    (points,) = [
        node["widgets_values"][0]
        for node in json.loads((FOLDER / f"{SAM}.json").read_text("utf-8"))["nodes"]
        if node["type"] == "RemBGSAMPrompt"
    ]
    scale = SIDE / Image.open(EXAMPLES / "rembg_sessions_backdrop.jpg").width
    for mark in json.loads(points):
        x, y = (value * scale for value in mark["data"])
        colour = GREEN if mark["label"] else RED
        draw.ellipse((x - 10, y - 10, x + 10, y + 10), fill=colour, outline="white", width=3)
    return picture


if __name__ == "__main__":
    main()
