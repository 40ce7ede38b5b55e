"""``python -m rembg_sessions.core.cli``, or ``python -m core.cli`` in the pack's folder."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
