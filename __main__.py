"""The command line: ``python FOLDER``, with this pack's folder, or ``python -m rembg_sessions``.

The first works from everywhere and in every Python, also in those that look for no modules in the
current folder: ``python -I``, and the Python of ComfyUI's portable version for Windows.
"""

if __package__:
    from .core.cli import main
else:  # Python takes the folder for the place to import from
    from core.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
