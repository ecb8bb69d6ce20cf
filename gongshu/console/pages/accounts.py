"""Accounts and policies: who may ask, and the rules by which the gate answers."""

import html

from nicegui import ui

from gongshu.console.frame import Console, View
from gongshu.console.widgets import chip_html, notice, panel, table, text, time_html, title
from gongshu.model.access import Role
from gongshu.secure.identity import Account

KEEPERS = (Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN)
GIVEN = [role for role in Role if role is not Role.PARTNER]


def create_pages(console: Console) -> None:
    """Register the page of accounts and policies."""

    @console.page("/accounts", "accounts")
    async def accounts(view: View) -> None:
        title(view, "nav.accounts", "accounts.question")
        with panel(view.t("accounts.people"), view.t("accounts.three")):
            await _show_accounts(view)
        if view.has_role(*KEEPERS):
            with panel(view.t("accounts.new")):
                _show_form(view)
        with panel(view.t("policy.title"), view.t("policy.hint")):
            await _show_policy(view)


async def _show_accounts(view: View) -> None:
    found = await view.ask(view.node.identity.accounts)
    rows = [_row(view, account) for account in found]
    columns = [(n, view.t(f"account.{n}")) for n in ("name", "title", "roles", "created", "state")]
    table(view, columns, rows, key="name", markup=("roles", "created", "state"))
    if not view.has_role(*KEEPERS):
        return
    with ui.element("div").classes("gs-row"):
        open_names = [a.name for a in found if a.disabled_at is None and a.subject_id != view.subject.subject_id]
        chosen = ui.select(open_names, label=view.t("account.close_which")).props("outlined dense data-test=close")
        chosen.style("min-width: 200px")
        ui.button(view.t("account.close"), on_click=lambda: close()).props("outline color=primary")
    problem = ui.element("div")

    async def close() -> None:
        if chosen.value:
            with view.trying(problem):
                await view.ask(view.node.identity.disable, chosen.value, view.subject.subject_id)
                ui.navigate.reload()


def _row(view: View, account: Account) -> dict[str, str]:
    is_open = account.disabled_at is None
    return {
        "name": account.name,
        "title": account.title,
        "roles": " ".join(chip_html(view.t(f"role.{role}"), "plain") for role in sorted(account.roles)),
        "created": time_html(account.created_at),
        "state": chip_html(view.t("account.open" if is_open else "account.closed"), "good" if is_open else "plain"),
    }


def _show_form(view: View) -> None:
    with ui.element("div").classes("gs-form"):
        name = ui.input(view.t("account.name")).props("outlined dense data-test=name autocomplete=off")
        shown = ui.input(view.t("account.title")).props("outlined dense")
        password = ui.input(view.t("sign_in.password"), password=True, password_toggle_button=True)
        password.props("outlined dense autocomplete=new-password data-test=password")
        roles = ui.select(
            {role.value: view.t(f"role.{role}") for role in GIVEN}, label=view.t("account.roles"), multiple=True
        ).props("outlined dense use-chips data-test=roles")
    problem = ui.element("div")

    async def create() -> None:
        with view.trying(problem):
            await view.ask(
                view.node.identity.create_account,
                (name.value or "").strip(),
                password.value or "",
                [Role(role) for role in roles.value or []],
                view.subject.subject_id,
                (shown.value or "").strip(),
            )
            ui.navigate.reload()

    ui.button(view.t("accounts.create"), on_click=create).props("unelevated color=primary").style(
        "align-self: flex-start"
    )


async def _show_policy(view: View) -> None:
    active = await view.ask(view.node.policies.active)
    version = await view.ask(view.node.policies.version)
    text(view.t("policy.version", version=version)).classes("gs-muted")
    if not view.has_role(Role.SECURITY_ADMIN):
        with ui.expansion(view.t("policy.show")).classes("gs-full"):
            ui.html(f'<pre class="gs-sql">{html.escape(active)}</pre>', sanitize=False)
        text(view.t("policy.who_changes")).classes("gs-muted")
        return
    editor = ui.textarea(value=active).props("outlined input-style='min-height: 320px' data-test=policy")
    editor.classes("gs-mono gs-full")
    problem = ui.element("div")

    async def check() -> None:
        with view.trying(problem):
            faults = await view.ask(view.node.policies.check, editor.value or "")
            with problem:
                if not faults:
                    notice(view.t("policy.good"), kind="good")
                for fault in faults:
                    notice(view.t("policy.fault"), str(fault))

    async def deploy() -> None:
        with view.trying(problem):
            view.require_role(Role.SECURITY_ADMIN, what="deploy policies")
            deployed = await view.ask(view.node.policies.deploy, editor.value or "", view.subject.subject_id)
            with problem:
                notice(view.t("policy.deployed", version=deployed.version), kind="good")

    with ui.element("div").classes("gs-row"):
        ui.button(view.t("policy.check"), on_click=check).props("outline color=primary")
        ui.button(view.t("policy.deploy"), on_click=deploy).props("unelevated color=primary")
