"""Makes the picture of the README: a photo, its cut-out, and a detail with old and new colours.

python tests/tools/before_after.py PHOTO.jpg MODEL.onnx

The photo is animal-1.jpg of rembg's examples (MIT); the model was isnet-general-use.
"""

from __future__ import annotations

import sys
from pathlib import Path

from demo import checkerboard
from PIL import Image

from rembg_sessions.core import new_session, remove

TARGET = Path(__file__).resolve().parents[2] / "web" / "docs" / "pictures" / "before_after.jpg"
WIDTH, GAP = 440, 6  # of a column, in pixels
DETAIL = (262, 190, 392, 232)  # the tiger's head before the dark


def main(photo: Path, model: Path) -> None:
    session = new_session("custom", model_path=model)
    picture = Image.open(photo).convert("RGB")
    naive, estimated = (
        remove(picture, session=session, edge_colours=colours) for colours in ("naive", "estimated")
    )
    height = round(WIDTH * picture.height / picture.width)
    shown = Image.alpha_composite(checkerboard(picture.size, 24), estimated).convert("RGB")
    page = Image.new("RGB", (3 * WIDTH + 2 * GAP, height), "white")
    for column, tile in enumerate((picture, shown)):
        tile = tile.resize((WIDTH, height), Image.Resampling.LANCZOS)
        page.paste(tile, (column * (WIDTH + GAP), 0))
    half = (height - GAP) // 2
    for row, cutout in enumerate((naive, estimated)):
        paper = Image.new("RGBA", cutout.size, "white")
        detail = Image.alpha_composite(paper, cutout).crop(DETAIL).convert("RGB")
        detail = detail.resize((WIDTH, half), Image.Resampling.LANCZOS)
        page.paste(detail, (2 * (WIDTH + GAP), row * (half + GAP)))
    page.save(TARGET, quality=84, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
