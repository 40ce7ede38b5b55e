"""Networks that answer points and rectangles: Segment Anything."""

from __future__ import annotations

from ..spec import HubFile, ModelSpec, Output, WeightFile
from .hosts import RELEASE

PROMPTED: tuple[ModelSpec, ...] = (
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
                url=RELEASE + "sam_vit_b_01ec64.encoder.onnx",
                md5="a780f8ba09bceceaa1435724ed354848",
            ),
            WeightFile(
                file="sam_vit_b_01ec64.decoder.onnx",
                url=RELEASE + "sam_vit_b_01ec64.decoder.onnx",
                md5="c4218b16ec1cb09889fcd6eb7a42a7c9",
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-b-quant",
        label="8 bit",
        session_class="SamVitBQuantSession",
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_b_01ec64.encoder.quant.onnx",
                url=RELEASE + "sam_vit_b_01ec64.encoder.quant.onnx",
                md5="26fc0e01d2fa34ed2d3f91259118482d",
            ),
            WeightFile(
                file="sam_vit_b_01ec64.decoder.quant.onnx",
                url=RELEASE + "sam_vit_b_01ec64.decoder.quant.onnx",
                md5="45391530307d1aee79b2a1507769e6c7",
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-l",
        label="large",
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
                url=RELEASE + "sam_vit_l_0b3195.encoder.onnx",
                md5="6e7c5e3e97b50a9e833e55062ae35182",
            ),
            WeightFile(
                file="sam_vit_l_0b3195.decoder.onnx",
                url=RELEASE + "sam_vit_l_0b3195.decoder.onnx",
                md5="dc760a2912862c05ec3ac2658162a1b5",
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-l-quant",
        label="large, 8 bit",
        session_class="SamVitLQuantSession",
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_l_0b3195.encoder.quant.onnx",
                url=RELEASE + "sam_vit_l_0b3195.encoder.quant.onnx",
                md5="83f7fe08c2f8b94b6d08c3e44cf1de0e",
            ),
            WeightFile(
                file="sam_vit_l_0b3195.decoder.quant.onnx",
                url=RELEASE + "sam_vit_l_0b3195.decoder.quant.onnx",
                md5="e78ca201f5ae92288945623f48088b7c",
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-h",
        label="huge",
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
                url=RELEASE + "sam_vit_h_4b8939.encoder.onnx",
                md5="2630bbbf7f256ff82455ecce70467734",
            ),
            WeightFile(
                file="sam_vit_h_4b8939.decoder.onnx",
                url=RELEASE + "sam_vit_h_4b8939.decoder.onnx",
                md5="2241a15c7c5e5b6ac018223d1a795a94",
            ),
            WeightFile(
                file="sam_vit_h_4b8939.encoder_data.bin",
                parts=(
                    WeightFile(
                        file="sam_vit_h_4b8939.encoder_data.1.bin",
                        url=RELEASE + "sam_vit_h_4b8939.encoder_data.1.bin",
                        md5="22316455879cd64f1414bc2cc84772ab",
                    ),
                    WeightFile(
                        file="sam_vit_h_4b8939.encoder_data.2.bin",
                        url=RELEASE + "sam_vit_h_4b8939.encoder_data.2.bin",
                        md5="3ca4efe12cd9a686e60364a628546440",
                    ),
                    WeightFile(
                        file="sam_vit_h_4b8939.encoder_data.3.bin",
                        url=RELEASE + "sam_vit_h_4b8939.encoder_data.3.bin",
                        md5="635041e6eac1c3e6ac7eceeef1ed1f38",
                    ),
                ),
            ),
        ),
    ),
    ModelSpec(
        name="sam-vit-h-quant",
        label="huge, 8 bit",
        session_class="SamVitHQuantSession",
        good_for="Anything you point at: takes points and rectangles.",
        licence="Apache-2.0",
        size_hw=(684, 1024),
        output=Output.SAM,
        min_max=False,
        weights=(
            WeightFile(
                file="sam_vit_h_4b8939.encoder.quant.onnx",
                url=RELEASE + "sam_vit_h_4b8939.encoder.quant.onnx",
                md5="391503beb5e5d7d1ae6f55d0cecabd50",
            ),
            WeightFile(
                file="sam_vit_h_4b8939.decoder.quant.onnx",
                url=RELEASE + "sam_vit_h_4b8939.decoder.quant.onnx",
                md5="4c86ebeecbe2e6325203b641b8702a5b",
            ),
        ),
    ),
    ModelSpec(
        name="mobile-sam",
        label="small",
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
)
