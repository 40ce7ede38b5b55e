"""BiRefNet: fine edges, and much work."""

from __future__ import annotations

from ..spec import HubFile, ModelSpec, Output, WeightFile
from .hosts import RELEASE

_BIREFNET = "https://github.com/ZhengPeng7/BiRefNet/releases/download/v1/"
# The weights are MIT; DIS5K, a part of what these were trained on, has terms of its own.
_DIS5K = "MIT, but trained on DIS5K, whose terms forbid commercial use, also of results"


def _emmajohnson(path: str) -> HubFile:
    repo, revision = (
        "EmmaJohnson311/TensorRT-ONNX-collect",
        "43d1d62b06bac8b7d3886a209771f6d7ca10d899",
    )
    return HubFile(repo, f"BiRefNet-v2-onnx/{path}", revision)


BIREFNET: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="birefnet-general",
        label="fine edges",
        session_class="BiRefNetSessionGeneral",
        aliases=("general",),
        good_for="Fine edges on most subjects; slow without a GPU.",
        licence=_DIS5K,
        commercial=None,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-general.onnx",
                url=RELEASE + "BiRefNet-general-epoch_244.onnx",
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
        label="smaller",
        session_class="BiRefNetSessionGeneralLite",
        aliases=("birefnet-lite", "general-lite"),
        good_for="Most of birefnet-general's quality from a quarter of the download.",
        licence=_DIS5K,
        commercial=None,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-general-lite.onnx",
                url=RELEASE + "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
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
                url=RELEASE + "BiRefNet-portrait-epoch_150.onnx",
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
        licence=_DIS5K,
        commercial=None,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-dis.onnx",
                url=RELEASE + "BiRefNet-DIS-epoch_590.onnx",
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
        label="large pictures",
        session_class="BiRefNetSessionHRSOD",
        aliases=("hrsod",),
        good_for="The one eye-catching object of a large picture.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-hrsod.onnx",
                url=RELEASE + "BiRefNet-HRSOD_DHU-epoch_115.onnx",
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
        label="camouflage",
        session_class="BiRefNetSessionCOD",
        aliases=("cod",),
        good_for="Subjects that look like what is behind them.",
        licence="MIT",
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-cod.onnx",
                url=RELEASE + "BiRefNet-COD-epoch_125.onnx",
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
        label="unusual",
        session_class="BiRefNetSessionMassive",
        aliases=("dis-tr-tes",),
        good_for="Unusual subjects that birefnet-general misses.",
        licence=_DIS5K,
        commercial=None,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-massive.onnx",
                url=RELEASE + "BiRefNet-massive-TR_DIS5K_TR_TEs-epoch_420.onnx",
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
        name="birefnet-hr-matting",
        label="hair, fur",
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
        licence=_DIS5K,
        commercial=None,
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
        label="GPU",
        session_class="BiRefNetSessionGeneralFP16",
        good_for="birefnet-general on a GPU, faster; slower on the CPU.",
        licence=_DIS5K,
        commercial=None,
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
        label="GPU",
        session_class="BiRefNetSessionGeneralLiteFP16",
        good_for="birefnet-general-lite on a GPU; slower on the CPU.",
        licence=_DIS5K,
        commercial=None,
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
        name="birefnet-general-lite-dynamic",
        label="any",
        session_class="BiRefNetSessionGeneralLiteDynamic",
        aliases=("birefnet-lite-dynamic",),
        good_for="birefnet-general-lite at any input_size; needs onnxruntime 1.25 or newer.",
        licence=_DIS5K,
        commercial=None,
        side_multiple=64,
        scale_by_max=False,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-general-lite-dynamic.onnx",
                hub=(
                    HubFile(
                        "senty-au/BiRefNet_lite-ONNX-dynamic",
                        "onnx/model.onnx",
                        "173d635935b93839608b9b9039da8d1d212471e9",
                    ),
                ),
                size=180_839_545,
                sha256="1e0da42f0fde010e32e938bad388457ecefe35806fde9d923421997861ae9391",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-general-lite-2k",
        label="large",
        session_class="BiRefNetSessionGeneralLite2K",
        aliases=("birefnet-lite-2k", "general-lite-2k"),
        good_for="Upright pictures of 2560 px and more; birefnet-general-lite's work, 3.5 times.",
        licence=_DIS5K,
        commercial=None,
        size_hw=(2560, 1440),
        scale_by_max=False,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-general-lite-2k.onnx",
                url=_BIREFNET + "BiRefNet_lite-general-2K-epoch_232.onnx",
                size=331_082_421,
                sha256="6003d2f758bdb4e4802a09e39167529bc2eef9288d5b8fa537331467cbc4759d",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-general-512-fp16",
        label="small",
        session_class="BiRefNetSessionGeneral512FP16",
        aliases=("birefnet-512x512",),
        good_for="Small pictures and previews: a quarter of birefnet-general's work.",
        licence=_DIS5K,
        commercial=None,
        size_hw=(512, 512),
        scale_by_max=False,
        output=Output.LOGITS,
        weights=(
            WeightFile(
                file="birefnet-general-512-fp16.onnx",
                hub=(
                    HubFile(
                        "onnx-community/BiRefNet_512x512-ONNX",
                        "onnx/model_fp16.onnx",
                        "b0b30aff33d009f6bcd7dacdc3cdcf2f8f42175b",
                    ),
                ),
                size=473_498_113,
                sha256="1b254749feb1edf83667a4c9da710cc1962a1980b8d0b2f4432100278c9ac0af",
            ),
        ),
    ),
    ModelSpec(
        name="birefnet-toonout",
        label="drawings, GPU",
        session_class="BiRefNetSessionToonOut",
        aliases=("toonout",),
        good_for="Drawn characters with hair and soft edges; made from birefnet-general.",
        licence=_DIS5K,
        commercial=None,
        scale_by_max=False,
        min_max=False,
        weights=(
            WeightFile(
                file="birefnet-toonout-fp16.onnx",
                hub=(
                    HubFile(
                        "sprited/birefnet-toonout-onnx",
                        "birefnet-toonout-fp16.onnx",
                        "2ded6fe6063fe146b7b30d8b4cfc5636df322525",
                    ),
                ),
                size=492_381_880,
                sha256="213a8a98ee426ef8f02d247eb5a5a9889359e37c2e1e7e31e282d61034d08a83",
            ),
        ),
    ),
)
