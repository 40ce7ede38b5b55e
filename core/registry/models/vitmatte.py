"""ViTMatte: networks that refine a mask and find nothing by themselves."""

from __future__ import annotations

from ..spec import ModelSpec, Output, WeightFile
from .hosts import RELEASE


def _vitmatte(variant: str, sha256: str, label: str, good_for: str, *aliases: str) -> ModelSpec:
    file = f"vitmatte-{variant}.onnx"
    return ModelSpec(
        name=f"vitmatte-{variant}",
        label=label,
        session_class="VitMatte",
        good_for=good_for,
        licence="Apache-2.0",
        aliases=(variant, *aliases),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        scale_by_max=False,
        output=Output.MATTE,
        min_max=False,
        weights=(WeightFile(file=file, url=RELEASE + file, sha256=sha256),),
    )


VITMATTE: tuple[ModelSpec, ...] = (
    _vitmatte(
        "small-distinctions-646",
        "d232841ac9d9657df3e62f6c92ed425ee25df18d337245cd8b903fc1ba183631",
        "alpha matting",
        "Hair and fur in photos.",
        "vitmatte",
    ),
    _vitmatte(
        "small-composition-1k",
        "659b9bb2870f80cffbe20dae4c7f18417fbdf68c0195861d24e9082c28373a24",
        "alpha matting, trained on composites",
        "Hair and fur in composites and studio pictures.",
    ),
    _vitmatte(
        "base-distinctions-646",
        "d30190833269c1bec3e37319fe67af151028d3be32f6f60f6663a51b209cc8c1",
        "alpha matting, large",
        "Hair and fur in photos; 3.5 times the download, 2.5 times the work.",
    ),
    _vitmatte(
        "base-composition-1k",
        "87bb10979f816061497ba6867b338c65a05cebd7d1507f6dde92a86382dec1f2",
        "alpha matting, large, trained on composites",
        "Hair and fur in composites; 3.5 times the download, 2.5 times the work.",
    ),
)
"""The graphs by their authors' names; the first is the default."""
