"""What a person can do with a contract: get its data in one of three ways, renew, confirm a payment, export, end."""

import html
import tempfile
from pathlib import Path

from nicegui import ui

from gongshu.console.forms import FieldWrong
from gongshu.console.frame import View
from gongshu.console.pages.asking import ask_first
from gongshu.console.widgets import text
from gongshu.model.access import Role
from gongshu.share.dsp.messages import FORMAT_PULL, FORMAT_PUSH, FORMAT_STREAM
from gongshu.share.dsp.states import Side
from gongshu.share.encoding import Encoding
from gongshu.share.model import Agreement, AgreementStatus
from gongshu.share.obtaining import default_name
from gongshu.share.receiving import Opening
from gongshu.share.rights import DEALERS, USERS

WAYS = {FORMAT_PULL: "pull", FORMAT_PUSH: "push", FORMAT_STREAM: "stream"}
EXPORTERS = DEALERS | {Role.AUDIT_ADMIN}


async def show_acts(view: View, agreement: Agreement) -> None:
    """Show the buttons that this person has for this contract; errors stand below them."""
    problem = ui.element("div").classes("gs-stack")
    is_open = agreement.status is AgreementStatus.ACTIVE
    if agreement.side is Side.CONSUMER and is_open and view.has_role(*USERS):
        _show_ways(view, agreement, problem)
    if agreement.side is Side.PROVIDER and agreement.terms.payment is not None and view.has_role(*DEALERS):
        _show_payment(view, agreement, problem)
    with ui.element("div").classes("gs-row"):
        if agreement.side is Side.CONSUMER and is_open and view.has_role(*USERS):
            _renew(view, agreement, problem)
        if view.has_role(*EXPORTERS):
            _export(view, agreement, problem)
        if view.has_role(*DEALERS) and agreement.status is not AgreementStatus.RETIRED:
            _end(view, agreement)
    if not view.has_role(*EXPORTERS, *USERS):
        text(view.t("contract.look_only")).classes("gs-muted")
    problem.move(target_index=-1)


def _show_ways(view: View, agreement: Agreement, problem: ui.element) -> None:
    ways = {name: view.t(f"way.{WAYS[name]}") for name in WAYS}
    with ui.element("div").classes("gs-row"):
        way = ui.select(ways, label=view.t("contract.way"), value=FORMAT_PULL).props("outlined dense options-dense")
        way.style("flex: 1; min-width: 200px")
        name = ui.input(view.t("contract.keep_as"), value=default_name(agreement.counterparty, agreement.dataset_id))
        name.props("outlined dense data-test=name").style("flex: 1; min-width: 140px")
    name.bind_visibility_from(way, "value", backward=lambda chosen: chosen == FORMAT_PUSH)

    async def transfer() -> None:
        with view.trying(problem):
            opening = None
            if way.value == FORMAT_PUSH:
                purpose = min(agreement.terms.purposes, default="")
                opening = Opening((name.value or "").strip(), "", purpose, (), Encoding.ARROW)
            act = view.node.share.transfer
            record = await view.ask(act, agreement.agreement_id, view.subject, format=way.value, opening=opening)
            ui.navigate.to(f"/sharing/process/{record.process_id}")

    ui.button(view.t("agreement.transfer"), on_click=transfer).props("unelevated color=primary").classes("gs-start")


def _show_payment(view: View, agreement: Agreement, problem: ui.element) -> None:
    reference = ui.input(view.t("contract.reference")).props("outlined dense data-test=reference")

    async def paid() -> None:
        with view.trying(problem):
            act = view.node.share.desk.confirm_payment
            await view.ask(act, agreement.agreement_id, (reference.value or "").strip(), view.subject)
            with problem:
                text(view.t("contract.paid_done"))

    ui.button(view.t("contract.paid"), on_click=paid).props("outline color=primary").classes("gs-start")


def _renew(view: View, agreement: Agreement, problem: ui.element) -> None:
    async def renew() -> None:
        with view.trying(problem):
            record = await view.ask(
                view.node.share.negotiate,
                agreement.counterparty,
                agreement.dataset_id,
                view.subject,
                replaces=agreement.agreement_id,
            )
            ui.navigate.to(f"/sharing/process/{record.process_id}")

    ui.button(view.t("contract.renew"), on_click=renew).props("outline color=primary").tooltip(
        view.t("contract.renew_hint")
    )


def _export(view: View, agreement: Agreement, problem: ui.element) -> None:
    async def export() -> None:
        with view.trying(problem):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "evidence.jsonl"
                await view.ask(view.node.exporter.export, agreement.agreement_id, file, view.subject)
                ui.download.content(file.read_bytes(), file.name)
            command = f"gongshu evidence verify evidence.jsonl --fingerprint {view.node.exporter.fingerprint()}"
            with problem:
                text(view.t("contract.exported")).classes("gs-muted")
                ui.html(f'<pre class="gs-sql">{html.escape(command)}</pre>', sanitize=False)

    ui.button(view.t("contract.export"), on_click=export).props("outline color=primary")


def _end(view: View, agreement: Agreement) -> None:
    async def end(reason: str) -> None:
        if not reason:  # the other side reads it
            raise FieldWrong(field=view.t("contract.reason"), expected="a reason")
        await view.ask(view.node.share.retire, agreement.agreement_id, view.subject, reason)
        ui.navigate.reload()

    def asked() -> None:
        heading, words = view.t("contract.end_title"), view.t(f"contract.end_{agreement.side.value}")
        ask_first(view, heading, words, view.t("agreement.retire"), end, reason=view.t("contract.reason"))

    ui.button(view.t("agreement.retire"), on_click=asked).props("flat color=negative data-test=end")
