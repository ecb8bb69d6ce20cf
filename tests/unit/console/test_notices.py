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
from gongshu.console.widgets import error_notice
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
