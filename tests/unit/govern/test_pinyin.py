"""Chinese in pinyin, and the dictionary behind it that comes and goes."""

import subprocess
import sys

from gongshu.govern.pinyin import forget_when_idle, initials, spell


def test_phrases_decide_between_readings_of_a_sign() -> None:
    assert spell("重量") == ["zhong", "liang"]
    assert spell("重复") == ["chong", "fu"]


def test_a_dictionary_that_was_given_back_is_there_for_the_next_word() -> None:
    assert spell("主轴") == ["zhu", "zhou"]
    assert not forget_when_idle(idle_s=3600.0)
    assert forget_when_idle(idle_s=0.0)
    assert "pypinyin" not in sys.modules
    assert not forget_when_idle(idle_s=0.0)
    assert initials("主轴") == "zz"


def test_a_process_that_opens_a_node_does_not_load_the_dictionary_or_what_else_is_rarely_needed() -> None:
    """Each of these takes tens of megabytes or a tenth of a second; see docs/benchmarks.md."""
    rare = ["pypinyin", "pandas", "alembic", "openpyxl", "ibis", "pyiceberg", "duckdb"]
    program = f"import sys, gongshu.main; print([name for name in {rare} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
