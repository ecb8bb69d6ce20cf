"""Home: what is due or wrong today, and what is flowing."""

from gongshu.console.frame import Console, View
from gongshu.console.widgets import title


def create_pages(console: Console) -> None:
    """Register the home page."""

    @console.page("/", "home")
    async def home(view: View) -> None:
        title(view, "nav.home")
