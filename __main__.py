"""The command line: ``python FOLDER``, with this pack's folder, or ``python -m rembg_sessions``.

The first works from everywhere and in every Python, also in those that look for no modules in the
current folder: ``python -I``, and the Python of ComfyUI's portable version for Windows.
"""


def main() -> int:
    """Run the command line; it can be cancelled while it is loaded, too."""
    try:
        if __package__:
            from .core.cli import main as run
        else:  # Python takes the folder for the place to import from
            from core.cli import main as run
        return run()
    except KeyboardInterrupt:
        return 130
    finally:  # all is done, but for Python's own end
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    raise SystemExit(main())
