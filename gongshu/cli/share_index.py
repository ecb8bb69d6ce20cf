"""`gongshu share crawl` and `gongshu share search`: the local index of what others offer."""

from typing import Annotated

import typer

from gongshu.cli.output import Format, done, show
from gongshu.cli.session import current_subject, opened_node
from gongshu.model.ids import PartyId
from gongshu.share.crawl.service import INTERVAL_USUAL_S
from gongshu.share.crawl.views import crawl_view, found_view, outcome_view

AsFormat = Annotated[Format, typer.Option("--format", help="table for people, json for programs")]

_FOLLOWED = ["party", "entries", "completed_at", "next_at", "running", "failures", "last_error"]
_CHANGED = ["party", "changed", "added", "updated", "removed", "pages"]


def add_index_commands(app: typer.Typer) -> None:
    """Add both commands to `gongshu share`."""
    app.command()(crawl)
    app.command()(search)


def crawl(
    party: Annotated[str, typer.Argument(help="Whose catalogue; empty shows all that are followed")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Read it from now on, again and again")] = False,
    every_s: Annotated[int, typer.Option("--every", help="Seconds between two readings")] = INTERVAL_USUAL_S,
    forget: Annotated[bool, typer.Option("--forget", help="Follow it no more, and drop its entries")] = False,
    format: AsFormat = Format.TABLE,
) -> None:
    """Read a party's catalogue into the index: gongshu share crawl urn:gongshu:party:mill --follow."""
    with opened_node() as node:
        subject, named = current_subject(node), PartyId(party)
        if not party:
            show([crawl_view(each) for each in node.crawl.followed(subject)], _FOLLOWED, format)
            return
        if forget:
            node.crawl.unfollow(named, subject)
            done(f"{party} is not followed any more.")
            return
        if follow:
            node.crawl.follow(named, subject, interval_s=every_s)
        outcome = node.crawl.crawl(named, subject)
    show([outcome_view(outcome)], _CHANGED, format)


def search(
    words: Annotated[list[str], typer.Argument(help="Chinese, English or pinyin")],
    party: Annotated[list[str] | None, typer.Option("--party", help="Only at this party; repeat it")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many hits")] = 20,
    format: AsFormat = Format.TABLE,
) -> None:
    """Find data by meaning, here and at the parties we follow: gongshu share search 主轴温度."""
    with opened_node() as node:
        parties = [PartyId(each) for each in party or ()]
        found = node.crawl.search(" ".join(words), current_subject(node), parties=parties, limit=limit)
    show([found_view(each) for each in found], ["party", "dataset_id", "title", "offers", "score"], format)
