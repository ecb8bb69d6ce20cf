"""`gongshu share`: offer data under terms, find others' offers, negotiate, transfer, pull, end."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import typer

import gongshu.cli.share_terms as take
from gongshu.cli.output import Format, complain, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.cli.share_clearances import add_clearance_commands
from gongshu.cli.share_contracts import add_contract_commands
from gongshu.cli.share_flows import add_flow_commands
from gongshu.cli.share_ids import whole_id
from gongshu.cli.share_index import add_index_commands
from gongshu.cli.share_kept import add_kept_commands
from gongshu.cli.share_keys import add_key_commands
from gongshu.cli.share_ledger import add_ledger_command
from gongshu.cli.share_parties import add_party_commands
from gongshu.cli.share_terms import describe
from gongshu.model.ids import DatasetId, PartyId
from gongshu.share.automation import ASK_FIRST
from gongshu.share.dsp.states import State
from gongshu.share.model import CatalogueElsewhere
from gongshu.share.short_ids import Named
from gongshu.share.terms import Terms
from gongshu.share.views import agreement_view, delivery_view, offer_view, record_view, remote_view

app = typer.Typer(add_completion=False, no_args_is_help=True)
add_party_commands(app)  # the order of the help: first what a newcomer needs, from the invitation on

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the other side")]

ANYONE = "urn:gongshu:party:anyone"
PROCESS = ["process_id", "side", "state", "party", "dataset_id", "agreement_id", "waiting", "reason"]


@app.command()
def offer(
    dataset: Annotated[str, typer.Argument(help="The dataset's id, as `gongshu catalog list` shows it")],
    to: take.To = None,
    group: take.Group = None,
    until: take.Until = "",
    since: take.Since = "",
    lasting: take.Lasting = "",
    uses: take.Uses = None,
    purpose: take.Purpose = None,
    place: take.Place = None,
    connector: take.Connector = None,
    column: take.Column = None,
    rows: take.Rows = None,
    where: take.Where = None,
    operation: take.Do = None,
    smallest_group: take.Smallest = None,
    delete_after: take.Delete = "",
    notify: take.Notify = None,
    no_onward: take.NoOnward = False,
    payment: take.Price = "",
    legal_only: take.LegalOnly = None,
    unrestricted: take.Free = False,
    ask_first: Annotated[bool, typer.Option("--ask-first", help="A person approves each contract")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Show what the partner would see; offer nothing")] = False,
    published_as: Annotated[str, typer.Option(help="The dataset's id for partners; empty: its own")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Offer a dataset: gongshu share offer orders --to urn:gongshu:party:partner --uses 2 --until 2027-12-31."""
    terms = Terms(
        parties=take.parties_of(to),
        groups=frozenset(group or ()),
        until=take.last_moment(until, "--until"),
        not_before=take.first_moment(since, "--from"),
        duration_s=take.span_seconds(lasting, "--for"),
        uses_max=uses,
        purposes=frozenset(purpose or ()),
        places=frozenset(place or ()),
        connectors=frozenset(connector or ()),
        columns=frozenset(column or ()),
        rows_max=rows,
        rows_where=frozenset(take.row_condition(text) for text in where or ()),
        operations=frozenset(operation or ()),
        aggregate_min=smallest_group,
        delete_after_s=take.span_seconds(delete_after, "--delete-after"),
        notify=take.parties_of(notify),
        no_onward=no_onward,
        payment=take.payment_of(payment),
        legal_only=take.legal_only(legal_only),
        unrestricted=unrestricted,
    )
    with opened_node() as node:
        subject = current_subject(node)
        chosen = DatasetId(whole_id(node, Named.DATASET, dataset))
        if preview:
            table = node.share.preview(chosen, terms, PartyId(to[0] if to else ANYONE), subject)
            show(table.to_pylist(), table.column_names, format)
            return
        rules = ASK_FIRST if ask_first else None
        made = node.share.offer(chosen, terms, subject, rules=rules, published_as=published_as)
    show([_flat(offer_view(made))], ["offer_id", "dataset_id", "terms"], format)


@app.command()
def offers(format: AsFormat = Format.TABLE) -> None:
    """Show our offers: gongshu share offers."""
    with opened_node() as node:
        node.share.require_onlooker(current_subject(node))
        rows = [_flat(offer_view(each)) for each in node.share.offers(limit=1000)]
    show(rows, ["offer_id", "dataset_id", "title", "terms", "asks_first"], format)


@app.command()
def withdraw(offer_id: str) -> None:
    """Take an offer out of the catalogue: gongshu share withdraw OFFER."""
    with opened_node() as node:
        offer_id = whole_id(node, Named.OFFER, offer_id)
        node.share.withdraw(offer_id, current_subject(node))
    done(f"{offer_id} is withdrawn. Agreements made from it stand; `gongshu share retire` ends one.")


@app.command()
def find(
    party: Annotated[str, typer.Argument(help="The provider's id")],
    search: Annotated[str, typer.Argument(help="Words in title or id; empty shows everything")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Show what a party offers us: gongshu share find urn:gongshu:party:mill orders."""
    rows: list[dict[str, Any]] = []
    elsewhere: list[CatalogueElsewhere] = []
    with opened_node() as node:
        subject, page = current_subject(node), ""
        while True:
            found = node.share.catalogue_of(PartyId(party), subject, search=search, page=page)
            for dataset in found.datasets:
                view = remote_view(dataset)
                for offer, each in zip(dataset.offers, view.pop("offers"), strict=True):
                    rows.append(view | {**each, "terms": describe(offer.terms, offer.obstacle)})
            elsewhere += found.elsewhere
            page = found.next_page
            if not page:
                break
    show(rows, ["dataset_id", "title", "offer_id", "terms"], format)
    for each in elsewhere:
        complain(f"{party} names a catalogue of {each.participant or 'its own'} at {each.address}; it was not asked.")
    if not rows:
        complain(f"{party} offers nothing of this to this node.")


@app.command()
def negotiate(
    party: Annotated[str, typer.Argument(help="The provider's id")],
    dataset: Annotated[str, typer.Argument(help="The dataset's id, as `gongshu share find` shows it")],
    offer_id: Annotated[str, typer.Option("--offer", help="Which offer, if there are several")] = "",
    wait_s: Wait = 30.0,
    format: AsFormat = Format.TABLE,
) -> None:
    """Make a contract: gongshu share negotiate urn:gongshu:party:mill orders."""
    with opened_node() as node:
        record = node.share.negotiate(PartyId(party), dataset, current_subject(node), offer_id=offer_id)
        if wait_s:
            record = node.share.wait_for(record.process_id, {State.FINALIZED}, wait_s)
    show([record_view(record)], PROCESS, format)


@app.command()
def transfer(
    agreement: Annotated[str, typer.Argument(help="The agreement's id")],
    wait_s: Wait = 30.0,
    format: AsFormat = Format.TABLE,
) -> None:
    """Open a transfer under an agreement: gongshu share transfer AGREEMENT."""
    with opened_node() as node:
        agreement = whole_id(node, Named.AGREEMENT, agreement)
        record = node.share.transfer(agreement, current_subject(node))
        if wait_s:
            record = node.share.wait_for(record.process_id, {State.STARTED}, wait_s)
    show([record_view(record)], PROCESS, format)


@app.command()
def pull(
    transfer_id: Annotated[str, typer.Argument(help="The transfer's id")],
    name: Annotated[str, typer.Option("--as", help="Keep the rows as the dataset of this name")] = "",
    file: Annotated[Path | None, typer.Option("--file", help="Write the rows to this .csv or .parquet file")] = None,
    purpose: Annotated[str, typer.Option(help="What the data are for; some contracts demand it")] = "",
    column: Annotated[
        list[str] | None, typer.Option(help="Only this column, or figure as sum(load); repeat it")
    ] = None,
    format: AsFormat = Format.TABLE,
) -> None:
    """Fetch the data; each time counts as one use: gongshu share pull TRANSFER --as partner_orders."""
    if bool(name) == bool(file):
        raise typer.BadParameter("give either --as NAME or --file PATH")
    if file is not None:
        _require_writable(file)
    with opened_node() as node:
        transfer_id = whole_id(node, Named.PROCESS, transfer_id)
        subject = current_subject(node)
        if file is None:
            kept = node.share.pull_into(transfer_id, name, subject, purpose=purpose, columns=column or ())
            show([{"dataset_id": kept, "transfer_id": transfer_id}], ["dataset_id", "transfer_id"], format)
            return
        table = node.share.pull(transfer_id, subject, purpose=purpose, columns=column or ())
    _write_file(table, file)
    show([{"file": file, "rows": table.num_rows}], ["file", "rows"], format)


@app.command()
def get(
    party: Annotated[str, typer.Argument(help="Whose dataset")],
    dataset: Annotated[str, typer.Argument(help="The dataset's id there")],
    name: Annotated[str, typer.Option("--as", help="Keep it under this name; else named after party and dataset")] = "",
    purpose: Annotated[str, typer.Option(help="What the data are for; some contracts demand it")] = "",
    format: AsFormat = Format.TABLE,
) -> None:
    """Contract, transfer and pull in one step: gongshu share get urn:gongshu:party:mill orders --purpose quality."""
    from gongshu.share.obtaining import obtain

    with opened_node() as node:
        got = obtain(node.share, PartyId(party), dataset, current_subject(node), purpose=purpose, name=name)
    show([asdict(got)], ["dataset_id", "agreement_id", "transfer_id"], format)


@app.command()
def agreements(format: AsFormat = Format.TABLE) -> None:
    """Show contracts and what is left of them: gongshu share agreements."""
    with opened_node() as node:
        node.share.require_onlooker(current_subject(node))
        now = node.clock()
        rows = [_flat(agreement_view(each, now)) for each in node.share.agreements(limit=1000)]
    columns = ["agreement_id", "side", "party", "dataset_id", "status", "uses_left", "days_left", "terms"]
    show(rows, columns, format)


@app.command()
def negotiations(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that ask a person")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Show negotiations of both sides: gongshu share negotiations --waiting."""
    with opened_node() as node:
        node.share.require_onlooker(current_subject(node))
        rows = [record_view(each) for each in node.share.negotiations(waiting=waiting, limit=1000)]
    show(rows, PROCESS, format)


@app.command()
def transfers(format: AsFormat = Format.TABLE) -> None:
    """Show transfers of both sides: gongshu share transfers."""
    with opened_node() as node:
        node.share.require_onlooker(current_subject(node))
        rows = [record_view(each) for each in node.share.transfers(limit=1000)]
    show(rows, PROCESS, format)


@app.command()
def deliveries(
    agreement: Annotated[str, typer.Option(help="Only under this agreement")] = "", format: AsFormat = Format.TABLE
) -> None:
    """Show the meter, what was served and pulled: gongshu share deliveries."""
    with opened_node() as node:
        node.share.require_onlooker(current_subject(node))
        if agreement:
            agreement = whole_id(node, Named.AGREEMENT, agreement)
            node.share.agreement(agreement)
        rows = [delivery_view(each) for each in node.share.deliveries(agreement_id=agreement, limit=1000)]
    columns = [
        "direction",
        "party",
        "dataset_id",
        "purpose",
        "rows",
        "size_bytes",
        "outcome",
        "stored_as",
        "started_at",
    ]
    show(rows, columns, format)


@app.command()
def approve(process_id: str) -> None:
    """Say yes to what waits for a person: gongshu share approve PROCESS."""
    with opened_node() as node:
        process_id = whole_id(node, Named.PROCESS, process_id)
        node.share.approve(process_id, current_subject(node))
    done(f"{process_id} goes on.")


@app.command()
def decline(process_id: str, reason: Annotated[str, typer.Option(help="Told to the other side")] = "") -> None:
    """Say no to what waits for a person: gongshu share decline PROCESS --reason "not before March"."""
    with opened_node() as node:
        process_id = whole_id(node, Named.PROCESS, process_id)
        node.share.decline(process_id, current_subject(node), reason)
    done(f"{process_id} ends.")


@app.command()
def suspend(transfer_id: str, reason: Annotated[str, typer.Option(help="Told to the other side")] = "") -> None:
    """Stop a transfer for now: gongshu share suspend TRANSFER."""
    with opened_node() as node:
        transfer_id = whole_id(node, Named.PROCESS, transfer_id)
        node.share.suspend(transfer_id, current_subject(node), reason)
    done(f"{transfer_id} stops. Go on with `gongshu share resume {transfer_id}`.")


@app.command()
def resume(transfer_id: str) -> None:
    """Let a transfer go on that this side suspended: gongshu share resume TRANSFER."""
    with opened_node() as node:
        transfer_id = whole_id(node, Named.PROCESS, transfer_id)
        node.share.resume(transfer_id, current_subject(node))
    done(f"{transfer_id} goes on.")


@app.command()
def terminate(process_id: str, reason: Annotated[str, typer.Option(help="Told to the other side")] = "") -> None:
    """End a negotiation or transfer: gongshu share terminate PROCESS --reason "no longer needed"."""
    with opened_node() as node:
        process_id = whole_id(node, Named.PROCESS, process_id)
        node.share.terminate(process_id, current_subject(node), reason)
    done(f"{process_id} ends.")


@app.command()
def retire(agreement_id: str, reason: Annotated[str, typer.Option(help="Why it ends", prompt=True)]) -> None:
    """End a contract for good: gongshu share retire AGREEMENT --reason "breach of purpose"."""
    with opened_node() as node:
        agreement_id = whole_id(node, Named.AGREEMENT, agreement_id)
        node.share.retire(agreement_id, current_subject(node), reason)
    done(f"{agreement_id} has ended. Nothing is delivered under it any more.")


def _flat(view: dict[str, object]) -> dict[str, object]:
    clauses = view["clauses"]
    assert isinstance(clauses, list), "views hold one entry a term"
    said = [f"{clause['en']} ({clause['class_en']})" for clause in clauses]
    return view | {"terms": " ".join(said) or "unrestricted"}


def _require_writable(file: Path) -> None:
    """A pull counts as a use, so a file that cannot be written is refused before it."""
    if file.suffix not in {".parquet", ".csv"}:
        raise typer.BadParameter(f"{file.name} ends neither in .csv nor in .parquet", param_hint="--file")
    is_new = not file.exists()
    with file.open("ab"):
        pass
    if is_new:
        file.unlink()


def _write_file(table: pa.Table, file: Path) -> None:
    if file.suffix == ".parquet":
        pa_parquet.write_table(table, file, compression="zstd")
    else:
        pa_csv.write_csv(table, file)


add_kept_commands(app)
add_contract_commands(app)
add_flow_commands(app)
add_index_commands(app)
add_ledger_command(app)
add_clearance_commands(app)
add_key_commands(app)
