"""The nodes. This is the only package that may import torch."""

from __future__ import annotations

from . import host, replacements, routes
from .backdrop import RemBGBackdropSession
from .background import RemBGApplyBackground
from .frame import RemBGFrameSubject, RemBGPutBack
from .mask import RemBGMask
from .matting import RemBGAlphaMatting
from .remove import RemBGRemove
from .sam_prompt import RemBGSAMPrompt
from .session import RemBGSession

NODE_CLASS_MAPPINGS = {
    "RemBGSession": RemBGSession,
    "RemBGBackdropSession": RemBGBackdropSession,
    "RemBGRemove": RemBGRemove,
    "RemBGMask": RemBGMask,
    "RemBGAlphaMatting": RemBGAlphaMatting,
    "RemBGApplyBackground": RemBGApplyBackground,
    "RemBGFrameSubject": RemBGFrameSubject,
    "RemBGPutBack": RemBGPutBack,
    "RemBGSAMPrompt": RemBGSAMPrompt,
}

NODE_DISPLAY_NAME_MAPPINGS = {
    "RemBGSession": "RemBG Load Model",
    "RemBGBackdropSession": "RemBG Plain Backdrop",
    "RemBGRemove": "RemBG Remove Background",
    "RemBGMask": "RemBG Foreground Mask",
    "RemBGAlphaMatting": "RemBG Alpha Matting",
    "RemBGApplyBackground": "RemBG Apply Background",
    "RemBGFrameSubject": "RemBG Frame Subject",
    "RemBGPutBack": "RemBG Put Back",
    "RemBGSAMPrompt": "RemBG SAM Prompt",
}

host.register_folder()
routes.register()
replacements.register()
