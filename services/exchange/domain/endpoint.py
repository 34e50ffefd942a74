"""Which URLs and addresses a webhook may lead to: none that only we can reach (SSRF).

The tables are IANA's special-purpose address registries (RFC 6890), and addresses by which clouds
tell their machines secrets.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from backbone.errors import InvalidInput

Address = IPv4Address | IPv6Address

_REFUSED = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",
        # Within what IPv6 has in use: protocol assignments, documentation, 6to4.
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
# Everything else of IPv6 is loopback, local, multicast, or not in use.
_UNICAST = IPv6Network("2000::/3")
# Addresses that stand for one of IPv4, in their last 32 bits.
_EMBEDDING = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")


class RefusedAddress(Exception):
    """A host leads to an address that a webhook may not call."""


class Addresses:
    """The rule for addresses; `allowed` are networks that are called all the same."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = tuple(ip_network(text) for text in allowed)

    def check(self, addresses: Iterable[str]) -> list[Address]:
        """All of a host's addresses, when every one may be called.

        Raises:
            RefusedAddress: one may not, or there is none.
        """
        found = [ip_address(text) for text in addresses]
        if not found or not all(self.admits(address) for address in found):
            raise RefusedAddress("the host leads to an address that is not public")
        return found

    def admits(self, address: Address) -> bool:
        if isinstance(address, IPv6Address):
            if address.scope_id is not None:
                return False
            if any(address in network for network in _EMBEDDING):
                return self.admits(IPv4Address(int(address) & 0xFFFFFFFF))
        if any(address in network for network in self._allowed):
            return True
        if isinstance(address, IPv6Address) and address not in _UNICAST:
            return False
        return not any(address in network for network in _REFUSED)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook's URL, taken apart."""

    secure: bool
    # A name in ASCII (IDNA), or an address without brackets.
    host: str
    port: int
    # Path and query: what the request line says.
    target: str
    # The Host header.
    authority: str


def parse(url: str, *, allow_http: bool = False) -> Endpoint:
    """Takes a webhook's URL apart.

    Raises:
        InvalidInput: it is not one that a webhook may have.
    """
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise _refused("URL", "has a space or a control character")
    try:
        parts = urlsplit(url)
        port, name = parts.port, parts.hostname or ""
    except ValueError:
        raise _refused("URL", "is not a URL") from None
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        raise _refused("SCHEME", "has to be https")
    if "@" in parts.netloc or "#" in url:
        raise _refused("URL", "has to be without user, password and fragment")
    if port == 0:
        raise _refused("URL", "has no usable port")
    host = _host(name)
    secure = parts.scheme == "https"
    literal = f"[{host}]" if ":" in host else host
    standard = 443 if secure else 80
    authority = literal if port in (None, standard) else f"{literal}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii():
        raise _refused("URL", "has to be percent-encoded")
    return Endpoint(secure, host, port or standard, target, authority)


def _host(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    try:
        host = name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _refused("HOST", "has a host that is not a name") from None
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise _refused("HOST", "has no host, or one that is not a name")
    return host


def refused_address() -> InvalidInput:
    return _refused("ADDRESS", "leads to an address that is not public, or to none")


def _refused(reason: str, description: str) -> InvalidInput:
    return InvalidInput.field("url", reason, description)
