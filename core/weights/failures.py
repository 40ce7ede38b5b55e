"""Why a source did not give its file: the end of it, or worth another try."""

from __future__ import annotations

from urllib.parse import urlsplit

from .. import settings
from ..text import quotable


class SourceFailed(Exception):
    """This source does not give the file; another one may."""


class Broken(Exception):
    """The transfer stopped in a way that is worth another try."""


def failure(exc: Exception, url: str, timeout: float, *, opening: bool) -> Exception:
    """Return what an error of the HTTP client means, in words that follow the URL.

    The client's classes cannot be named without importing the library that it is of. What matters lies below them, or is in their names: Python's own errors.

    Parameters
    ----------
    timeout
        Seconds that the client waited at most.
    opening
        Whether there is no answer yet.
    """
    chain: list[BaseException] = [exc]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    names = {type(error).__name__ for error in chain}
    # A plain ValueError below them says only how a number could not be read.
    root = next((error for error in reversed(chain) if type(error) is not ValueError), exc)
    proxies = " or ".join(settings.proxies())
    if opening and (isinstance(exc, (ImportError, ValueError)) or "InvalidURL" in names):
        return SourceFailed(_unusable(exc, proxies))
    if opening and isinstance(exc, FileNotFoundError):
        return SourceFailed("was not asked: SSL_CERT_FILE or SSL_CERT_DIR names nothing on disk")
    if "SSLCertVerificationError" in names:
        return SourceFailed(
            f"has a certificate that could not be verified ({said(root)}): check the clock and "
            "the proxy, or point SSL_CERT_FILE (for huggingface_hub before 1.0: "
            "REQUESTS_CA_BUNDLE) to your network's certificates"
        )
    if "gaierror" in names:
        host = str(urlsplit(url).hostname)
        host += f", or that of the proxy in {proxies}," if proxies else ""
        return SourceFailed(
            f"could not be reached: the name {host} is not known ({said(root)}); check the "
            "internet connection"
        )
    if any(isinstance(error, TimeoutError) for error in chain):
        text = f"did not answer for {timeout:g} seconds (timeout)"
        return SourceFailed(text) if "ConnectTimeout" in names else Broken(text)
    text = f"could not be read: {said(root)}"
    reset = isinstance(root, (ConnectionResetError, ConnectionAbortedError))
    return (
        SourceFailed(text) if opening and isinstance(root, OSError) and not reset else Broken(text)
    )


def said(error: BaseException) -> str:
    """Return what an error says, fit to be quoted."""
    text = getattr(error, "verify_message", "") or str(error)
    return quotable(text) or type(error).__name__


def _unusable(exc: Exception, proxies: str) -> str:
    """Return what to do about a proxy or an address that the client does not take."""
    if isinstance(exc, ImportError) or "SOCKS" in str(exc):
        return (
            f"was not asked: {proxies or 'the system'} names a SOCKS proxy, for which a Python "
            "package is missing. Install socksio (PySocks for huggingface_hub before 1.0), or "
            "name an HTTP proxy"
        )
    if proxies:
        return (
            f"was not asked: {proxies} must name a proxy as http://host:port or socks5://host:port"
        )
    return f"is not a usable address: {said(exc)}"
