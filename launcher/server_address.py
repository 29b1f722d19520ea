"""Addresses of servers, which may carry a user's name and password."""

import base64
import urllib.parse

from .failures import UsageMistake


def split_credentials(url: str) -> tuple[str, dict[str, str]]:
    """(address without trailing slash and without credentials, the header that carries them) of a server's address.

    Raises:
        UsageMistake: not an http or https address.
    """
    try:
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageMistake(
            f"--server: expected an address such as http://127.0.0.1:8188, got '{without_secrets(url)}'."
        )
    user, _, place = parts.netloc.rpartition("@")
    address = urllib.parse.urlunsplit((parts.scheme, place, parts.path, "", "")).rstrip("/")
    if not user:
        return address, {}
    name = urllib.parse.unquote(user)
    return address, {"Authorization": "Basic " + base64.b64encode(name.encode()).decode()}


def without_secrets(url: str) -> str:
    """A server's address as it may be shown: what stands before "@" is left out."""
    scheme, separator, rest = url.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]
