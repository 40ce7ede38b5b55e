"""The table of models: pure data.

Input recipes, and md5 sums where no sha256 is known, are those of rembg 2.0.86; sha256
sums and sizes were pinned in at least two independent public lists. A new model
is one row here and one tolerance in the tests.

Aliases are other names of the same weights: those of their files, and those under which
other ComfyUI packs list them ("RMBG-2.0", "BiRefNet_lite", "General"), so that saved
workflows and old scripts find them.
"""

from __future__ import annotations

from .spec import HubFile, ModelSpec, Output, WeightFile

_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
_BIREFNET = "https://github.com/ZhengPeng7/BiRefNet/releases/download/v1/"


def _tomjackson(path: str) -> HubFile:
    return HubFile("tomjackson2023/rembg", path, "cd3a3d6767a7859efea31ef0f2f373582cf06d82")


def _emmajohnson(path: str) -> HubFile:
    repo, revision = (
        "EmmaJohnson311/TensorRT-ONNX-collect",
        "43d1d62b06bac8b7d3886a209771f6d7ca10d899",
    )
    return HubFile(repo, f"BiRefNet-v2-onnx/{path}", revision)


MODELS: tuple[ModelSpec, ...] = (
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
                url=_RELEASE + "u2net.onnx",
                hub=(
                    _tomjackson("u2net.onnx"),
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
                url=_RELEASE + "u2netp.onnx",
                hub=(
                    _tomjackson("u2netp.onnx"),
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
                url=_RELEASE + "u2net_human_seg.onnx",
                hub=(_tomjackson("u2net_human_seg.onnx"),),
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
                url=_RELEASE + "u2net_cloth_seg.onnx",
                hub=(
                    _tomjackson("u2net_cloth_seg.onnx"),
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
                url=_RELEASE + "silueta.onnx",
                hub=(_tomjackson("silueta.onnx"),),
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
                url=_RELEASE + "isnet-general-use.onnx",
                hub=(_tomjackson("isnet-general-use.onnx"),),
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
                url=_RELEASE + "isnet-anime.onnx",
                hub=(
                    HubFile(
                        "skytnt/anime-seg",
                        "isnetis.onnx",
                        "493cb60893f47441b26ec4fb9a306bce9e342982",
                    ),
                    _tomjackson("isnet-anime.onnx"),
                ),
                size=176_069_933,
                sha256="f15622d853e8260172812b657053460e20806f04b9e05147d49af7bed31a6e99",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-general",
        label="general purpose, fine edges",
        session_class="BiRefNetSessionGeneral",
        aliases=("general",),
        good_for="Fine edges on most subjects; slow without a GPU.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-general.onnx",
                url=_RELEASE + "BiRefNet-general-epoch_244.onnx",
                hub=(
                    HubFile(
                        "onnx-community/BiRefNet-ONNX",
                        "onnx/model.onnx",
                        "534d3c82d3bb8b2f0867db6dfbc3a525b8e42f67",
                    ),
                    _emmajohnson("BiRefNet-general-epoch_244.onnx"),
                ),
                size=972_666_916,
                sha256="58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-general-lite",
        label="general purpose, fine edges, smaller",
        session_class="BiRefNetSessionGeneralLite",
        aliases=("birefnet-lite", "general-lite"),
        good_for="Most of birefnet-general's quality from a quarter of the download.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-general-lite.onnx",
                url=_RELEASE + "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
                hub=(
                    HubFile(
                        "onnx-community/BiRefNet_lite-ONNX",
                        "onnx/model.onnx",
                        "de15b22ba131738a16dff04aab8bdf8dc32e3ac1",
                    ),
                    _emmajohnson("BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx"),
                ),
                size=224_005_088,
                sha256="5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-portrait",
        label="portraits",
        session_class="BiRefNetSessionPortrait",
        aliases=("portrait",),
        good_for="People, with hair.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-portrait.onnx",
                url=_RELEASE + "BiRefNet-portrait-epoch_150.onnx",
                hub=(
                    _emmajohnson("BiRefNet-portrait-epoch_150.onnx"),
                    HubFile("onnx-community/BiRefNet-portrait-ONNX", "onnx/model.onnx"),
                ),
                size=972_666_916,
                sha256="1ba1c8ff5a7bbfadc8d8d13fb11d7be793f91f23d9d466549e37a854f6668f99",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-dis",
        label="thin structures",
        session_class="BiRefNetSessionDIS",
        aliases=("dis",),
        good_for="Bicycles, fences, branches and other thin structures.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-dis.onnx",
                url=_RELEASE + "BiRefNet-DIS-epoch_590.onnx",
                hub=(
                    _emmajohnson("BiRefNet-DIS-epoch_590.onnx"),
                    HubFile("onnx-community/BiRefNet-DIS5K-ONNX", "onnx/model.onnx"),
                ),
                size=972_666_916,
                sha256="6470117bac6f8d82a3f62921056f52d0f5c4d36d1d832096331d5ea38a03acb5",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-hrsod",
        label="salient objects in large pictures",
        session_class="BiRefNetSessionHRSOD",
        aliases=("hrsod",),
        good_for="The one eye-catching object of a large picture.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-hrsod.onnx",
                url=_RELEASE + "BiRefNet-HRSOD_DHU-epoch_115.onnx",
                hub=(
                    _emmajohnson("BiRefNet-HRSOD_DHU-epoch_115.onnx"),
                    HubFile("onnx-community/BiRefNet-HRSOD_DHU-ONNX", "onnx/model.onnx"),
                ),
                size=972_666_916,
                sha256="4f5837663194fb88f603b76782eae05a3c29f5749872ca1bfb636bd26e7f6bfc",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-cod",
        label="camouflaged objects",
        session_class="BiRefNetSessionCOD",
        aliases=("cod",),
        good_for="Subjects that look like what is behind them.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-cod.onnx",
                url=_RELEASE + "BiRefNet-COD-epoch_125.onnx",
                hub=(
                    _emmajohnson("BiRefNet-COD-epoch_125.onnx"),
                    HubFile("onnx-community/BiRefNet-COD-ONNX", "onnx/model.onnx"),
                ),
                size=972_666_916,
                sha256="91ec48f566db475cf6e4caa7e9cd997f352edfcc372372f437e2fbefc1557b13",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-massive",
        label="general purpose, widest training",
        session_class="BiRefNetSessionMassive",
        aliases=("dis-tr-tes",),
        good_for="Unusual subjects that birefnet-general misses.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-massive.onnx",
                url=_RELEASE + "BiRefNet-massive-TR_DIS5K_TR_TEs-epoch_420.onnx",
                hub=(
                    _emmajohnson("BiRefNet-massive-TR_DIS5K_TR_TEs-epoch_420.onnx"),
                    HubFile("onnx-community/BiRefNet-DIS5K-TR_TEs-ONNX", "onnx/model.onnx"),
                ),
                size=972_666_916,
                sha256="a94814cac438a31f95287811882628644a04b22d313ef3071d2ba904b5f627b8",
            ),
        ),
    ),
    ModelSpec(
        name="bria-rmbg",
        label="general purpose, non-commercial",
        session_class="BriaRmBgSession",
        aliases=("rmbg-2.0",),
        good_for="Fine edges on product shots and people; non-commercial use only.",
        licence="CC BY-NC 4.0, commercial use needs a BRIA agreement",
        commercial=False,
        weights=(
            WeightFile(
                file="bria-rmbg.onnx",
                url=_RELEASE + "bria-rmbg-2.0.onnx",
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
        label="people, trained on synthetic portraits",
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
        label="portraits, small",
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
    ModelSpec(
        name="birefnet-hr-matting",
        label="large pictures, soft edges",
        session_class="BiRefNetSessionHrMatting",
        aliases=("matting-hr",),
        good_for="Hair, fur and glass in pictures of 2048 px and more; needs a large GPU.",
        licence="MIT",
        size_hw=(2048, 2048),
        scale_by_max=False,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-hr-matting.onnx",
                url=_BIREFNET + "BiRefNet_HR-matting-epoch_135.onnx",
                size=1_098_928_867,
                sha256="45b7d92ce0e2e75e1c8a564a9e84c87ac9da7f4315d2deeef3674864e809aef3",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-hr",
        label="large pictures",
        session_class="BiRefNetSessionHr",
        aliases=("general-hr",),
        good_for="Pictures of 2048 px and more; needs a large GPU.",
        licence="MIT",
        size_hw=(2048, 2048),
        scale_by_max=False,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-hr.onnx",
                url=_BIREFNET + "BiRefNet_HR-general-epoch_130.onnx",
                size=1_098_928_953,
                sha256="db0217e99b25e0c4f6f4dca2892ff1f7ea7aba38fb6ad84f93122a4024be536a",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-matting",
        label="soft edges",
        session_class="BiRefNetSessionMatting",
        aliases=("matting",),
        good_for="Hair, fur, glass and other soft edges.",
        licence="MIT",
        scale_by_max=False,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-matting.onnx",
                url=_BIREFNET + "BiRefNet-matting-epoch_100.onnx",
                size=972_667_742,
                sha256="6065d27c615ea27308f5b88598dd8db116eb07436c7a323ca40d13b2866c309e",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-general-fp16",
        label="general purpose, fine edges, half precision for GPUs",
        session_class="BiRefNetSessionGeneralFP16",
        good_for="birefnet-general on a GPU, faster; slower on the CPU.",
        licence="MIT",
        scale_by_max=False,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                # not rembg's name: it converts a file of its own under that one
                file="birefnet-general-half.onnx",
                hub=(
                    HubFile(
                        "onnx-community/BiRefNet-ONNX",
                        "onnx/model_fp16.onnx",
                        "534d3c82d3bb8b2f0867db6dfbc3a525b8e42f67",
                    ),
                ),
                size=489_666_272,
                sha256="3654c741eb80bd926ada8fed1713b506ccf8d30eb1f6487e87eb9f234f33df09",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-general-lite-fp16",
        label="general purpose, fine edges, smaller, half precision for GPUs",
        session_class="BiRefNetSessionGeneralLiteFP16",
        good_for="birefnet-general-lite on a GPU; slower on the CPU.",
        licence="MIT",
        scale_by_max=False,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-general-lite-fp16.onnx",
                hub=(
                    HubFile(
                        "onnx-community/BiRefNet_lite-ONNX",
                        "onnx/model_fp16.onnx",
                        "de15b22ba131738a16dff04aab8bdf8dc32e3ac1",
                    ),
                ),
                size=114_538_221,
                sha256="d39b897ceb16ae654c1731f3dba0cf9b368d9cae74b5a57459b455cc8bfec402",
            ),
        ),
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
        name="sam",
        label="general purpose",
        session_class="SamSession",
        aliases=("sam_vit_b", "sam_vit_b_01ec64"),
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_b_01ec64.encoder.onnx",
                url=_RELEASE + "sam_vit_b_01ec64.encoder.onnx",
                md5="a780f8ba09bceceaa1435724ed354848",
            ),
            WeightFile(
                file="sam_vit_b_01ec64.decoder.onnx",
                url=_RELEASE + "sam_vit_b_01ec64.decoder.onnx",
                md5="c4218b16ec1cb09889fcd6eb7a42a7c9",
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-b-quant",
        label="general purpose, 8 bit",
        session_class="SamVitBQuantSession",
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_b_01ec64.encoder.quant.onnx",
                url=_RELEASE + "sam_vit_b_01ec64.encoder.quant.onnx",
                md5="26fc0e01d2fa34ed2d3f91259118482d",
            ),
            WeightFile(
                file="sam_vit_b_01ec64.decoder.quant.onnx",
                url=_RELEASE + "sam_vit_b_01ec64.decoder.quant.onnx",
                md5="45391530307d1aee79b2a1507769e6c7",
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-l",
        label="general purpose, large",
        session_class="SamVitLSession",
        aliases=("sam_vit_l_0b3195",),
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_l_0b3195.encoder.onnx",
                url=_RELEASE + "sam_vit_l_0b3195.encoder.onnx",
                md5="6e7c5e3e97b50a9e833e55062ae35182",
            ),
            WeightFile(
                file="sam_vit_l_0b3195.decoder.onnx",
                url=_RELEASE + "sam_vit_l_0b3195.decoder.onnx",
                md5="dc760a2912862c05ec3ac2658162a1b5",
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-l-quant",
        label="general purpose, large, 8 bit",
        session_class="SamVitLQuantSession",
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_l_0b3195.encoder.quant.onnx",
                url=_RELEASE + "sam_vit_l_0b3195.encoder.quant.onnx",
                md5="83f7fe08c2f8b94b6d08c3e44cf1de0e",
            ),
            WeightFile(
                file="sam_vit_l_0b3195.decoder.quant.onnx",
                url=_RELEASE + "sam_vit_l_0b3195.decoder.quant.onnx",
                md5="e78ca201f5ae92288945623f48088b7c",
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-h",
        label="general purpose, huge",
        session_class="SamVitHSession",
        aliases=("sam_vit_h_4b8939",),
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_h_4b8939.encoder.onnx",
                url=_RELEASE + "sam_vit_h_4b8939.encoder.onnx",
                md5="2630bbbf7f256ff82455ecce70467734",
            ),
            WeightFile(
                file="sam_vit_h_4b8939.decoder.onnx",
                url=_RELEASE + "sam_vit_h_4b8939.decoder.onnx",
                md5="2241a15c7c5e5b6ac018223d1a795a94",
            ),
            WeightFile(
                file="sam_vit_h_4b8939.encoder_data.bin",
                parts=(
                    WeightFile(
                        file="sam_vit_h_4b8939.encoder_data.1.bin",
                        url=_RELEASE + "sam_vit_h_4b8939.encoder_data.1.bin",
                        md5="22316455879cd64f1414bc2cc84772ab",
                    ),
                    WeightFile(
                        file="sam_vit_h_4b8939.encoder_data.2.bin",
                        url=_RELEASE + "sam_vit_h_4b8939.encoder_data.2.bin",
                        md5="3ca4efe12cd9a686e60364a628546440",
                    ),
                    WeightFile(
                        file="sam_vit_h_4b8939.encoder_data.3.bin",
                        url=_RELEASE + "sam_vit_h_4b8939.encoder_data.3.bin",
                        md5="635041e6eac1c3e6ac7eceeef1ed1f38",
                    ),
                ),
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-h-quant",
        label="general purpose, huge, 8 bit",
        session_class="SamVitHQuantSession",
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_h_4b8939.encoder.quant.onnx",
                url=_RELEASE + "sam_vit_h_4b8939.encoder.quant.onnx",
                md5="391503beb5e5d7d1ae6f55d0cecabd50",
            ),
            WeightFile(
                file="sam_vit_h_4b8939.decoder.quant.onnx",
                url=_RELEASE + "sam_vit_h_4b8939.decoder.quant.onnx",
                md5="4c86ebeecbe2e6325203b641b8702a5b",
            ),
        ),
    ),
    ModelSpec(
        name="mobile-sam",
        label="general purpose, small",
        session_class="MobileSamSession",
        good_for="Anything you point at, in 45 MB: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=None,
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="mobile_sam_image_encoder.onnx",
                hub=(
                    HubFile(
                        "Acly/MobileSAM",
                        "mobile_sam_image_encoder.onnx",
                        "0d3b403339b4674a82493d5e97964dd78089ddc8",
                    ),
                ),
                size=28_157_093,
                sha256="580f5fb648ea1062c0aabc26217aed56921985f03f0cbbd852bba81d760cc749",
            ),
            WeightFile(
                file="sam_mask_decoder_single.onnx",
                hub=(
                    HubFile(
                        "Acly/MobileSAM",
                        "sam_mask_decoder_single.onnx",
                        "0d3b403339b4674a82493d5e97964dd78089ddc8",
                    ),
                ),
                size=16_501_323,
                sha256="93915fc7c993ab9d59ab8c9ccd3bce37f7509c81ab4150a74abd4d2abbd8570d",
            ),
        ),
    ),
    ModelSpec(
        name="backdrop",
        label="plain backdrop, no download",
        session_class="PlainBackdropSession",
        good_for="Solid subjects in front of a plain backdrop: flat, graded or softly shadowed.",
        licence="MIT",
        size_hw=None,
        output=Output.BACKDROP,
        min_max=False,
    ),
)


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
        weights=(WeightFile(file=file, url=_RELEASE + file, sha256=sha256),),
    )


# Not among MODELS: these refine a mask and find nothing by themselves. The first is the default.
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
