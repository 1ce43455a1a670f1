"""Reads a suite file: TOML, every key known, every value of its type, every plug-in there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probescout.campaigns.reading import parsed, text_of
from probescout.core.errors import InvalidInput, Reason
from probescout.core.registry import PLANNERS, SCALARIZERS
from probescout.core.specs import checked_id
from probescout.replay.twin import SCENES
from probescout.runtime.plugins import build
from probescout.suites.spec import BASELINES, ArmSpec, CaseSpec, SuiteFile
from probescout.surrogates.members.catalogue import check_members

OPTIONS = ("signal", "image", "image_from", "targets", "select")
"""Of converting."""
NEUTRAL = (".nc", ".zarr")
"""Endings of the neutral format; anything else is converted."""
MAX_SEED = 2**63 - 1


def read_suite(path: Path) -> SuiteFile:
    """Return a suite file, checked as far as that goes without loading its cases.

    Raises:
        InvalidInput: FILE_UNREADABLE, FIELD_INVALID, FIELD_MISSING, ID_INVALID, PARAM_INVALID or a reason of a plug-in;
            the field says where in the file.
    """
    return read_text(text_of(path, "suite file"), path.absolute().parent)


def read_text(text: str, folder: Path) -> SuiteFile:
    """Return the suite file that a text holds.

    Args:
        text: TOML.
        folder: Where it lies.

    Raises:
        InvalidInput: As `read_suite`.
    """
    file = replace(parsed(SuiteFile, text, example="docs/replay-at-scale.md shows a suite file"), folder=folder)
    _check_suite(file)
    for i, case in enumerate(file.cases):
        _check_case(file, case, f"cases[{i}]")
    for i, arm in enumerate(file.arms):
        _check_arm(file, arm, f"arms[{i}]")
    return file


def _check_suite(file: SuiteFile) -> None:
    about = file.suite
    checked_id(about.name, field="suite.name")
    if not about.seeds:
        raise InvalidInput(Reason.FIELD_MISSING, "no seed is given; give at least one", field="suite.seeds")
    for i, seed in enumerate(about.seeds):
        if not 0 <= seed <= MAX_SEED or seed in about.seeds[:i]:
            why = "is there twice" if seed in about.seeds[:i] else "is out of range"
            raise InvalidInput(
                Reason.FIELD_INVALID, f"seed {seed} {why}; give different whole numbers from 0 on", field="suite.seeds"
            )
    for name in about.leave_out:
        _one_of(name, BASELINES, "suite.leave_out")
    if about.initial < 1:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"{about.initial} initial points; give 1 or more", field="suite.initial"
        )
    if not file.all_arms:
        raise InvalidInput(
            Reason.FIELD_MISSING, "every baseline is left out and there is no arm; add [[arms]]", field="arms"
        )
    if not file.cases:
        raise InvalidInput(
            Reason.FIELD_MISSING, "there is no case; add [[cases]] with a file or a scene", field="cases"
        )
    _check_names([case.name for case in file.cases], "cases")
    _check_names([arm.name for arm in file.arms], "arms")


def _check_names(names: Sequence[str], where: str) -> None:
    for i, name in enumerate(names):
        checked_id(name, field=f"{where}[{i}].name")
        if name in names[:i]:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"two of them are named '{name}'; rename one", field=f"{where}[{i}].name"
            )


def _check_case(file: SuiteFile, case: CaseSpec, where: str) -> None:
    if bool(case.file) == bool(case.scene):
        raise InvalidInput(
            Reason.FIELD_MISSING, "give either a file or a scene, the kind of a simulated sample", field=where
        )
    budget = file.budget_of(case)
    if budget < max(2, file.suite.initial):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"a budget of {budget} points with {file.suite.initial} initial ones; give 2 or more, and at least these",
            field=f"{where}.budget" if case.budget else "suite.budget",
        )
    if case.scene:
        _one_of(case.scene, tuple(SCENES), f"{where}.scene")
        _refuse_given(case, ("convert", "scalarizer", "params", "target"), where, "a scene has its own target")
        return
    if not (file.folder / case.file).exists():
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{file.folder / case.file} does not exist; check the name", field=f"{where}.file"
        )
    if is_neutral(case):
        _refuse_given(case, ("convert",), where, f"a file with the ending {' or '.join(NEUTRAL)} is not converted")
    for option in case.convert:
        _one_of(option, OPTIONS, f"{where}.convert")
    if case.scalarizer:
        # What the unit of its windows is, the file says.
        build(SCALARIZERS, {"name": case.scalarizer, "params": case.params}, field=where)


def _refuse_given(case: CaseSpec, names: Sequence[str], where: str, why: str) -> None:
    for name in names:
        if getattr(case, name):
            raise InvalidInput(Reason.FIELD_INVALID, f"{why}; leave out '{name}'", field=f"{where}.{name}")


def _check_arm(file: SuiteFile, arm: ArmSpec, where: str) -> None:
    if arm.name in BASELINES and arm.policy != arm.name:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"the baseline '{arm.name}' is planned by '{arm.policy}' here; name that arm otherwise",
            field=f"{where}.name",
        )
    if arm.policy == "grid" and "budget" in arm.params:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            "the grid is laid out for the points after the initial ones; leave its budget out",
            field=f"{where}.params.budget",
        )
    # The grid's own budget is known with the case.
    params = {"budget": 1, **arm.params} if arm.policy == "grid" else arm.params
    try:
        build(PLANNERS, {"name": arm.policy, "params": params}, field="")
        check_members(arm.members, use_deep=file.suite.deep or bool(arm.members))
    except InvalidInput as error:
        place = error.field.removeprefix("spec.").lstrip(".").replace("name", "policy", 1)
        raise InvalidInput(error.reason, error.message, field=f"{where}.{place}") from error


def is_neutral(case: CaseSpec) -> bool:
    """Return whether the file of a case is in the neutral format, by its ending."""
    return Path(case.file).suffix.lower() in NEUTRAL


def _one_of(word: str, known: Sequence[str], where: str) -> None:
    if word not in known:
        near = difflib.get_close_matches(word, known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InvalidInput(
            Reason.FIELD_INVALID, f"'{word}' is none of {', '.join(known)}; {hint}choose one", field=where
        )
