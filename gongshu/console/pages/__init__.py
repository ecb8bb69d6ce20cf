"""One module a page; each adds its pages to the console with `create_pages`."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gongshu.console.frame import Console

MODULES = (
    "sign_in",
    "home",
    "source_add",
    "sources",
    "assets",
    "catalogue",
    "dataset",
    "standards",
    "decisions",
    "audit",
    "accounts",
    "components",
    "hub",
    "sharing",
    "offer",
    "market",
    "agreements",
    "contract",
    "transfers",
    "clearances",
    "clearance_form",
    "clearance",
    "ledger",
    "partners",
    "key_changes",
    "spaces",
    "process",
    "oee",
)


def create_pages(console: "Console") -> None:
    """Register every page."""
    for name in MODULES:
        import_module(f"gongshu.console.pages.{name}").create_pages(console)
