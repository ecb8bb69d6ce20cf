"""What a page shows of an error."""

import re
from typing import cast

import pytest
from nicegui import Client
from nicegui.page import page
from starlette.requests import Request

from gongshu.console.frame import View
from gongshu.console.session import Taste
from gongshu.console.texts import Language, read_texts
from gongshu.console.widgets import Row, error_notice, fill, table
from gongshu.model.access import Subject
from gongshu.node import Node
from gongshu.share.errors import PeerUnreachable


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        (Language.ZH, "没有成功p 在 a 没有应答：r。请确认对方节点在运行，再试一次。 share.peer_unreachable"),
        (
            Language.EN,
            "That did not workp did not answer at a: r. Check that its node runs, then try again. "
            "share.peer_unreachable",
        ),
    ],
)
async def test_an_error_says_once_what_helps(language: Language, shown: str) -> None:
    nothing = (cast(Node, None), cast(Request, None), cast(Subject, None))
    with Client(page("")) as client:
        error_notice(
            View(*nothing, Taste(language, False), read_texts()), PeerUnreachable(party="p", address="a", reason="r")
        )
        (said,) = [str(one.content) for one in client.elements.values() if hasattr(one, "content")]
    client.delete()
    assert re.sub(r"<[^>]*>", "", said) == shown


async def test_nothing_is_sent_while_the_rows_of_a_table_stay_the_same() -> None:
    nothing = (cast(Node, None), cast(Request, None), cast(Subject, None))
    with Client(page("")) as client:
        view = View(*nothing, Taste(Language.EN, False), read_texts())
        shown = table(view, [("name", "Name")], [{"name": "a"}], key="name", open_at=_path_of)
        client.outbox.updates.clear()
        fill(shown, [{"name": "a"}], open_at=_path_of)
        assert dict(client.outbox.updates) == {}
        fill(shown, [{"name": "b"}], open_at=_path_of)
        assert list(client.outbox.updates) == [shown.id]
        assert shown.rows == [{"name": "b", "_to": "/b"}]
    client.delete()


def _path_of(row: Row) -> str:
    return f"/{row['name']}"
