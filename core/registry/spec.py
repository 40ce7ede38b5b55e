"""The types of the registry: a model is described by data alone.

Sessions read its row, nothing asks for its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Output(Enum):
    """What the network's first output holds."""

    PROBABILITY = "probability"
    """Foreground probability, (1, 1, H, W)."""
    LOGITS = "logits"
    """Foreground logits, (1, 1, H, W): a sigmoid is applied first."""
    LABELS = "labels"
    """One score per class, (1, C, H, W): the highest wins."""
    SAM = "sam"
    """An encoder and a decoder that answers prompts."""
    BACKDROP = "backdrop"
    """No network: alpha is solved from the colour of a plain backdrop."""
    OWN = "own"
    """What the kind of the user's file holds, which is found out."""
    MATTE = "matte"
    """Alpha of a picture and its trimap, (1, 1, H, W)."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a Hugging Face repository; ``revision`` None means its main branch."""

    repo: str
    path: str
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """One file of weights: the name it is stored under, its sources and how to verify it.

    ``parts`` are files that are joined in order to make this one, which then has no
    source of its own.
    """

    file: str
    url: str | None = None
    hub: tuple[HubFile, ...] = ()
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    parts: tuple[WeightFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model: its weights, the recipe of its input and output, and its licence.

    Attributes
    ----------
    size_hw
        Network input (height, width); for SAM the frame its encoder was exported for.
        None: the size follows the picture, see ``short_side``, or ``core.sam``.
    short_side
        For networks of free input size: the picture's shorter side is brought to this
        many pixels and both sides to multiples of 32.
    side_multiple
        What another ``input_size`` must be a multiple of.
    mean, std
        Per RGB channel, applied to values in 0..1.
    scale_by_max
        True divides by the picture's brightest value, as rembg does for the models it
        publishes; False divides by 255.
    min_max
        Stretch the output to 0..1 after the sigmoid, as rembg does.
    commercial
        Whether the licence allows commercial use; None where it does not say, or where the terms
        of what the network was trained on say otherwise.
    custom
        The user supplies the file; ``weights`` is empty, as it is for models without a file.
    """

    name: str
    label: str
    session_class: str
    good_for: str
    licence: str
    commercial: bool | None = True
    aliases: tuple[str, ...] = ()
    weights: tuple[WeightFile, ...] = ()
    size_hw: tuple[int, int] | None = (1024, 1024)
    short_side: int | None = None
    side_multiple: int = 32
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale_by_max: bool = True
    output: Output = Output.PROBABILITY
    min_max: bool = True
    custom: bool = False

    @property
    def choice(self) -> str:
        """The model as nodes list it: ``"name: label"``."""
        return f"{self.name}: {self.label}"
