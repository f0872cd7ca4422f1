"""Where a server may send its readers on to.

An address that a recipe names may answer with another one, of a machine that only we can reach: a service of this host
or of the network that it stands in, such as one that hands out the machine's credentials. What it would answer would
become a document.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit


class RedirectError(Exception):
    """A redirect that is not followed; the message says why."""


def redirect_target(url: str, location: str, allowed_hosts: Sequence[str] = ()) -> str:
    """The address that an answer leads on to, where it may be followed.

    Args:
        url: The address that was asked.
        location: The answer's Location: an address, or one that is relative to the first.
        allowed_hosts: Hosts that may be in a private network.
    Returns:
        The new address.
    Raises:
        RedirectError: It is no HTTP, leads away from TLS, or leads from a public host to an address that is not public.
    """
    try:
        target = urljoin(url, location)
        before, after = urlsplit(url), urlsplit(target)
        host, own = after.hostname, before.hostname
        after.port  # noqa: B018 (raises ValueError where it is no number)
    except ValueError as error:
        raise RedirectError("the server leads to what is no address") from error
    if after.scheme not in ("http", "https") or not host or not own:
        raise RedirectError(f"the server leads to {after.scheme or 'no'}:// instead of HTTP")
    if before.scheme == "https" and after.scheme == "http":
        raise RedirectError("the server leads away from TLS")
    if host != own and host not in allowed_hosts and not is_public(host) and is_public(own):
        raise RedirectError(f"the server leads to {host}, which is no public host; http.redirect_hosts may allow it")
    return target


def is_public(host: str) -> bool:
    """Whether every address of a host, a name or an address itself, is one of the public internet; a name that cannot
    be resolved is taken for public: it cannot be reached either, or a proxy knows it."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return True
    return all(_is_global(address) for address in found)


def _is_global(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inner = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (inner or parsed).is_global
