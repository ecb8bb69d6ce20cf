"""Acts on a process that need more than a button: keep what a transfer brings, and counter with other terms."""

import html

import orjson
from nicegui import ui

from gongshu.console.frame import View
from gongshu.console.pages.offer import columns_of
from gongshu.console.pages.terms_form import TermsForm
from gongshu.console.widgets import notice, panel
from gongshu.model.ids import DatasetId
from gongshu.share.dsp.messages import FORMAT_STREAM
from gongshu.share.dsp.states import Kind, Side, State
from gongshu.share.model import Record
from gongshu.share.obtaining import default_name
from gongshu.share.odrl import read_policy


def can_keep(record: Record) -> bool:
    """Return whether rows of this transfer can be fetched by us now."""
    return record.kind is Kind.TRANSFER and record.side is Side.CONSUMER and record.state is State.STARTED


def can_counter(record: Record, queued: str) -> bool:
    """Return whether it is our turn to name other terms: nothing is `queued` or on its way."""
    turn = State.REQUESTED if record.side is Side.PROVIDER else State.OFFERED
    return record.kind is Kind.NEGOTIATION and record.state is turn and not record.pending and not queued


async def show_keeping(view: View, record: Record, result: ui.element) -> None:
    """Show what the rows are kept as and what they are for, and the button that fetches or follows them."""
    share, is_stream = view.node.share, record.format == FORMAT_STREAM
    agreement = await view.ask(share.agreement, record.agreement_id)
    purposes = sorted(agreement.terms.purposes)
    with ui.element("div").classes("gs-row"):
        name = ui.input(view.t("contract.keep_as"), value=default_name(record.counterparty, record.dataset_id))
        name.props("outlined dense data-test=name").style("flex: 1; min-width: 150px")
        purpose = ui.select(purposes, label=view.t("meter.purpose"), value=purposes[0]) if purposes else None
        if purpose is not None:
            purpose.props("outlined dense options-dense").style("flex: 1; min-width: 130px")

    async def keep() -> None:
        with view.trying(result):
            chosen, why = (name.value or "").strip(), str(purpose.value) if purpose is not None else ""
            if is_stream:
                act = share.flows.followers.follow
                await view.ask(act, record.process_id, chosen, view.subject, purpose=why)
                kept = DatasetId(chosen)
            else:
                kept = await view.ask(share.pull_into, record.process_id, chosen, view.subject, purpose=why)
            with result:
                notice(view.t("process.following" if is_stream else "process.kept"), kind="good")
                ui.html(f'<a href="/catalogue/{html.escape(kept)}?tab=look">{html.escape(kept)}</a>', sanitize=False)

    ui.button(view.t("process_act.follow" if is_stream else "process_act.pull"), on_click=keep).props(
        "unelevated color=primary data-test=keep"
    ).classes("gs-start")


async def show_counter(view: View, record: Record) -> None:
    """Show the form of terms, folded away, and the button that sends them in answer."""
    known = {str(p.party_id): p.title or str(p.party_id) for p in await view.ask(view.node.parties.all)}
    known[str(view.node.party_id)] = view.node.config.title
    columns, groups = list[str](), dict[str, str]()
    if record.side is Side.PROVIDER:
        columns = columns_of(await view.ask(view.node.catalogue.dataset, DatasetId(record.dataset_id)))
        found = await view.ask(view.node.share.desk.groups, view.subject)
        groups = {group.group_id: group.title for group in found}
    with panel(""), ui.expansion(view.t("process.counter")).classes("gs-full"):
        on_the_table, _ = read_policy(orjson.loads(record.policy)) if record.policy else (None, "")
        form = TermsForm(view, columns, known, groups=groups, begin=on_the_table)
        result = ui.element("div")

        async def send() -> None:
            with view.trying(result):
                await view.ask(view.node.share.counter, record.process_id, form.read(), view.subject)

        button = ui.button(view.t("process.counter_go"), on_click=send)
        button.props("outline color=primary data-test=counter").style("width: auto")
