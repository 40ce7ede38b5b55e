"""The names of models as types, for the completion of editors; a test compares them."""

from __future__ import annotations

from typing import Literal

ModelName = Literal[
    "u2net",
    "u2netp",
    "u2net_human_seg",
    "u2net_cloth_seg",
    "silueta",
    "isnet-general-use",
    "isnet-anime",
    "bria-rmbg",
    "ormbg",
    "modnet",
    "birefnet-general",
    "birefnet-general-lite",
    "birefnet-portrait",
    "birefnet-dis",
    "birefnet-hrsod",
    "birefnet-cod",
    "birefnet-massive",
    "birefnet-hr-matting",
    "birefnet-hr",
    "birefnet-matting",
    "birefnet-general-fp16",
    "birefnet-general-lite-fp16",
    "birefnet-general-lite-dynamic",
    "birefnet-general-lite-2k",
    "birefnet-general-512-fp16",
    "birefnet-toonout",
    "sam",
    "sam-vit-b-quant",
    "sam-vit-l",
    "sam-vit-l-quant",
    "sam-vit-h",
    "sam-vit-h-quant",
    "mobile-sam",
    "custom",
    "u2net_custom",
    "dis_custom",
    "ben_custom",
    "birefnet_custom",
    "backdrop",
]
"""A model that finds a foreground; aliases are accepted, too."""

VitMatteName = Literal[
    "small-distinctions-646",
    "small-composition-1k",
    "base-distinctions-646",
    "base-composition-1k",
]
"""A graph of ViTMatte."""
