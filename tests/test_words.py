"""Plain words: phrases that need a second reading stay out of code, models, docs and notebooks."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READ = ("lib", "dbt_stocks", "dags", "docs", "notebooks", "README.md")
SUFFIXES = (".py", ".sql", ".yml", ".md", ".ipynb")

# a pattern, and what to write instead
PHRASES = {
    r"\bthat (is|are) none\b": "an invalid …",
    r"\b(is|are) to be\b": "must be, or is",
    r"\bsomebody\b|\bwhoever\b": "another process, the caller",
    r"\banew\b": "again",
    r"\bbeside\b": "next to",
    r"\bhas no say\b": "is ignored",
    r"\bso it is with\b": "the same holds for",
    r"\bwhat there is to\b": "name the thing",
    r"\bmeanwhile\b": "during …, or before that",
    r"\bonlookers?\b": "inspector",
    r"\brate budgets?\b": "rate limit",
    r"\bstrikes? off\b|\bstrike_off\b": "acknowledge",
    r"\b_?bury\b|\bburied\b": "send to the dead-letter topic, or reap",
    r"\bis of no use\b": "would fail again",
    r"\bwithout a word\b": "silently",
}


@cache
def texts() -> dict[str, str]:
    """Every text that a person reads, with each gap as one space; a line break and its comment mark stay a break."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *READ], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = [name for name in listed.stdout.split("\0") if name.endswith(SUFFIXES)]
    return {name: joined((ROOT / name).read_text("utf-8")) for name in names}


def joined(text: str) -> str:
    return re.sub(r"[ ]*\n[ ]*(?:#|--)?[ ]*", "\n", text)


def lines_of(pattern: str, text: str) -> list[int]:
    """The lines of a text on which a phrase begins, also where it runs on to the next one."""
    loose = re.compile(pattern.replace(" ", r"\s"), re.IGNORECASE)
    return [text.count("\n", 0, match.start()) + 1 for match in loose.finditer(text)]


@pytest.mark.parametrize("pattern", PHRASES)
def test_a_phrase_that_needs_a_second_reading_stays_gone(pattern: str) -> None:
    assert len(texts()) > 300
    wrong = [f"{name} (about line {line})" for name, text in texts().items() for line in lines_of(pattern, text)]
    assert not wrong, f"{pattern!r} in {', '.join(wrong)}: write {PHRASES[pattern]!r}"


def test_a_phrase_is_found_where_a_line_or_a_comment_breaks_it() -> None:
    assert lines_of(r"\b(is|are) to be\b", joined("fine\nwhat is\n    # to be done")) == [2]
    assert lines_of(r"\bmeanwhile\b", joined("self.keep_alive = None")) == []
