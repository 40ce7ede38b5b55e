"""Addresses that rows of several families share."""

from __future__ import annotations

from ..spec import HubFile

RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"


def tomjackson(path: str) -> HubFile:
    """Return a file of a copy of rembg's release."""
    return HubFile("tomjackson2023/rembg", path, "cd3a3d6767a7859efea31ef0f2f373582cf06d82")
