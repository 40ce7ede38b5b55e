"""Networks that find the salient subject: U-2-Net, IS-Net, and relatives of BiRefNet by others."""

from __future__ import annotations

from ..spec import HubFile, ModelSpec, Output, WeightFile
from .hosts import RELEASE, tomjackson

SALIENT: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="u2net",
        label="general purpose",
        session_class="U2netSession",
        good_for="Any clear subject; a good first choice on slow machines.",
        licence="Apache-2.0",
        size_hw=(320, 320),
        weights=(
            WeightFile(
                file="u2net.onnx",
                url=RELEASE + "u2net.onnx",
                hub=(
                    tomjackson("u2net.onnx"),
                    HubFile(
                        "Heliosoph/u2net-onnx",
                        "u2net.onnx",
                        "7fc34deee10329bc039c10a73b98090d0c6f5c59",
                    ),
                ),
                size=175_997_641,
                sha256="8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
            ),
        ),
    ),
    ModelSpec(
        name="u2netp",
        label="lightweight general purpose",
        session_class="U2netpSession",
        good_for="Previews and small machines: 4.6 MB, softer and rougher edges.",
        licence="Apache-2.0",
        size_hw=(320, 320),
        weights=(
            WeightFile(
                file="u2netp.onnx",
                url=RELEASE + "u2netp.onnx",
                hub=(
                    tomjackson("u2netp.onnx"),
                    HubFile("BritishWerewolf/U-2-Netp", "onnx/model.onnx"),
                ),
                size=4_574_861,
                sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
            ),
        ),
    ),
    ModelSpec(
        name="u2net_human_seg",
        label="human segmentation",
        session_class="U2netHumanSegSession",
        good_for="Whole people.",
        licence="Apache-2.0",
        size_hw=(320, 320),
        weights=(
            WeightFile(
                file="u2net_human_seg.onnx",
                url=RELEASE + "u2net_human_seg.onnx",
                hub=(tomjackson("u2net_human_seg.onnx"),),
                size=175_997_641,
                sha256="01eb6a29a5c4d8edb30b56adad9bb3a2a0535338e480724a213e0acfd2d1c73c",
            ),
        ),
    ),
    ModelSpec(
        name="u2net_cloth_seg",
        label="cloths Parsing",
        session_class="Unet2ClothSession",
        good_for="Garments worn by a person, by category.",
        licence="MIT",
        size_hw=(768, 768),
        output=Output.LABELS,
        min_max=False,
        weights=(
            WeightFile(
                file="u2net_cloth_seg.onnx",
                url=RELEASE + "u2net_cloth_seg.onnx",
                hub=(
                    tomjackson("u2net_cloth_seg.onnx"),
                    HubFile(
                        "chwshuang/Stable_diffusion_remove_background_model",
                        "u2net_cloth_seg.onnx",
                        "197561dc207c9b23e2739fb81645ef21b4e37d10",
                    ),
                ),
                size=176_194_565,
                sha256="6d2cbc27bfbdc989e1fd325656d65902ecc6a3ccbe94b2d3655ec114efcb128e",
            ),
        ),
    ),
    ModelSpec(
        name="silueta",
        label="very small u2net",
        session_class="SiluetaSession",
        good_for="u2net's masks from a quarter of the download.",
        licence="not stated (derived from Apache-2.0 U-2-Net)",
        commercial=None,
        size_hw=(320, 320),
        weights=(
            WeightFile(
                file="silueta.onnx",
                url=RELEASE + "silueta.onnx",
                hub=(tomjackson("silueta.onnx"),),
                size=44_173_029,
                sha256="75da6c8d2f8096ec743d071951be73b4a8bc7b3e51d9a6625d63644f90ffeedb",
            ),
        ),
    ),
    ModelSpec(
        name="isnet-general-use",
        label="general purpose",
        session_class="DisSessionGeneralUse",
        aliases=("dis_general_use",),
        good_for="Sharper edges than u2net on objects, people and animals.",
        licence="Apache-2.0 (repo; weights not named separately)",
        mean=(0.5, 0.5, 0.5),
        std=(1.0, 1.0, 1.0),
        weights=(
            WeightFile(
                file="isnet-general-use.onnx",
                url=RELEASE + "isnet-general-use.onnx",
                hub=(tomjackson("isnet-general-use.onnx"),),
                size=178_648_008,
                sha256="60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a",
            ),
        ),
    ),
    ModelSpec(
        name="isnet-anime",
        label="anime illustrations",
        session_class="DisSession",
        aliases=("dis_anime",),
        good_for="Drawn characters with hard outlines.",
        licence="Apache-2.0",
        std=(1.0, 1.0, 1.0),
        weights=(
            WeightFile(
                file="isnet-anime.onnx",
                url=RELEASE + "isnet-anime.onnx",
                hub=(
                    HubFile(
                        "skytnt/anime-seg",
                        "isnetis.onnx",
                        "493cb60893f47441b26ec4fb9a306bce9e342982",
                    ),
                    tomjackson("isnet-anime.onnx"),
                ),
                size=176_069_933,
                sha256="f15622d853e8260172812b657053460e20806f04b9e05147d49af7bed31a6e99",
            ),
        ),
    ),
    ModelSpec(
        name="bria-rmbg",
        label="non-commercial",
        session_class="BriaRmBgSession",
        aliases=("rmbg-2.0",),
        good_for="Fine edges on product shots and people; non-commercial use only.",
        licence="CC BY-NC 4.0, commercial use needs a BRIA agreement",
        commercial=False,
        weights=(
            WeightFile(
                file="bria-rmbg.onnx",
                url=RELEASE + "bria-rmbg-2.0.onnx",
                hub=(
                    HubFile("briaai/RMBG-2.0", "onnx/model.onnx"),
                    HubFile(
                        "ChuuniZ/comfyui-image-models",
                        "BiRefNet/RMBG-2.0/onnx/model.onnx",
                        "302f8bb8c9606587dae63532702ef3b72208cce7",
                    ),
                ),
                size=1_024_331_469,
                sha256="5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958",
            ),
        ),
    ),
    ModelSpec(
        name="ormbg",
        label="people",
        session_class="OrmbgSession",
        good_for="People; trained on rendered portraits.",
        licence="Apache-2.0",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        scale_by_max=False,
        weights=(
            WeightFile(
                file="ormbg.onnx",
                hub=(
                    HubFile(
                        "onnx-community/ormbg-ONNX",
                        "onnx/model.onnx",
                        "034e2d884afbab897e10e78fc5bb566b29533fd6",
                    ),
                ),
                size=176_116_019,
                sha256="2830b6f461809cdc7e2f15d19fc1a898b14ad53504640d4147b525d53ebb09c9",
            ),
        ),
    ),
    ModelSpec(
        name="modnet",
        label="portraits",
        session_class="ModnetSession",
        good_for="Portraits, soft hair, in 26 MB; the picture keeps its shape.",
        licence="Apache-2.0",
        size_hw=None,
        short_side=512,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        scale_by_max=False,
        min_max=False,
        weights=(
            WeightFile(
                file="modnet.onnx",
                hub=(
                    HubFile(
                        "Xenova/modnet",
                        "onnx/model.onnx",
                        "fa2fa546052fba4c08921230a26cc69a333fca12",
                    ),
                ),
                size=25_888_640,
                sha256="07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9",
            ),
        ),
    ),
)
