"""Connections to parties whose address nobody of ours looked at: never into our own network, whatever its name says.

The name is resolved here, each of its addresses is judged, and the very address that was judged is connected to, at
every new connection: a name that leads elsewhere the next time gains nothing. Source: decision 0092.
"""

import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

from gongshu.secure.hurry import HurriedTransport

Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind a translator. Source: RFC 6052 §2.1."""
_UNICAST = IPv6Network("2000::/3")
"""All that was ever handed out of IPv6; beside it lie site-local addresses and an operator's own translators. Source:
IANA, IPv6 Global Unicast Address Assignments; RFC 3879, RFC 8215."""


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises: OSError."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def is_outside(address: str, inside: Iterable[Network] = ()) -> bool:
    """True if an address is reached over the public internet, or lies in a network that the configuration names.

    >>> is_outside("93.184.216.34"), is_outside("10.1.2.3"), is_outside("::ffff:169.254.169.254")
    (True, False, False)
    >>> is_outside("64:ff9b:1::a01:203"), is_outside("fec0::1"), is_outside("2606:4700::1111")
    (False, False, True)
    >>> is_outside("10.1.2.3", [IPv4Network("10.1.0.0/16")])
    True
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    carried = _carried(found)
    if any(found in network or carried in network for network in inside):
        return True
    if isinstance(carried, IPv6Address) and carried not in _UNICAST:
        return False
    return all(each.is_global and not each.is_multicast for each in (found, carried))


def _carried(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, else itself."""
    if isinstance(found, IPv4Address):
        return found
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None) or found


class OutsideBackend(httpcore.SyncBackend):
    """Connects to outside addresses only."""

    def __init__(self, inside: Sequence[Network], resolving: Resolve = resolve) -> None:
        self._inside = tuple(inside)
        self._resolve = resolving

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection. Raises: httpcore.ConnectError."""
        try:
            found = self._resolve(host, port)
        except OSError as cause:
            raise httpcore.ConnectError(f"{host} is not known") from cause
        if not found or not all(is_outside(each, self._inside) for each in found):
            raise httpcore.ConnectError(
                f"{host} leads inside of our own network, and its party came by a trust list; register it by hand, or "
                "name the network in partner_networks"
            )
        for each in found[:-1]:
            try:
                return super().connect_tcp(each, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return super().connect_tcp(found[-1], port, timeout, local_address, socket_options)


class OutsideTransport(HurriedTransport):
    """The transport of a client whose connections all lead outside; certificates are checked against the name."""

    def __init__(
        self, verify: ssl.SSLContext, limits: httpx.Limits, inside: Sequence[Network], resolving: Resolve = resolve
    ) -> None:
        super().__init__(verify, limits, OutsideBackend(inside, resolving))
