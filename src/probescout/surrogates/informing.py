"""Evidence comes in and is taken back: the plain model never changes for it, and answers alone where it has no say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.learning import Learner
from probescout.surrogates.measurements import checked
from probescout.surrogates.model import Model
from probescout.surrogates.prior.gate import UNHEARD, Verdict
from probescout.surrogates.prior.theory import Result, Theory
from probescout.surrogates.prior.view import Columns, InformedView, slope_of, verdict_on
from probescout.surrogates.scores import NO_SCORE, Observation, Score, carry_over
from probescout.surrogates.view import View

FloatArray = NDArray[np.float64]
WORKED_OUT_AT_ONCE = 100_000
"""Candidates times simulations up to which evidence is worked out at once: some ten milliseconds."""


class Informed(Learner):
    """What a committee knows, from measurements and from simulations."""

    _theory: Theory | None = None
    """All evidence that is applied."""
    _columns: Columns | None = None
    """What answers; while new evidence is worked out, that of before."""
    _coming: Columns | None = None
    """What will answer once `advance` has worked it out."""
    _seen: tuple[View, Columns | None, View, Verdict] | None = None
    """The plain view and the columns that the answers rest on, the view that answers, and what theory has earned."""
    _reported: list[Score]
    """Scores of what was reported: those of the informed members while theory had a say."""

    def _set_model(self, model: Model) -> None:
        if not hasattr(self, "_reported"):
            self._reported = []
        self._model = model
        self._view = View(model, self._scores, self._reported)
        ready = self._coming or self._columns
        if ready is not None and not ready.fits(model.field):
            self._prepare()

    # Evidence

    def inform(self, results: Sequence[Result]) -> None:
        """Replace all evidence, as `begin_inform`, and wait until it is worked out.

        Raises:
            InvalidInput: As `Theory`; nothing has then changed.
        """
        self.begin_inform(results)
        if self._coming is not None:
            self._coming.finish()
            self._arrive()

    def begin_inform(self, results: Sequence[Result]) -> None:
        """Replace all evidence.

        Much of it on a large frame is worked out by `advance`. Until then the evidence of before answers, unless some
        of it was taken back: then the plain model does.

        Args:
            results: What is applied, in the order in which it was; none: the plain model answers, exactly as it did.

        Raises:
            InvalidInput: As `Theory`; nothing has then changed.
        """
        before = self._theory
        if before is not None and tuple(results) == before.results:
            return
        found = Theory(self.features.arrays, results, before) if results else None
        self._theory = found
        if self._columns is not None and not set(self._columns.theory.results) <= set(results):
            self._columns = None
        self._prepare()

    def _prepare(self) -> None:
        """Begin to work theory out over the present field, where that is not done; little of it at once."""
        theory, field, ready = self._theory, self._model.field, self._columns
        self._coming = None
        if theory is None or not theory.engines:
            self._columns = None
        elif ready is not None and ready.fits(field) and ready.theory.emulators == theory.emulators:
            # Nothing is said that was not said before: what was worked out of it stays.
            ready.theory = theory
        else:
            self._coming = Columns(theory, field)
            if self._coming.work <= WORKED_OUT_AT_ONCE:
                self._coming.finish()
                self._arrive()

    def _arrive(self) -> None:
        self._columns, self._coming = self._coming, None

    @property
    def is_building(self) -> bool:
        """Whether a version, or evidence, is being worked out that `advance` brings on."""
        return super().is_building or self._coming is not None

    def advance(self) -> bool:
        """Bring on a version first, then evidence; see `Versions.advance`."""
        if super().is_building:
            super().advance()
        elif self._coming is not None and self._coming.bite():
            self._arrive()
        return not self.is_building

    @property
    def theory(self) -> Theory | None:
        """What simulations say; None without evidence."""
        return self._theory

    def verdict(self) -> Verdict:
        """Return what theory has earned."""
        return self._look()[1]

    def slopes(self) -> FloatArray:
        """Return the mean slope (engine,) of theory, in SD of the target per SD of the simulated values."""
        view, _ = self._look()
        found = dict.fromkeys(self._theory.engines if self._theory is not None else (), 0.0)
        if isinstance(view, InformedView):
            weights = self._view.assessment.weights
            means = weights @ np.array([gp.slope for gp in view.model.informed])
            found |= {e: float(m) for e, m in zip(view.model.theory.engines, means, strict=True) if e in found}
        return np.array(list(found.values()))

    def theory_report(self) -> dict[str, Any] | None:
        """Return weight, skill and, once it is heard, slopes of theory, JSON values only; None without evidence."""
        theory = self._theory
        if theory is None:
            return None
        view, verdict = self._look()
        told: dict[str, Any] = {
            "weight": verdict.weight,
            "skill": verdict.skill,
            "gain": verdict.total,
            "n_results": len(theory.results),
            "engines": [],
        }
        answering = self._columns.theory if self._columns is not None else theory
        for j, engine in enumerate(answering.engines):
            emulator = answering.emulator(engine)
            one: dict[str, Any] = {"engine": engine, "noise_sd": emulator.sd * float(np.sqrt(emulator.noise))}
            if isinstance(view, InformedView):
                # Before it is heard the slope interests nobody, and would cost every answer some milliseconds.
                one |= slope_of(view.model, self._view.assessment.weights, j)
            told["engines"].append(one)
        return told

    def theory_maps(self) -> dict[str, FloatArray]:
        """Return what theory says and does over the field (point,); nothing before it says anything.

        "theory" and "theory_std" are of the first engine, in the unit of its quantity; "prior" is what all of them add
        to the mean, in target units.
        """
        columns = self._columns
        if columns is None or not columns.fits(self._model.field):
            return {}
        shown, candidates = self._shown, self._model.field.candidates
        emulator = columns.theory.emulators[0]
        told = shown.describe(candidates)[0] - self._view.describe(candidates)[0] if shown is not self._view else 0.0
        return {
            "theory": emulator.mean + emulator.sd * columns.field[:, 0],
            "theory_std": emulator.sd * np.sqrt(columns.doubt[:, 0]),
            "prior": np.broadcast_to(told, (len(candidates),)),
        }

    @property
    def _shown(self) -> View:
        """What answers: the plain view unless theory has a say."""
        return self._look()[0]

    def _look(self) -> tuple[View, Verdict]:
        plain, columns, seen = self._view, self._columns, self._seen
        if seen is not None and seen[0] is plain and seen[1] is columns:
            return seen[2:]
        view, verdict = plain, UNHEARD
        if columns is not None and columns.fits(self._model.field) and not self._model.scale.is_constant:
            verdict = verdict_on(plain, self._model, columns)
            if verdict.weight > 0.0:
                view = InformedView(plain, self._model, self._reported, columns, verdict)
        self._seen = plain, columns, view, verdict
        return view, verdict

    # Measurements

    def tell(self, index: int, value: float, variance: float = float("nan")) -> None:
        """Learn from one measurement; see `Learner.tell`."""
        score, view = None, self._shown
        if view is not self._view:
            row = checked(index, value, variance, self.features.n_candidates)
            score = view.score(row[0], float(self._model.scale.standardise(np.array(row[1]))))
        before = len(self._scores)
        super().tell(index, value, variance)
        self._reported.append(self._scores[before] if score is None else score)

    def begin_rebuild(self, observations: Sequence[Observation]) -> None:
        """Replace all measurements; see `Learner.begin_rebuild`."""
        before = self._data.rows()
        checked_rows = [checked(*row, self.features.n_candidates) for row in observations]
        self._reported = carry_over(before, self._reported, checked_rows)
        super().begin_rebuild(observations)

    # Snapshots

    def _informed_state(self) -> dict[str, Any]:
        """Return what a snapshot needs beside the plain model; nothing where theory never played a part."""
        n = len(self._scores)
        is_alone = self._theory is None and all(a is b for a, b in zip(self._reported, self._scores, strict=True))
        if is_alone:
            return {}
        results = self._theory.results if self._theory is not None else ()
        return {
            "evidence": [[r.candidate, r.value, r.engine] for r in results],
            "reported": [[s.z, s.pit, s.mean] for s in self._reported[:n]],
        }

    def _restore_informed(self, state: Mapping[str, Any]) -> None:
        rows = state.get("reported")
        self._reported = (
            list(self._scores)
            if rows is None
            else [Score(z=_number(z), pit=_number(p), mean=_number(m)) for z, p, m in rows]
        )
        self._set_model(self._model)
        self.inform([Result(int(c), float(v), str(e)) for c, v, e in state.get("evidence", ())])


def _number(value: Any) -> float:
    return NO_SCORE.z if value is None else float(value)
