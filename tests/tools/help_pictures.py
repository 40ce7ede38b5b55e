"""Makes the pictures of the help pages from the sample picture, with the nodes themselves.

python tests/tools/help_pictures.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demo import SAMPLE, checkerboard
from PIL import Image, ImageDraw, ImageOps

from rembg_sessions.nodes import NODE_CLASS_MAPPINGS

FOLDER = Path(__file__).resolve().parents[2] / "web" / "docs" / "pictures"
SIDE = 320  # of one tile, in pixels; two side by side, because help panels are narrow
GAP = 8
PAPER = "#f0f0f0"  # beside tiles that are not square
DETAIL = (620, 100, 860, 340)  # hairs of the sample picture


def run(node: str, **inputs: Any) -> tuple[Any, ...]:
    answer = NODE_CLASS_MAPPINGS[node]().execute(**inputs)
    return answer["result"] if isinstance(answer, dict) else answer


def to_picture(tensor: torch.Tensor) -> Image.Image:
    """Show an IMAGE, transparent ones over a checkerboard, or a MASK."""
    picture = Image.fromarray((tensor[0].numpy() * 255 + 0.5).astype(np.uint8))
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    return Image.alpha_composite(checkerboard(picture.size), picture).convert("RGB")


def draw_sky(side: int) -> torch.Tensor:
    """Draw a picture to put behind the cut-out, (1, side, side, 3)."""
    y, x = np.mgrid[:side, :side] / (side - 1)
    sky = np.array([0.98, 0.72, 0.45]) + (1 - y[..., None]) * np.array([-0.62, -0.36, 0.17])
    sun = np.exp(-(((x - 0.78) ** 2 + (y - 0.62) ** 2) / 0.012))[..., None]
    hills = (y > 0.78 + 0.05 * np.sin(9 * x) + 0.02 * np.sin(23 * x))[..., None]
    picture = np.where(hills, np.array([0.17, 0.27, 0.2]), sky + (1 - sky) * sun)
    return torch.from_numpy(picture.astype(np.float32))[None]


def draw_marks(
    photo: torch.Tensor,
    points: list[tuple[tuple[int, int], int]],
    box: tuple[int, int, int, int] | None,
) -> torch.Tensor:
    """Mark a picture as the page does: points with their label, and a box."""
    picture = to_picture(photo)
    draw = ImageDraw.Draw(picture)
    if box:
        draw.rectangle(box, outline="#4da3ff", width=10)
    for (x, y), label in points:
        draw.circle((x, y), 34, "#1a9e3f" if label else "#d6304a", "white", 8)
        draw.line((x - 16, y, x + 16, y), "white", 8)
        if label:
            draw.line((x, y - 16, x, y + 16), "white", 8)
    return torch.from_numpy(np.asarray(picture, np.float32) / 255)[None]


def make() -> Mapping[str, list[torch.Tensor]]:
    """Return the tiles of every page, in reading order."""
    photo = torch.from_numpy(np.asarray(Image.open(SAMPLE), np.float32) / 255)[None]
    (session,) = run("RemBGSession", model="backdrop", device="Auto")
    measured = {"tolerance": 0.0, "soft_edge": 0.0, "keep_shadow": False}
    measured |= {"holes": True, "strict": False}
    changes = ({}, {"soft_edge": 2.0}, {"tolerance": 35.0})
    plain = [run("RemBGBackdropSession", **{**measured, **change})[0] for change in changes]
    cutout, mask, _ = run("RemBGRemove", image=photo, session=session)
    (card, *_) = run("RemBGRemove", image=photo, session=session, background="colour")
    (binary,) = run("RemBGMask", image=photo, session=session, threshold=0.5)
    cleaned = {"keep_largest": True, "grow": 12, "feather": 8.0}
    (soft,) = run("RemBGMask", image=photo, session=session, **cleaned)
    (inverted,) = run("RemBGMask", image=photo, session=session, invert=True)
    matte, hair, trimap = run("RemBGAlphaMatting", image=photo, mask=binary, erode_size=40)
    apply, frame = "RemBGApplyBackground", "RemBGFrameSubject"
    (crop, _, _, placement) = run(frame, image=cutout)
    white = {"background": "colour", "margin": 7.5, "width": 1000, "height": 1000}
    (product, *_) = run(frame, image=cutout, enlarge=True, **white)
    tall = {"background": "colour", "background_colour": "#cfe3f1", "aspect_ratio": "9:16"}
    (standing, *_) = run(frame, image=cutout, align="bottom", **tall)
    painted = crop.clone()
    painted[..., :3] = painted[..., [2, 0, 1]] * (crop[..., 3:] > 0)
    back, _ = run("RemBGPutBack", image=painted, placement=placement)
    sky, sticker = draw_sky(photo.shape[1]), {"outline": 16, "shadow": 0.5}
    return {
        "RemBGSession": [photo, cutout],
        "RemBGBackdropSession": [photo, *(cut(photo, each) for each in plain)],
        "RemBGRemove": [photo, cutout, mask, card],
        "RemBGMask": [photo, mask, soft, inverted],
        "RemBGAlphaMatting": [binary, trimap, matte, hair],
        "RemBGApplyBackground": [
            cutout,
            run(apply, image=cutout, background_colour="#f4e3c1", shadow=0.5)[0],
            run(apply, image=cutout, background_image=sky, scale=0.7, move_y=12.0)[0],
            run(apply, image=cutout, background_colour="#9fc7e8", scale=0.8, **sticker)[0],
        ],
        "RemBGFrameSubject": [cutout, crop, product, standing],
        "RemBGSAMPrompt": [
            draw_marks(photo, [((512, 400), 1), ((552, 820), 0)], None),
            draw_marks(photo, [], (235, 145, 795, 715)),
        ],
        "RemBGPutBack": [photo, crop, painted, run(apply, image=back, background_image=photo)[0]],
    }


def cut(photo: torch.Tensor, session: Any) -> torch.Tensor:
    return run("RemBGRemove", image=photo, session=session)[0]


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page, tiles in make().items():
        pictures = [to_picture(tile) for tile in tiles]
        if page in ("RemBGBackdropSession", "RemBGAlphaMatting"):
            pictures = [picture.crop(DETAIL) for picture in pictures]
        step = SIDE + GAP
        sheet = Image.new("RGB", (2 * step - GAP, len(tiles) // 2 * step - GAP), "white")
        for place, picture in enumerate(pictures):
            small = ImageOps.pad(picture, (SIDE, SIDE), Image.Resampling.LANCZOS, PAPER)
            sheet.paste(small, (place % 2 * step, place // 2 * step))
        target = FOLDER / f"{page}.jpg"
        sheet.save(target, quality=85, optimize=True)
        sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
