"""Whose address nobody of ours looked at is reached outside only, whatever its name says the second time."""

import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from threading import Thread

import httpx
import pytest

from gongshu.secure.reach import OutsideTransport, is_outside

HERE = ip_network("127.0.0.0/8")


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::", "", "localhost", "127.1"),
    ],
)
def test_addresses_inside(address: str) -> None:
    assert not is_outside(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"]
)
def test_addresses_outside(address: str) -> None:
    assert is_outside(address)


@pytest.fixture
def port() -> Iterator[int]:
    """A service of our own network that says who called it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            connection.close()

    thread = Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def asked(port: int, answers: list[list[str]], *inside: str) -> str:
    """Ask a partner whose name resolves to the next of these answers at each connection."""

    def resolving(host: str, number: int) -> list[str]:
        assert (host, number) == ("shop.example", port)
        return answers.pop(0)

    networks = [ip_network(each) for each in inside]
    transport = OutsideTransport(ssl.create_default_context(), httpx.Limits(), networks, resolving)
    with httpx.Client(transport=transport, trust_env=False, timeout=5) as client:
        text = ""
        for _ in range(len(answers)):
            text = client.get(f"http://shop.example:{port}/").text
        return text


def test_a_name_that_leads_inside_is_not_called(port: int) -> None:
    with pytest.raises(httpx.ConnectError, match="partner_networks"):
        asked(port, [["127.0.0.1"]])
    with pytest.raises(httpx.ConnectError, match="partner_networks"):
        asked(port, [["93.184.216.34", "127.0.0.1"]])
    with pytest.raises(httpx.ConnectError, match="partner_networks"):
        asked(port, [[]])


def test_a_name_that_leads_inside_the_second_time_is_not_called(port: int) -> None:
    with pytest.raises(httpx.ConnectError, match="partner_networks"):
        asked(port, [["127.0.0.1"], ["127.0.0.2"]], "127.0.0.1/32")


def test_a_network_that_the_configuration_names_is_reached(port: int) -> None:
    assert asked(port, [["127.0.0.1"]], "10.0.0.0/8", str(HERE)) == "ok"


def test_an_address_that_does_not_answer_is_followed_by_the_next(port: int) -> None:
    assert asked(port, [["127.0.0.9", "127.0.0.1"]], str(HERE)) == "ok"
