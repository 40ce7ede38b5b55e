"""Models without a published file: the user's own networks, and the one that has no weights."""

from __future__ import annotations

from ..spec import ModelSpec, Output

OWN: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="custom",
        label="your own file, of a kind that is found out",
        session_class="CustomSession",
        good_for="Your own U-2-Net, IS-Net, BEN or BiRefNet; the file says which it is.",
        licence="as the file's author says",
        commercial=None,
        output=Output.OWN,
        custom=True,
    ),
    ModelSpec(
        name="u2net_custom",
        label="your own U-2-Net file",
        session_class="U2netCustomSession",
        good_for="Any network with the input and output of U-2-Net.",
        licence="as the file's author says",
        commercial=None,
        size_hw=(320, 320),
        custom=True,
    ),
    ModelSpec(
        name="dis_custom",
        label="your own IS-Net file",
        session_class="DisCustomSession",
        good_for="Any network with the input and output of IS-Net (DIS).",
        licence="as the file's author says",
        commercial=None,
        mean=(0.5, 0.5, 0.5),
        std=(1.0, 1.0, 1.0),
        custom=True,
    ),
    ModelSpec(
        name="ben_custom",
        label="your own BEN file",
        session_class="BenCustomSession",
        good_for="Any network with the input and output of BEN.",
        licence="as the file's author says",
        commercial=None,
        mean=(0.5, 0.5, 0.5),
        std=(1.0, 1.0, 1.0),
        custom=True,
    ),
    ModelSpec(
        name="birefnet_custom",
        label="your own BiRefNet file",
        session_class="BiRefNetCustomSession",
        good_for="Any network with the input and output of BiRefNet, of any size.",
        licence="as the file's author says",
        commercial=None,
        side_multiple=64,
        output=Output.LOGITS,
        custom=True,
    ),
    ModelSpec(
        name="backdrop",
        label="no download",
        session_class="PlainBackdropSession",
        good_for="Solid subjects in front of a plain backdrop: flat, graded or softly shadowed.",
        licence="MIT",
        size_hw=None,
        output=Output.BACKDROP,
        min_max=False,
    ),
)
