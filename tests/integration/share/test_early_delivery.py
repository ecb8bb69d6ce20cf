"""A delivery that overtakes the message which announces it; Eclipse EDC 0.14.1 sends in this order."""

from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from gongshu.model.ids import PartyId
from gongshu.secure.parties import Party
from gongshu.share.bindings import proof_of
from gongshu.share.dsp.messages import FORMAT_PUSH
from gongshu.share.dsp.states import Side, State
from gongshu.share.encoding import Encoding
from gongshu.share.errors import TransferStopped
from gongshu.share.model import AgreementStatus
from gongshu.share.odrl import canonical_text, text_hash
from gongshu.share.receiving import Opening
from gongshu.share.tables import share_agreements
from tests.integration.share.site import Site

EDC = PartyId("edc-mill")
AGREEMENT = "491d70f5-b7c3-405e-9d85-d00c11d57ea1"


def requested(shop: Site) -> tuple[str, str]:
    """Ask for a push from a party that does not answer; return our transfer and the header that its inbox takes."""
    shop.parties.add(Party(EDC, "EDC (synthetic)", shop.keys.public_key_pem(), "http://127.0.0.1:9"))
    policy = {"@id": AGREEMENT, "@type": "Agreement", "target": "readings", "permission": [{"action": "use"}]}
    text = canonical_text({**policy, "assigner": EDC, "assignee": shop.party})
    with shop.database.begin() as connection:
        connection.execute(
            sa.insert(share_agreements).values(
                agreement_id=AGREEMENT,
                side=Side.CONSUMER,
                counterparty=EDC,
                dataset_id="readings",
                negotiation_id="urn:uuid:1",
                policy=text,
                policy_hash=text_hash(text),
                status=AgreementStatus.ACTIVE,
                agreed_at=shop.clock(),
                bound_to=proof_of(EDC),
            )
        )
    opening = Opening("early", "", "", (), Encoding.CSV)
    transfer = shop.share.transfer(AGREEMENT, shop.li, format=FORMAT_PUSH, opening=opening)
    assert transfer.state is State.NEW
    destination = orjson.loads(transfer.data_address)
    properties = {item["name"]: item["value"] for item in destination["endpointProperties"]}
    return transfer.process_id, properties["https://w3id.org/edc/v0.0.1/ns/authCode"]


def test_rows_are_taken_before_the_start_message_and_not_after_an_end(tmp_path: Path) -> None:
    shop = Site(tmp_path / "shop", "shop")
    try:
        transfer, header = requested(shop)
        arrival = shop.share.flows.inboxes.admit(transfer, header, push_key="", media_type="text/csv")
        arrival.write(b"reading,machine\n0,M-0\n1,M-1\n")
        taken = arrival.finish()
        arrival.close()
        assert (taken.rows, shop.catalogue.dataset(taken.dataset_id).origin) == (2, f"partner:{EDC}")
    finally:
        shop.close()


def test_an_ended_transfer_takes_nothing(tmp_path: Path) -> None:
    shop = Site(tmp_path / "shop", "shop")
    try:
        transfer, header = requested(shop)
        shop.share.terminate(transfer, shop.li, "changed our mind")
        with pytest.raises(TransferStopped):
            shop.share.flows.inboxes.admit(transfer, header, push_key="", media_type="text/csv")
    finally:
        shop.close()
