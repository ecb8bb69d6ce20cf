"""What commands print of texts that others wrote."""

import json

import pytest

from gongshu.cli.output import Format, complain, done, show

ODD = "a\x1b[2Jb\x9b31m\u202ec\x07"


def test_a_partners_text_steers_no_terminal_and_programs_get_it_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"title": ODD}], ["title"])
    done(ODD)
    complain(ODD)
    show([{"title": ODD}], ["title"], Format.JSON)
    printed, said = capsys.readouterr()
    assert all(line.isprintable() for line in (*printed.split("\n"), *said.split("\n")))
    assert json.loads(printed.split("\n")[-2]) == [{"title": ODD}]
