"""The tree of errors: every family has its status, every reason is raised by somebody."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

import probescout
from probescout.core import errors
from probescout.core.errors import ProbescoutError, Reason
from probescout.runtime.child import WorkerFault
from probescout.service.status import STATUS, code_of

ROOT = Path(probescout.__file__).resolve().parents[2]
FAMILIES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ProbescoutError) and kind is not ProbescoutError
]


def test_the_status_table_covers_exactly_the_families() -> None:
    assert set(STATUS) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_the_tree_in_the_docstring_names_each_family(family: type[ProbescoutError]) -> None:
    assert errors.__doc__ is not None and re.search(rf"[├└]─ {family.__name__} ", errors.__doc__)
    assert code_of(family(Reason.FIELD_INVALID, "x")) is not grpc.StatusCode.UNKNOWN


def test_a_subclass_has_the_status_of_its_family() -> None:
    assert code_of(WorkerFault("died")) is grpc.StatusCode.UNAVAILABLE


def test_every_reason_is_used() -> None:
    sources = [
        path.read_text(encoding="utf-8")
        for room in ("src/probescout", "scalarizers", "planners", "theory")
        for path in (ROOT / room).rglob("*.py")
        if path.name != "errors.py" or path.parent.name != "core"
    ]
    used = set(re.findall(r"\bReason\.([A-Z_]+)", "\n".join(sources)))
    assert {r.name for r in Reason} - used == set()
    assert used <= {r.name for r in Reason}


def test_an_error_keeps_what_it_says() -> None:
    error = errors.NotFound(Reason.FRAME_NOT_FOUND, "no frame 'f2'; it is 'f1'", field="name")
    assert (str(error), error.reason, error.field) == ("no frame 'f2'; it is 'f1'", Reason.FRAME_NOT_FOUND, "name")
