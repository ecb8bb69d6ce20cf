"""The values of the index as plain fields, for programs and tables."""

from typing import Any

from gongshu.share.crawl.model import Crawl, Found, Outcome

View = dict[str, Any]

SHORT = 200
"""Signs of a description that a list of hits shows."""


def crawl_view(crawl: Crawl) -> View:
    """Return a followed party: what is known of it, and how the reading goes."""
    return {
        "party": crawl.party,
        "entries": crawl.entries,
        "interval_s": crawl.interval_s,
        "completed_at": crawl.completed_at.isoformat() if crawl.completed_at else None,
        "checked_at": crawl.checked_at.isoformat() if crawl.checked_at else None,
        "next_at": crawl.next_at.isoformat(),
        "running": crawl.is_running,
        "pages_read": crawl.pass_pages,
        "failures": crawl.failures,
        "last_error": crawl.last_error,
    }


def outcome_view(outcome: Outcome) -> View:
    """Return what one run changed."""
    return {
        "party": outcome.party,
        "changed": outcome.changed,
        "added": outcome.added,
        "updated": outcome.updated,
        "removed": outcome.removed,
        "pages": outcome.pages,
    }


def found_view(found: Found) -> View:
    """Return one hit of a search."""
    return {
        "party": found.party,
        "own": found.is_own,
        "dataset_id": found.dataset_id,
        "title": found.title,
        "description": found.description[:SHORT],
        "offers": found.offers,
        "score": found.score,
    }
