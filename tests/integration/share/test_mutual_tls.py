"""Two nodes that speak TLS with each other, and what others try at the same port."""

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from gongshu.model.ids import PartyId
from gongshu.secure.errors import CertificateUnusable, PartyInvalid
from gongshu.secure.parties import Party
from gongshu.secure.peer_tls import TlsSettings, client_context
from gongshu.share.dsp.messages import CONTEXT
from gongshu.share.errors import PeerUnreachable
from gongshu.share.peer import HttpWire
from gongshu.share.terms import Terms
from tests.integration.share.certificates import DAY, Issued, issue
from tests.integration.share.site import Site
from tests.integration.share.test_end_to_end import started

ASKED = "POST /dsp/2025-1/catalog/request"
QUESTION = b'{"@context":["%s"],"@type":"CatalogRequestMessage"}' % CONTEXT.encode()
ASK = "/dsp/2025-1/catalog/request"


@dataclass
class Tls:
    """A node that serves TLS, one that calls it, and the authority that the first one believes."""

    mill: Site
    shop: Site
    authority: Issued
    mill_certificate: Issued
    shop_certificate: Issued


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    folder = tmp_path_factory.mktemp("tls")
    authority = issue("authority", authority=True)
    own, other = issue("mill"), issue("shop")
    mill = Site(folder / "mill", "mill", tls=own.settings(folder / "mill-tls", partner_ca=authority))
    shop = Site(folder / "shop", "shop", tls=other.settings(folder / "shop-tls"))
    for site in (mill, shop):
        site.serve()
    yield Tls(mill, shop, authority, own, other)
    # Callers hang up first: a server that has to end a TLS connection waits for the other side's goodbye.
    for site in (mill, shop):
        site.share.stop()
        site.share.close()
    for site in (mill, shop):
        site.close()


@pytest.fixture(autouse=True)
def _acquainted(tls: Tls) -> None:
    """Both know each other by their certificates, whatever the test before did."""
    known = Party(tls.shop.party, "shop", tls.shop.keys.public_key_pem(), tls.shop.address, ("partner",))
    registered(tls.mill, known, "mtls", tls.shop_certificate.pem)
    far = Party(tls.mill.party, "mill", tls.mill.keys.public_key_pem(), tls.mill.address, ("partner",))
    registered(tls.shop, far, "mtls", tls.mill_certificate.pem)


def registered(site: Site, party: Party, identity: str, certificate: str) -> None:
    whole = Party(party.party_id, party.title, party.public_key_pem, party.address, party.roles, identity, certificate)
    if any(known.party_id == party.party_id for known in site.parties.all()):
        site.parties.replace(whole)
    else:
        site.parties.add(whole)


def register_shop(tls: Tls, identity: str = "mtls", certificate: str = "") -> None:
    registered(tls.mill, tls.mill.parties.get(tls.shop.party), identity, certificate)


def asked(tls: Tls, shown: TlsSettings, headers: dict[str, str] | None = None) -> httpx.Response:
    """Ask the mill for its catalogue, showing this certificate."""
    context = client_context(shown, certificate=tls.mill_certificate.pem, pin=tls.mill_certificate.pin)
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.post(tls.mill.address + ASK, content=QUESTION, headers=headers or {})


def wire(tls: Tls, settings: TlsSettings | None = None) -> HttpWire:
    return HttpWire(tls.shop.parties, tls.shop.identities, tls.shop.clock, tls=settings or tls.shop.tls)


def status_of_shop(tls: Tls, settings: TlsSettings | None = None) -> int:
    """Ask through the wire itself."""
    caller = wire(tls, settings)
    try:
        return caller.post(tls.mill.party, "", "/catalog/request", QUESTION).status_code
    finally:
        caller.close()


def test_a_contract_is_made_and_kept_over_mutual_tls(tls: Tls) -> None:
    transfer = started((tls.mill, tls.shop), Terms(unrestricted=True), tls.mill.publish("orders", 50))
    assert tls.shop.share.pull(transfer.process_id, tls.shop.li).num_rows == 50


def test_the_certificate_alone_and_with_tokens(tls: Tls) -> None:
    assert status_of_shop(tls) == 200
    register_shop(tls, "mtls+gongshu", tls.shop_certificate.pem)
    assert asked(tls, tls.shop.tls).status_code == 404
    registered(tls.shop, tls.shop.parties.get(tls.mill.party), "mtls+gongshu", tls.mill_certificate.pem)
    assert status_of_shop(tls) == 200


def test_a_token_without_the_certificate_is_not_enough(tls: Tls) -> None:
    register_shop(tls, "mtls+gongshu", tls.shop_certificate.pem)
    token = tls.shop.peers.headers_for(tls.shop.parties.get(tls.mill.party), QUESTION, ASKED)
    assert asked(tls, TlsSettings(), dict(token)).status_code == 404


def test_without_a_certificate_nobody_is_known(tls: Tls) -> None:
    assert asked(tls, TlsSettings()).status_code == 404


def test_a_header_that_names_a_certificate_is_not_one(tls: Tls) -> None:
    """As a proxy in front would set it: no header of a caller stands for a certificate."""
    forged = {"X-Client-Cert": tls.shop_certificate.pem.replace("\n", ""), "X-SSL-Client-Verify": "SUCCESS"}
    assert asked(tls, TlsSettings(), forged).status_code == 404


@pytest.mark.parametrize("case", ["unknown", "wrong authority", "expired", "not yet", "rotated"])
def test_a_certificate_that_nothing_vouches_for_ends_the_connection(tls: Tls, tmp_path: Path, case: str) -> None:
    stranger = issue("authority", authority=True)
    shown = {
        "unknown": lambda: issue("shop"),
        "wrong authority": lambda: issue("shop", by=stranger, party=tls.shop.party),
        "expired": lambda: issue("shop", by=tls.authority, party=tls.shop.party, begins=-2 * DAY, ends=-DAY),
        "not yet": lambda: issue("shop", by=tls.authority, party=tls.shop.party, begins=DAY, ends=2 * DAY),
        "rotated": lambda: issue("shop", party=tls.shop.party),
    }[case]()
    with pytest.raises(httpx.TransportError):
        asked(tls, shown.settings(tmp_path / "tls"))


def test_an_authority_vouches_for_a_party_by_its_id(tls: Tls, tmp_path: Path) -> None:
    register_shop(tls)
    named = issue("whatever", by=tls.authority, party=tls.shop.party).settings(tmp_path / "named")
    assert asked(tls, named).status_code == 200
    other = issue("shop", by=tls.authority, party="urn:gongshu:party:other").settings(tmp_path / "other")
    assert asked(tls, other).status_code == 404
    nameless = issue("urn:gongshu:party:shop", by=tls.authority).settings(tmp_path / "nameless")
    assert asked(tls, nameless).status_code == 404


def test_a_pinned_party_is_not_vouched_for_by_an_authority(tls: Tls, tmp_path: Path) -> None:
    rotated = issue("shop", by=tls.authority, party=tls.shop.party)
    assert asked(tls, rotated.settings(tmp_path / "tls")).status_code == 404
    register_shop(tls, certificate=rotated.pin)
    assert asked(tls, rotated.settings(tmp_path / "tls")).status_code == 200


def test_a_partner_cannot_vouch_for_another(tls: Tls, tmp_path: Path) -> None:
    """A pinned certificate that calls itself an authority lets what it signs connect, and be nobody."""
    clever = issue("clever", authority=True)
    party = Party(PartyId("urn:gongshu:party:clever"), "clever", "", "https://c.example", ("partner",))
    registered(tls.mill, party, "mtls", clever.pem)
    register_shop(tls)
    forged = issue("shop", by=clever, party=tls.shop.party)
    assert asked(tls, forged.settings(tmp_path / "tls")).status_code == 404


def test_another_partys_certificate_speaks_for_that_party(tls: Tls, tmp_path: Path) -> None:
    register_shop(tls, "mtls+gongshu", tls.shop_certificate.pem)
    other = issue("other")
    party = Party(
        PartyId("urn:gongshu:party:other"),
        "other",
        tls.shop.keys.public_key_pem(),
        "https://o.example",
        ("partner",),
    )
    registered(tls.mill, party, "mtls+gongshu", other.pem)
    token = tls.shop.peers.headers_for(tls.shop.parties.get(tls.mill.party), QUESTION, ASKED)
    assert asked(tls, other.settings(tmp_path / "tls"), dict(token)).status_code == 404


def test_a_party_registered_meanwhile_comes_at_once_and_a_removed_one_goes(tls: Tls, tmp_path: Path) -> None:
    late = issue("late")
    party = Party(PartyId("urn:gongshu:party:late"), "late", "", "https://l.example", ("partner",))
    settings = late.settings(tmp_path / "tls")
    with pytest.raises(httpx.TransportError):
        asked(tls, settings)
    registered(tls.mill, party, "mtls", late.pem)
    context = client_context(settings, certificate=tls.mill_certificate.pem, pin=tls.mill_certificate.pin)
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.post(tls.mill.address + ASK, content=QUESTION).status_code == 200
        tls.mill.parties.remove(party.party_id)
        assert client.post(tls.mill.address + ASK, content=QUESTION).status_code == 404, "on the same connection"


def test_a_certificate_that_expires_during_a_connection_ends_it(tls: Tls) -> None:
    context = client_context(tls.shop.tls, certificate=tls.mill_certificate.pem, pin=tls.mill_certificate.pin)
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.post(tls.mill.address + ASK, content=QUESTION).status_code == 200
        tls.mill.clock.ahead = timedelta(days=3)
        try:
            assert client.post(tls.mill.address + ASK, content=QUESTION).status_code == 404
        finally:
            tls.mill.clock.ahead = timedelta()


def test_plain_http_gets_nothing_at_the_port_of_tls(tls: Tls) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.post(tls.mill.address.replace("https:", "http:") + ASK, content=QUESTION, trust_env=False)


def test_a_party_of_certificates_has_no_plain_address(tls: Tls) -> None:
    known = tls.shop.parties.get(tls.mill.party)
    stripped = known.address.replace("https:", "http:")
    with pytest.raises(PartyInvalid, match="in TLS only"):
        tls.shop.parties.add(
            Party(known.party_id, known.title, known.public_key_pem, stripped, (), "mtls", known.certificate)
        )


@pytest.mark.parametrize("case", ["unknown", "rotated", "pinned by print"])
def test_the_wire_refuses_a_far_side_that_is_not_the_registered_one(tls: Tls, case: str) -> None:
    known = tls.shop.parties.get(tls.mill.party)
    other = issue("mill")
    certificate = {"unknown": "", "rotated": other.pem, "pinned by print": other.pin}[case]
    registered(tls.shop, known, "mtls", certificate)
    with pytest.raises(PeerUnreachable):
        status_of_shop(tls)


def test_the_wire_takes_a_server_of_the_authority_by_name_and_by_print(tls: Tls, tmp_path: Path) -> None:
    authority = issue("authority", authority=True)
    good, wrong = issue("far", by=authority), issue("far", by=authority, host="127.0.0.2")
    shown = tls.shop_certificate.settings(tmp_path / "own", partner_ca=authority)
    cases = [(good, "", True), (good, good.pin, True), (good, wrong.pin, False), (wrong, "", False)]
    for number, (certificate, pin, is_taken) in enumerate(cases):
        settings = certificate.settings(tmp_path / str(number))
        assert settings.certificate is not None
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(settings.certificate, settings.key)
        assert handshake(server, client_context(shown, certificate=pin, pin=pin)) is is_taken, number


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """True if the client goes through with the handshake, over a pair of sockets."""
    near, far = socket.socketpair()

    def answer() -> None:
        try:
            with server.wrap_socket(far, server_side=True) as connection:
                connection.recv(1)
        except OSError:
            far.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname="127.0.0.1"):
            return True
    except ssl.SSLError:
        return False
    finally:
        near.close()
        thread.join()


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "nonsense.pem").write_text("nonsense")
    for settings in (
        TlsSettings(tmp_path / "absent.pem", tmp_path / "absent.key"),
        TlsSettings(tmp_path / "nonsense.pem", tmp_path / "nonsense.pem"),
        TlsSettings(partner_ca=tmp_path / "nonsense.pem"),
    ):
        with pytest.raises(CertificateUnusable, match="tls_certificate"):
            client_context(settings)
