"""The table of models: pure data, a module for each family.

Input recipes, and md5 sums where no sha256 is known, are those of rembg 2.0.86; sha256
sums and sizes were pinned in at least two independent public lists. A new model
is one row here and one line in the tests' copy of the table.

Aliases are other names of the same weights: those of their files, and those under which
other ComfyUI packs list them ("RMBG-2.0", "BiRefNet_lite", "General"), so that saved
workflows and old scripts find them.
"""

from __future__ import annotations

from ..spec import ModelSpec
from .birefnet import BIREFNET
from .own import OWN
from .prompted import PROMPTED
from .salient import SALIENT
from .vitmatte import VITMATTE

__all__ = ["MODELS", "VITMATTE"]

MODELS: tuple[ModelSpec, ...] = (*SALIENT, *BIREFNET, *PROMPTED, *OWN)
"""Every model that finds a foreground."""
