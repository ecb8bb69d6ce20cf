"""The house keeps its rules, and the checker finds each breach that is planted."""

from pathlib import Path

import pytest

from tools import tidy

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_keeps_the_house_rules() -> None:
    assert [str(breach) for breach in tidy.check_tree(ROOT)] == []


def test_no_file_names_a_machine_path_or_a_package_index() -> None:
    assert [str(breach) for breach in tidy.check_addresses(ROOT)] == []


GOOD = '"""A module."""\n'


@pytest.mark.parametrize(
    ("path", "text", "clause"),
    [
        ("gongshu/govern/utils.py", GOOD, "L1"),
        ("gongshu/lake/log.py", GOOD + "from gongshu.secure import gate\n", "L4"),
        ("gongshu/share/service.py", GOOD + "from gongshu.lake import Lake\n", "L4"),
        ("gongshu/share/service.py", GOOD + "import fastapi\n", "L4"),
        ("gongshu/lake/log.py", GOOD + "from gongshu.testing import cable\n", "L4"),
        ("gongshu/lake/log.py", GOOD + "x = 1\n" * 401, "L6"),
        ("gongshu/lake/log.py", GOOD + 'def f() -> None:\n    """Do it."""\n' + "    x = 1\n" * 60, "L6"),
        ("gongshu/lake/log.py", "x = 1\n", "T2"),
        ("gongshu/lake/log.py", GOOD + "def read_all() -> None:\n    pass\n", "T2"),
        ("gongshu/lake/log.py", GOOD + 'def read_rows() -> None:\n    """Read the rows."""\n', "T2"),
        ("gongshu/lake/errors.py", GOOD + 'class Full(TooLarge):\n    """A."""\n    template = "x"\n', "E1"),
        ("gongshu/lake/errors.py", GOOD + 'class Full(TooLarge):\n    """A."""\n    code = "a.b"\n', "E1"),
        ("gongshu/lake/log.py", GOOD + "try:\n    x = 1\nexcept Exception:\n    pass\n", "E5"),
    ],
)
def test_a_planted_breach_is_found(path: str, text: str, clause: str) -> None:
    assert clause in {breach.clause for breach in tidy.check_file(Path(path), text, {})}


def test_a_code_used_twice_is_found() -> None:
    text = GOOD + 'class A(TooLarge):\n    """It."""\n    code = "a.b"\n    template = "x"\n'
    codes: dict[str, str] = {}
    assert tidy.check_file(Path("gongshu/lake/errors.py"), text, codes) == []
    assert [b.clause for b in tidy.check_file(Path("gongshu/gather/errors.py"), text, codes)] == ["E1"]
