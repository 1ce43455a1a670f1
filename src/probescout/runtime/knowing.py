"""What a campaign worker knows and how it comes to know it: declarations, measurements, evidence, fits."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from probescout.core.calibration import Calibration
from probescout.core.errors import InvalidInput, Reason, WrongState
from probescout.core.jsonable import from_json
from probescout.core.ports import Planner, Scalarizer
from probescout.core.specs import CampaignSpec
from probescout.runtime.further import Further, is_of, restore, take_fitted
from probescout.runtime.ground import Ground
from probescout.runtime.inspecting import theory_told
from probescout.runtime.plugins import build
from probescout.runtime.scalarizing import scalarize
from probescout.runtime.validating import build_scalarizer
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import Features
from probescout.surrogates.prior.theory import Result

Message = Mapping[str, Any]
_log = logging.getLogger(__name__)


class Knowing:
    """The models of one campaign with their data, told by messages; answers are the part of `Brain`."""

    def __init__(self) -> None:
        """Start without a campaign."""
        self._spec: CampaignSpec | None = None
        self._scalarizer: Scalarizer | None = None
        self._policy: Planner | None = None
        self._ground: Ground | None = None
        self._committee: Committee | None = None
        self._values: set[float] = set()
        self._taught: list[list[float]] = []
        """Rows (candidate, value, variance) that the model has learnt, in order."""
        self._fresh: dict[str, list[float]] = {}
        """Rows learnt since the last rebuilding, by observation."""
        self._further = Further(())
        self._evidence: tuple[Result, ...] = ()

    @property
    def _model(self) -> Committee:
        if self._committee is None:
            raise WrongState(Reason.NO_FRAME, "the model has no frame yet; call AddFrame first")
        return self._committee

    @property
    def _is_cold(self) -> bool:
        """Whether no two different values were seen: then every model is a guess, and space is filled instead."""
        return len(self._values) < 2

    @property
    def _sign(self) -> float:
        return -1.0 if self._spec is not None and self._spec.is_minimizing else 1.0

    # ------------------------------------------------------------ set-up

    def _configure(self, message: Message) -> dict[str, Any]:
        spec = from_json(CampaignSpec, message["spec"])
        before = self._spec
        is_other_model = before is not None and _model_parts(spec) != _model_parts(before)
        # The sign of the first target is none of the others'; their models go on with what was fitted to them.
        is_other_kind = before is not None and _model_parts(spec)[1:] != _model_parts(before)[1:]
        self._scalarizer = build_scalarizer({"name": spec.scalarizer.name, "params": spec.scalarizer.params})
        self._policy = build(
            "probescout.planners", {"name": spec.policy.name, "params": spec.policy.params}, field="spec.policy"
        )
        if self._spec is None:
            # They are fixed for the life of a campaign.
            self._further = Further(spec.objectives)
        self._spec = spec
        if self._ground is None or self._committee is None:
            return self._news()
        self._ground = self._ground.within(spec)
        if is_other_model:
            self._committee = self._new_committee(self._ground.features)
            self._committee.inform(self._evidence)
            self._rebuild(self._taught)
        else:
            self._committee.allow(self._ground.allowed)
        if is_other_kind:
            self._further.renew(self._ground.features, self._new_committee)
        else:
            self._further.allow(self._ground.allowed)
        return self._news()

    def _load(self, message: Message) -> dict[str, Any]:
        self._configure(message)
        assert self._spec is not None
        self._ground = Ground.of(message, self._spec)
        self._values, self._fresh = set(), {}
        snapshot = message.get("snapshot")
        self._restore([[float(v) for v in row] for row in message["taught"]], snapshot, message)
        self._evidence = ()
        try:
            self._inform(message)
            # Whoever loads waits already: the next answer is that of before the restart.
            while self._model.is_building:
                self._model.advance()
        except InvalidInput as error:
            # A campaign must open whatever a simulation has said.
            _log.warning("the evidence of the journal is left out: %s", error)
            self._model.inform(())
        self._further.load(
            self._ground.features,
            self._new_committee,
            message.get("further_taught", ()),
            message.get("further_hyperparameters", {}),
            (snapshot or {}).get("further"),
        )
        return self._news()

    def _restore(self, rows: list[list[float]], snapshot: Mapping[str, Any] | None, message: Message) -> None:
        """Have the model know these rows (candidate, value, variance): as the snapshot has it, or built anew."""
        assert self._ground is not None
        restored = None
        if snapshot is not None and is_of(snapshot, rows):
            restored = restore(self._ground.features, snapshot["state"], self._ground.allowed)
        if restored is not None:
            assert snapshot is not None
            known = len(snapshot["taught"])
            self._committee = restored
            self._signed(rows[:known])
            self._taught = rows[:known]
            self._learn(rows[known:])
        else:
            self._committee = self._new_committee(self._ground.features)
            self._rebuild(rows)
            if message.get("hyperparameters"):
                take_fitted(self._committee, message["hyperparameters"])

    def _new_committee(self, features: Features) -> Committee:
        assert self._spec is not None and self._ground is not None
        spec, free = self._spec, self._ground.allowed
        use_deep = not spec.is_deep_member_disabled
        return Committee(features, seed=spec.seed, use_deep=use_deep, members=spec.members, allowed=free)

    # ------------------------------------------------------------ data

    def _signed(self, taught: Sequence[Sequence[float]]) -> list[tuple[int, float, float]]:
        rows = [(int(i), self._sign * float(v), float(var)) for i, v, var in taught]
        for _, value, _ in rows:
            if self._is_cold:
                self._values.add(value)
        return rows

    def _learn(self, taught: Sequence[Sequence[float]]) -> None:
        for index, value, variance in self._signed(taught):
            self._model.tell(index, value, variance)
        self._taught += [list(row) for row in taught]

    def _rebuild(self, taught: Sequence[Sequence[float]]) -> None:
        self._values = set()
        self._model.rebuild(self._signed(taught))
        self._taught = [list(row) for row in taught]

    def _score(self, message: Message) -> dict[str, Any]:
        return {"score": self._scored(message), **self._news()}

    def _scored(self, message: Message) -> dict[str, Any]:
        """Return the score of an observation, which the models have learnt unless it says why not."""
        assert self._spec is not None
        score = {**scalarize(self._spec.scalarizer.name, self._scalarizer, message), "era": message["era"]}
        further = score["further"] = self._further.score(message)
        if message.get("learn", True) and message["candidate"] >= 0:
            self._further.learn(message["observation"], int(message["candidate"]), further)
        if not score["error"] and message.get("learn", True) and message["candidate"] >= 0:
            row = [message["candidate"], score["value"], score["variance"]]
            try:
                self._learn([row])
                self._fresh[message["observation"]] = row
            except InvalidInput as error:
                score = {**score, "error": f"the model refused the value: {error.message}"}
        return score

    def _inform(self, message: Message) -> dict[str, Any]:
        """Take over all evidence about the first target: rows (candidate, value, engine) in the order applied."""
        evidence = tuple(Result(int(c), float(v), str(e)) for c, v, e in message.get("evidence", ()))
        self._model.begin_inform(evidence)
        # Only what the model has taken may be given to the next one.
        self._evidence = evidence
        return self._news()

    def _relearn(self, message: Message) -> dict[str, Any]:
        # Scores on their way into the journal are learnt already and must not be forgotten with the old targets.
        self._fresh = {name: self._fresh[name] for name in message["keep"] if name in self._fresh}
        rows = [*message["taught"], *self._fresh.values()]
        self._values = set()
        self._model.begin_rebuild(self._signed(rows))
        self._taught = [list(row) for row in rows]
        self._further.relearn(message.get("further_taught", ()), message["keep"])
        return self._news()

    # ------------------------------------------------------------ fits and versions

    def _of(self, objective: int) -> Committee:
        return self._further.committee(objective) if objective else self._model

    def _fit_request(self, message: Message) -> dict[str, Any]:
        """Return the request of the model that wants a fit, the first target's before the others'."""
        objective = 0 if self._model.needs_fit() else self._further.due or 0
        return {**self._of(objective).fit_request(), "objective": objective}

    def _swap(self, message: Message) -> dict[str, Any]:
        model = self._of(int(message.get("objective", 0)))
        model.begin_swap(message["result"])
        return self._news()

    def _advance(self, message: Message) -> dict[str, Any]:
        """Bring on the next version of one of the models a little."""
        building = self._building
        if building is not None:
            building.advance()
        return {"is_done": self._building is None, **self._news()}

    @property
    def _building(self) -> Committee | None:
        return (
            self._committee if self._committee is not None and self._committee.is_building else self._further.building
        )

    def _fitted(self, message: Message) -> dict[str, Any]:
        return {"hyperparameters": self._of(int(message.get("objective", 0))).hyperparameters(), **self._news()}

    def _state(self, message: Message) -> dict[str, Any]:
        return {"state": self._model.state(), "taught": self._taught, "further": self._further.state()}

    def _news(self) -> dict[str, Any]:
        if self._committee is None:
            return {}
        told = self._committee.calibration()
        return {
            "needs_fit": self._committee.needs_fit() or self._further.due is not None,
            "n_observed": self._committee.n_observed,
            "is_building": self._building is not None,
            "is_outdated": self._committee.is_outdated,
            "calibration": {f.name: getattr(told, f.name) for f in fields(Calibration)},
            "theory": theory_told(self._committee, self._sign) if self._evidence else None,
        }


def _model_parts(spec: CampaignSpec) -> tuple[Any, ...]:
    """Return what of a spec a committee is built for; when it changes, another one learns the same targets.

    All but the first holds for the committees of further objectives too.
    """
    return spec.is_minimizing, spec.is_deep_member_disabled, spec.members
