"""Attachments: files that an offer carries, and that a person reads before a contract with them is signed."""

import html
from collections.abc import Awaitable, Callable, MutableMapping, Sequence

from nicegui import ui
from nicegui.events import UploadEventArguments

from gongshu.console.frame import View
from gongshu.console.widgets import choice, notice, size_words, text, time_html
from gongshu.share.contract import Attachment
from gongshu.share.contracts.attaching import ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX
from gongshu.share.model import Offer, Record
from gongshu.share.rights import DEALERS, USERS

UNKNOWN_TYPE = "application/octet-stream"
Files = MutableMapping[str, tuple[str, bytes]]
"""Name to media type and content."""


def collect_files(view: View, files: Files) -> None:
    """Show a place for files that the offer is to carry; what is chosen stands in `files`."""
    with ui.expansion(view.t("attach.title")).classes("gs-full").props("data-test=attach"):
        text(view.t("attach.hint", count=ATTACHMENTS_MAX, size=size_words(ATTACHMENT_BYTES_MAX))).classes("gs-muted")
        listed = ui.element("div").classes("gs-stack")

        async def take(event: UploadEventArguments) -> None:
            files[event.file.name] = (event.file.content_type or UNKNOWN_TYPE, await event.file.read())
            show()

        def drop(name: str) -> None:
            files.pop(name, None)
            upload.reset()
            show()

        def show() -> None:
            listed.clear()
            with listed:
                for name, (_, content) in files.items():
                    with ui.element("div").classes("gs-row"):
                        text(f"{name} · {size_words(len(content))}")
                        button = ui.button(icon="close", on_click=lambda name=name: drop(name))
                        button.props("flat dense round color=primary").props(f'aria-label="{view.t("attach.drop")}"')

        def rejected() -> None:
            listed.clear()
            with listed:
                notice(view.t("error.input"), view.t("attach.too_large"))
                text(view.join(files))

        upload = _upload(view, "files", take, rejected, files_max=ATTACHMENTS_MAX)


async def show_waiting(view: View, record: Record) -> None:
    """Show the files of a contract that waits for a person, to be read before it is signed."""
    found = await view.ask(view.node.share.desk.awaiting, record.process_id, view.subject)
    if not found:
        return
    text(view.t("attach.read_first"))
    show_files(view, found, record.agreement_id)


def show_files(view: View, found: Sequence[Attachment], agreement_id: str) -> None:
    """Show files with size and whole hash, each to be downloaded."""
    for each in found:
        with _file(each):
            _download(view, each.name, agreement_id)


def _file(file: Attachment) -> ui.element:
    line = ui.element("div").classes("gs-file")
    with line:
        text(f"{file.name} · {size_words(file.size_bytes)}")
        ui.html(f"<code>sha256 {html.escape(file.sha256)}</code>", sanitize=False)
    return line


def _upload(
    view: View,
    mark: str,
    take: Callable[[UploadEventArguments], Awaitable[None]],
    rejected: Callable[[], None],
    *,
    files_max: int = 1,
) -> ui.upload:
    upload = ui.upload(
        label=view.t("attach.choose"),
        multiple=files_max > 1,
        auto_upload=True,
        max_files=files_max if files_max > 1 else None,
        max_file_size=ATTACHMENT_BYTES_MAX,
        on_upload=take,
        on_rejected=rejected,
    )
    upload.props(f"flat bordered color=primary data-test={mark}").classes("gs-upload")
    return upload


def _download(view: View, name: str, agreement_id: str) -> None:
    problem = ui.element("div")

    async def fetch() -> None:
        with view.trying(problem):
            content = await view.ask(view.node.share.desk.attachment, agreement_id, name, view.subject)
            ui.download.content(content, name, UNKNOWN_TYPE)

    if view.has_role(*USERS):
        ui.button(view.t("contract.fetch", name=name), on_click=fetch).props(
            "flat dense color=primary data-test=fetch"
        ).classes("gs-start")


async def show_offer_files(view: View, offers: Sequence[Offer]) -> None:
    """Show an open offer's files, and let a dealer attach one more; contracts made before keep theirs."""
    names = {o.offer_id: f"{html.escape(o.title or o.dataset_id)} · {time_html(o.created_at)}" for o in offers}
    chosen = choice(names, view.t("attach.offer"), offers[0].offer_id)
    chosen.props("data-test=offer").style("max-width: 520px")
    listed, problem = ui.element("div").classes("gs-stack"), ui.element("div")

    async def show() -> None:
        with view.trying(problem):
            found = await view.ask(view.node.share.desk.files_of, str(chosen.value), view.subject)
            listed.clear()
            with listed:
                for each in found:
                    _file(each)
                if not found:
                    text(view.t("attach.none")).classes("gs-muted")

    async def take(event: UploadEventArguments) -> None:
        with view.trying(problem):
            content, kind = await event.file.read(), event.file.content_type or UNKNOWN_TYPE
            act = view.node.share.desk.attach
            await view.ask(act, str(chosen.value), event.file.name, kind, content, view.subject)
            await show()
        upload.reset()

    def rejected() -> None:
        problem.clear()
        with problem:
            notice(view.t("error.input"), view.t("attach.too_large"))

    chosen.on_value_change(show)
    await show()
    if view.has_role(*DEALERS):
        upload = _upload(view, "attach-file", take, rejected)
        text(view.t("attach.later")).classes("gs-muted")
    problem.move(target_index=-1)
