"""Text from elsewhere, made fit for a message: what servers, libraries and settings bring along."""

from __future__ import annotations

import re
import reprlib
import shlex
import sys
import unicodedata

LIMIT = 200
"""Characters that are quoted at most."""

# In http://user:password@host, and in user:password@host, which proxies are set to as well. The
# colon of C:\folder@1 is none of a password, and that of http://host:80/page@1 begins a port.
_DRIVE = r"(?<=\b[A-Za-z]):\\"
_PASSWORD = re.compile(
    rf"(?<=//)[^\s/?#]*@|(?<=//)[^\s/?#@:]*:(?![0-9]*[/?#])[^\s@]*@"
    rf"|[^\s/:@'\"(]+(?!{_DRIVE}):[^\s/@]+@"
)


_values = reprlib.Repr()
_values.maxstring = _values.maxother = 80


def short(value: object) -> str:
    """Return how a value looks in a message: its representation, cut where it is long."""
    try:
        return " ".join(_values.repr(value).split())
    except Exception:  # an object that cannot be shown, a number of more than 4300 digits
        return f"a value of type {type(value).__name__}"


def install_line(*packages: str) -> str:
    """Return the line for a shell that brings packages to the Python that runs this."""
    return shlex.join([sys.executable or "python", "-m", "pip", "install", *packages])


def visible(text: str, limit: int = 1000) -> str:
    """Return a name with escapes such as ``\\x1b`` for what is not printable, long ones cut inside.

    Unlike :func:`quotable`, it keeps names apart, so that a file can be found by it.
    """
    shown = "".join(char if _is_harmless(char) else repr(char)[1:-1] for char in text)
    half = limit // 2
    return shown if len(shown) <= limit else f"{shown[: half - 1]}…{shown[-half:]}"


def _is_harmless(char: str) -> bool:
    # spaces of every width: macOS puts a narrow one into the names of screenshots
    return char.isprintable() or unicodedata.category(char) == "Zs"


def without_passwords(text: str) -> str:
    """Return the text with ``***`` in place of the user and password of every address."""
    return _PASSWORD.sub("***@", text)


def without_login(address: str) -> str:
    """Return what is known to be an address with ``***`` in place of its user and password.

    Unlike :func:`without_passwords`, it knows where they end, also where they hold a ``/``.
    """
    start, _, host = address.rpartition("@")
    scheme = re.match(r"\s*[A-Za-z][A-Za-z0-9+.-]*://", start)
    return f"{scheme[0] if scheme else ''}***@{host}" if "@" in address else address


def quotable(text: str, limit: int = LIMIT) -> str:
    """Return the text as one line of at most ``limit`` printable characters, without passwords.

    Escape codes, line breaks and marks that turn the direction of writing become spaces.
    """
    # Cut first, too: a server may send megabytes.
    shown = "".join(char if char.isprintable() else " " for char in text[: 10 * limit])
    shown = " ".join(without_passwords(shown).split())
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
