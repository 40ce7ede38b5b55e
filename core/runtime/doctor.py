"""How this installation's doctor is started, for messages that send the user to it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def doctor_command() -> str:
    """Return the command line that examines this installation.

    The script exists only where the package was installed by pip; ComfyUI runs it from its
    folder.
    """
    if shutil.which("rembg-sessions"):
        return "rembg-sessions doctor"
    folder = Path(__file__).resolve().parents[2]
    return f'cd "{folder}" && "{sys.executable}" -m core.cli doctor'
