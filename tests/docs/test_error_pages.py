"""Every reason that an error may carry has its page, and no page is left over."""

import re
from pathlib import Path

import pytest

from probescout.core import errors
from probescout.core.errors import ProbescoutError, Reason

PAGES = Path(__file__).resolve().parents[2] / "docs" / "errors"
STATUSES = {
    "InvalidInput": "INVALID_ARGUMENT",
    "NotFound": "NOT_FOUND",
    "AlreadyExists": "ALREADY_EXISTS",
    "WrongState": "FAILED_PRECONDITION",
    "Unauthenticated": "UNAUTHENTICATED",
    "Denied": "PERMISSION_DENIED",
    "Overloaded": "RESOURCE_EXHAUSTED",
    "Unavailable": "UNAVAILABLE",
    "HistoryMismatch": "DATA_LOSS",
    "NotBuilt": "UNIMPLEMENTED",
    "MissingExtra": "FAILED_PRECONDITION",
}


def test_pages_are_the_closed_list() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {reason.value for reason in Reason}


def test_families_are_all_named_here() -> None:
    families = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, ProbescoutError) and value is not ProbescoutError
    }
    assert families == set(STATUSES)


@pytest.mark.parametrize("reason", list(Reason))
def test_page_says_what_why_and_what_next(reason: Reason) -> None:
    text = (PAGES / f"{reason.value}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {reason.value}\n")
    for heading in ("What it means", "Typical cause", "What to do next"):
        section = re.search(rf"^## {heading}\n\n(.+?)(?=\n## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section and len(section.group(1).strip()) > 20, heading
    raised = re.search(r"^Raised as: (.+)$", text, re.MULTILINE)
    assert raised
    for entry in raised.group(1).split(", "):
        match = re.fullmatch(r"(\w+) \((\w+)\)", entry)
        assert match and STATUSES[match.group(1)] == match.group(2)
