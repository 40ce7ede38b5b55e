"""Compare every way to an edge on pictures of known alpha and colours: the table of "Which edge?".

    python tests/bench/which_edge.py [--images FOLDER] [--networks FOLDER] [--every N] [--only KIND]
                                    [--slow]

The 42 composites of ``composites.py``, each with its true mask, with masks that are wrong in known
ways, and with those of networks: an IS-Net (``isnet_fp16.onnx``) and one of 320 pixels
(``selfie_320.onnx``), where ``--networks`` names the folder they lie in. What a network found is
kept in the folder of temporary files, so that only the first run waits for it.

Each result is put over four new backgrounds and compared with what one should see there, in the
whole edge region: wherever the truth or the mask is soft or they disagree, and so many pixels
around as the default unknown band reaches. Prints the mean error and the 99th percentile of
pixels, in levels, as Markdown; and the share of soft pixels whose colours no background explains.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from composites import Truth, masks, needed, truths
from PIL import Image, ImageFilter

from rembg_sessions.core.imaging.foreground import estimate_edge_colours
from rembg_sessions.core.imaging.morphology import dilate
from rembg_sessions.core.matting.methods import MattingOptions, find_matte

SHARED = Path(__file__).resolve().parents[3] / "shared"
KEPT = Path(tempfile.gettempdir()) / "rembg-sessions-bench"
NETWORKS = {
    "IS-Net's": ("dis_custom", "isnet_fp16.onnx"),
    "a 320-pixel network's": ("u2net_custom", "selfie_320.onnx"),
}
BEHIND = np.float32([(255, 255, 255), (0, 0, 0), (30, 160, 60), (220, 30, 160)])
# levels by which a colour misses what the compositing equation allows
OFF = 16
# mean error of alpha from which on a mask is that of something else
ANOTHER = 0.08
# side of coarse masks
COARSE = 96
# pixels around the edge that count
AROUND = 5

Found = tuple[np.ndarray, np.ndarray]
"""Colours float32 (H, W, 3) and alpha float32 (H, W)."""
Method = Callable[[np.ndarray, np.ndarray], Found]


# -- ways to an edge -------------------------------------------------------------------------


def original(image: np.ndarray, mask: np.ndarray) -> Found:
    return image.astype(np.float32), mask


def naive(image: np.ndarray, mask: np.ndarray) -> Found:
    """rembg's default: colours times alpha."""
    return image * mask[..., None], mask


def coloured(image: np.ndarray, alpha: np.ndarray, *, solved: bool) -> Found:
    edge = estimate_edge_colours(image, alpha, solved=solved)
    colours = image.reshape(-1, 3).astype(np.float32)
    colours[edge.pixels] = edge.colours
    return colours.reshape(image.shape), alpha


def estimated(image: np.ndarray, mask: np.ndarray) -> Found:
    return coloured(image, mask, solved=False)


def multi_level(image: np.ndarray, mask: np.ndarray) -> Found:
    """rembg's decontaminate."""
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    return 255 * estimate_foreground_ml(image / 255.0, mask.astype(np.float64)), mask


def blur_fusion(image: np.ndarray, mask: np.ndarray) -> Found:
    """Forte: Approximate Fast Foreground Colour Estimation, 2021; radii 90 and 6 as published."""
    front = back = image.astype(np.float32)
    for radius in (90, 6):
        front, back = _fused(image, front, back, mask, radius)
    return front, mask


def _fused(
    image: np.ndarray, front: np.ndarray, back: np.ndarray, alpha: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.ndimage import uniform_filter

    def blurred(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, (2 * radius + 1, 2 * radius + 1, 0)[: values.ndim])

    share = alpha[..., None]
    weight = blurred(alpha)[..., None]
    f = blurred(front * share) / (weight + 1e-5)
    b = blurred(back * (1 - share)) / (1 - weight + 1e-5)
    return np.clip(f + share * (image - share * f - (1 - share) * b), 0, 255), b


def matted(method: str) -> Method:
    def run(image: np.ndarray, mask: np.ndarray) -> Found:
        levels = np.uint8(mask * 255 + 0.5)
        matte = find_matte(image, levels, options=MattingOptions(method=method))
        if matte.cutout is not None:
            return matte.cutout[..., :3].astype(np.float32), matte.alpha
        return coloured(image, matte.alpha, solved=bool(matte.method))

    return run


METHODS: dict[str, Method] = {
    "naive": naive,
    "original": original,
    "estimated": estimated,
    "decontaminate": multi_level,
    "blur fusion": blur_fusion,
    "closed-form": matted("closed-form"),
    "fast": matted("fast"),
    "guided": matted("guided"),
    "auto": matted("auto"),
}
SLOW: dict[str, Method] = {"alpha_matting": matted("pymatting")}
"""rembg's, which takes as long as all others together."""


# -- masks of networks -----------------------------------------------------------------------


Ask = Callable[[np.ndarray], np.ndarray]


def network(folder: Path, model: str, file: str) -> Ask:
    """Return what asks a network for its mask, or reads what it answered before."""
    session = None

    def ask(image: np.ndarray) -> np.ndarray:
        nonlocal session
        kept = KEPT / f"{Path(file).stem}-{hashlib.sha256(image.tobytes()).hexdigest()[:16]}.png"
        if not kept.exists():
            if session is None:
                os.environ["U2NET_HOME"] = str(folder)
                from rembg_sessions.core import new_session

                session = new_session(model, model_path=file)
            KEPT.mkdir(exist_ok=True)
            session.predict(Image.fromarray(image))[0].save(kept)
        return np.asarray(Image.open(kept), np.float32) / np.float32(255)

    return ask


def coarse(alpha: np.ndarray) -> np.ndarray:
    """A mask as a network of 320 pixels gives it for a picture three times as large as these.

    Networks' masks are softer than what was shrunk: hence the blur.
    """
    true = Image.fromarray(np.uint8(alpha * 255 + 0.5))
    small = true.resize((COARSE, COARSE), Image.Resampling.LANCZOS)
    small = small.filter(ImageFilter.GaussianBlur(0.7))
    levels = small.resize(true.size, Image.Resampling.LANCZOS)
    return np.asarray(levels, np.float32) / np.float32(255)


def all_masks(truth: Truth, networks: dict[str, Ask]) -> dict[str, np.ndarray]:
    found = dict(masks(truth.alpha))
    found["coarse"] = coarse(truth.alpha)
    for name, ask in networks.items():
        mask = ask(truth.image)
        # where it finds another subject, there is nothing to compare
        if np.abs(mask - truth.alpha).mean() < ANOTHER:
            found[name] = mask
    return found


# -- figures ---------------------------------------------------------------------------------


def is_soft(alpha: np.ndarray) -> np.ndarray:
    return (alpha > 2 / 255) & (alpha < 253 / 255)


def region(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return where the edge is, or seems to be."""
    return dilate(is_soft(truth) | is_soft(mask) | (np.abs(truth - mask) > 0.5), AROUND)


def errors(truth: Truth, found: Found, where: np.ndarray) -> np.ndarray:
    """Mean error of each pixel over the new backgrounds, in levels."""
    colours, alpha = found
    share, true = alpha[where][:, None], truth.alpha[where][:, None]
    # αF + (1−α)B, less what should be there
    front = share * colours[where] - true * truth.colours[where]
    total = np.zeros(len(front), np.float32)
    for behind in BEHIND:
        total += np.abs(front + (true - share) * behind).mean(axis=1) / len(BEHIND)
    return total


def off_equation(image: np.ndarray, found: Found) -> float:
    """Share of soft pixels whose colours miss those that a background could explain, in %."""
    colours, alpha = found
    soft = is_soft(alpha)
    if not soft.any():
        return 0
    share = np.maximum(alpha[soft], 1 / 255)[:, None]
    seen = image[soft].astype(np.float32)
    lowest, highest = 255 - (255 - seen) / share, seen / share
    missed = np.maximum(lowest - colours[soft], colours[soft] - highest).max(axis=1)
    return 100 * float((missed > OFF).mean())


Rows = dict[tuple[str, str], list[tuple[float, float, float]]]


def measured(cases: list[Truth], methods: dict[str, Method],
             networks: dict[str, Ask], only: list[str]) -> Rows:  # fmt: skip
    rows: Rows = {}
    for truth in cases:
        print(f"{truth.name} …", file=sys.stderr)
        for kind, mask in all_masks(truth, networks).items():
            if only and kind not in only:
                continue
            where = region(truth.alpha, mask)
            for name, method in methods.items():
                found = method(truth.image, mask)
                error = errors(truth, found, where)
                figures = float(error.mean()), float(np.percentile(error, 99))
                rows.setdefault((kind, name), []).append(
                    (*figures, off_equation(truth.image, found))
                )
    return rows


def print_table(rows: Rows, methods: dict[str, Method]) -> None:
    print(f"| mask | {' | '.join(methods)} |")
    print("|---" * (len(methods) + 1) + "|")
    kinds = list(dict.fromkeys(kind for kind, _ in rows))
    means = {kind: np.array([np.mean(rows[kind, name], axis=0) for name in methods])
             for kind in kinds}  # fmt: skip
    for kind in kinds:
        print(line(f"{kind} ({len(rows[kind, 'naive'])})", means[kind]))
    everything = np.mean(list(means.values()), axis=0)
    print(line("all kinds", everything))
    print(f"| off the equation, % | {' | '.join(f'{share:.1f}' for share in everything[:, 2])} |")


def line(label: str, means: np.ndarray) -> str:
    """Return a row of the table: means and percentiles, the best of each in bold."""
    shown = means[:, :2].round(1)
    least = shown.min(axis=0)
    cells = [
        " / ".join(f"**{value:.1f}**" if value == best else f"{value:.1f}"
                   for value, best in zip(each, least, strict=True))
        for each in shown
    ]  # fmt: skip
    return f"| {label} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, default=SHARED / "images")
    parser.add_argument("--networks", type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth picture")
    parser.add_argument("--only", action="append", default=[], help="kinds of masks to use")
    parser.add_argument("--slow", action="store_true", help="rembg's alpha_matting as well")
    arguments = parser.parse_args()
    missing = [name for name in needed() if not (arguments.images / name).is_file()]
    if missing:
        sys.exit(f"{arguments.images} lacks {', '.join(missing)}; name a folder with --images.")
    networks = {}
    for name, (model, file) in NETWORKS.items():
        if arguments.networks is None or not (arguments.networks / file).is_file():
            print(f"without {name} masks: --networks names no folder with {file}", file=sys.stderr)
        else:
            networks[name] = network(arguments.networks.resolve(), model, file)
    cases = list(truths(arguments.images))[:: arguments.every]
    methods = METHODS | (SLOW if arguments.slow else {})
    print_table(measured(cases, methods, networks, arguments.only), methods)


if __name__ == "__main__":
    main()
