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


class Informed(Learner):
    """What a committee knows, from measurements and from simulations."""

    _theory: Theory | None = None
    _columns: Columns | None = None
    _seen: tuple[View, Theory | None, View, Verdict] | None = None
    """The plain view and the theory that the answers rest on, the view that answers, and what theory has earned."""
    _reported: list[Score]
    """Scores of what was reported: those of the informed members while theory had a say."""

    def _set_model(self, model: Model) -> None:
        if not hasattr(self, "_reported"):
            self._reported = []
        self._model = model
        self._view = View(model, self._scores, self._reported)

    # Evidence

    def inform(self, results: Sequence[Result]) -> None:
        """Replace all evidence.

        Args:
            results: What is applied, in the order in which it was; none: the plain model answers, exactly as it did.

        Raises:
            InvalidInput: As `Theory`; nothing has then changed.
        """
        if self._theory is None or tuple(results) != self._theory.results:
            found = Theory(self.features.arrays, results, self._theory) if results else None
            is_news = found is None or self._theory is None or found.emulators != self._theory.emulators
            if not is_news and found is not None and self._columns is not None:
                # Nothing is said that was not said before: what was worked out of it stays.
                self._columns.theory = found
            self._theory = found

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
        if not isinstance(view, InformedView):
            return np.zeros(len(self._theory.engines) if self._theory is not None else 0)
        weights = self._view.assessment.weights
        return np.asarray(weights @ np.array([gp.slope for gp in view.model.informed]))

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
        for j, engine in enumerate(theory.engines):
            emulator = theory.emulator(engine)
            one: dict[str, Any] = {"engine": engine, "noise_sd": emulator.sd * float(np.sqrt(emulator.noise))}
            if isinstance(view, InformedView):
                # Before it is heard the slope interests nobody, and would cost every answer some milliseconds.
                one |= slope_of(view.model, self._view.assessment.weights, j)
            told["engines"].append(one)
        return told

    @property
    def _shown(self) -> View:
        """What answers: the plain view unless theory has a say."""
        return self._look()[0]

    def _look(self) -> tuple[View, Verdict]:
        plain, theory, seen = self._view, self._theory, self._seen
        if seen is not None and seen[0] is plain and seen[1] is theory:
            return seen[2:]
        view, verdict = plain, UNHEARD
        if theory is not None and theory.engines and not self._model.scale.is_constant:
            columns = self._at_field()
            verdict = verdict_on(plain, self._model, columns)
            if verdict.weight > 0.0:
                view = InformedView(plain, self._model, self._reported, columns, verdict)
        self._seen = plain, theory, view, verdict
        return view, verdict

    def _at_field(self) -> Columns:
        assert self._theory is not None
        known = self._columns
        if known is None or known.theory is not self._theory or known.over is not self._model.field:
            known = self._columns = Columns(self._theory, self._model.field)
        return known

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
