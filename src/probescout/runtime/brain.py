"""What a campaign worker does: scalarize, learn, score candidates. Synchronous, without I/O; one per campaign.

The same class runs inside a worker process (`worker`) and inside a notebook (`InlineSeat`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.candidates import CandidateSet
from probescout.core.errors import InvalidInput, Reason, WrongState
from probescout.core.jsonable import from_json
from probescout.core.ports import Planner, Scalarizer
from probescout.core.regions import allowed
from probescout.core.specs import GIVEN, CampaignSpec, CandidateKind
from probescout.runtime.picking import best_of, scored, spares_of, within
from probescout.runtime.plugins import build, describe
from probescout.runtime.scalarizing import scalarize
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import Features, compute_features, features_of_patches

Message = Mapping[str, Any]
_log = logging.getLogger(__name__)


class Brain:
    """The model, scalarizer and policy of one campaign, asked by messages.

    Example:
        >>> brain = Brain()
        >>> brain.handle({"op": "validate", "scalarizer": {"name": "given"}, "policy": {"name": "random"}})
        {'n_dims': 0, 'axis_unit': ''}
    """

    def __init__(self) -> None:
        """Start without a campaign."""
        self._spec: CampaignSpec | None = None
        self._scalarizer: Scalarizer | None = None
        self._policy: Planner | None = None
        self._features: Features | None = None
        self._committee: Committee | None = None
        self._positions: NDArray[np.float64] = np.zeros((0, 2))
        self._allowed: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._set: CandidateSet | None = None
        self._mask: NDArray[np.bool_] | None = None
        self._values: set[float] = set()
        self._taught: list[list[float]] = []
        """Rows (candidate, value, variance) that the model has learnt, in order."""
        self._fresh: dict[str, list[float]] = {}
        """Rows learnt since the last rebuilding, by observation."""
        self._ops: dict[str, Callable[[Message], dict[str, Any]]] = {
            "validate": self._validate,
            "plugins": lambda _: {"plugins": describe()},
            "configure": self._configure,
            "load": self._load,
            "score": self._score,
            "suggest": self._suggest,
            "step": self._step,
            "relearn": self._relearn,
            "explain": self._explain,
            "maps": self._maps,
            "fit_request": lambda _: dict(self._model.fit_request()),
            "swap": self._swap,
            "state": lambda _: {"state": self._model.state(), "taught": self._taught},
        }

    def handle(self, message: Message) -> dict[str, Any]:
        """Return the reply to a message.

        Raises:
            ProbescoutError: The request cannot be carried out; the message says why.
        """
        return self._ops[message["op"]](message)

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

    def _validate(self, message: Message) -> dict[str, Any]:
        scalarizer = build_scalarizer(message["scalarizer"])
        build("probescout.planners", message["policy"], field="spec.policy")
        if scalarizer is None:
            return {"n_dims": 0, "axis_unit": ""}
        return {"n_dims": scalarizer.n_dims, "axis_unit": scalarizer.axis_unit or ""}

    def _configure(self, message: Message) -> dict[str, Any]:
        spec = from_json(CampaignSpec, message["spec"])
        is_other_model = self._spec is not None and _model_parts(spec) != _model_parts(self._spec)
        self._scalarizer = build_scalarizer({"name": spec.scalarizer.name, "params": spec.scalarizer.params})
        self._policy = build(
            "probescout.planners", {"name": spec.policy.name, "params": spec.policy.params}, field="spec.policy"
        )
        self._spec = spec
        if self._set is not None:
            self._allowed = allowed(spec.limits, self._mask, self._positions)
        if is_other_model and self._features is not None:
            self._committee = self._new_committee(self._features)
            self._rebuild(self._taught)
        return {}

    def _load(self, message: Message) -> dict[str, Any]:
        self._configure(message)
        assert self._spec is not None
        self._mask = message.get("mask")
        if self._spec.candidates.kind is CandidateKind.PIXELS:
            image = np.asarray(message["image"])
            height, width = image.shape[-2:]
            self._set = CandidateSet.pixels(height, width, self._spec.candidates.stride)
            self._features = compute_features(image, stride=self._spec.candidates.stride)
        else:
            positions = np.asarray(message["positions"], dtype=np.float64)
            self._set = CandidateSet.of_positions(positions)
            self._features = features_of_patches(np.asarray(message["patches"]), positions)
        self._positions = self._set.positions()
        self._allowed = allowed(self._spec.limits, self._mask, self._positions)
        self._values, self._fresh = set(), {}
        rows = [[float(v) for v in row] for row in message["taught"]]
        snapshot = message.get("snapshot")
        if snapshot is not None and _is_of(snapshot, rows):
            known = len(snapshot["taught"])
            self._committee = Committee.restore(self._features, snapshot["state"])
            self._signed(rows[:known])
            self._taught = rows[:known]
            self._learn(rows[known:])
        else:
            self._committee = self._new_committee(self._features)
            self._rebuild(rows)
            if message.get("hyperparameters"):
                self._committee.apply_hyperparameters(message["hyperparameters"])
        return self._news()

    def _new_committee(self, features: Features) -> Committee:
        assert self._spec is not None
        return Committee(features, seed=self._spec.seed, use_deep=not self._spec.is_deep_member_disabled)

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
        assert self._spec is not None
        score = {**scalarize(self._spec.scalarizer.name, self._scalarizer, message), "era": message["era"]}
        if not score["error"] and message.get("learn", True) and message["candidate"] >= 0:
            row = [message["candidate"], score["value"], score["variance"]]
            try:
                self._learn([row])
                self._fresh[message["observation"]] = row
            except InvalidInput as error:
                score = {**score, "error": f"the model refused the value: {error.message}"}
        return {"score": score, **self._news()}

    def _relearn(self, message: Message) -> dict[str, Any]:
        # Scores on their way into the journal are learnt already and must not be forgotten with the old targets.
        self._fresh = {name: self._fresh[name] for name in message["keep"] if name in self._fresh}
        self._rebuild([*message["taught"], *self._fresh.values()])
        return self._news()

    # ------------------------------------------------------------ planning

    def _step(self, message: Message) -> dict[str, Any]:
        return {**self._score(message), **self._suggest(message)}

    def _suggest(self, message: Message) -> dict[str, Any]:
        nothing = {"picks": [], "spares": [], "is_cold": self._is_cold, "refusal": ""}
        try:
            return {**nothing, **self._pick(message), **self._news()}
        except InvalidInput as error:
            # A broken policy must not take the score of the same step with it.
            return {**nothing, "refusal": f"{error.reason}: {error.message}", **self._news()}
        except Exception as error:
            # Nor must numbers that the model cannot handle.
            _log.exception("the model could not plan")
            return {**nothing, "refusal": f"the model could not plan: {error!r}", **self._news()}

    def _pick(self, message: Message) -> dict[str, Any]:
        assert self._spec is not None and self._policy is not None
        free = self._allowed.copy()
        free[np.asarray(message["blocked"], dtype=np.intp)] = False
        pending = [int(c) for c in message["pending"]]
        near = message.get("near")
        reachable = free if near is None else free & within(self._positions, *near)
        if not reachable.any() or (self._policy.needs_model and self._is_cold):
            return {}
        picks: list[dict[str, Any]] = []
        scores = np.zeros(0)
        for i in range(int(message["count"])):
            rng = np.random.default_rng([self._spec.seed, 2, int(message["ordinal"]) + i])
            belief = self._model.belief(reachable, pending)
            scores = scored(self._policy, belief, reachable, rng)
            index = best_of(scores, rng)
            picks.append(self._described(index, float(scores[index])))
            pending.append(index)
            free[index] = False
            # One client's steps are chained: the next point must be within reach of this one.
            y, x = self._positions[index]
            reachable = free if near is None else free & within(self._positions, float(y), float(x), near[2])
            if not reachable.any():
                break
        spares = [self._described(j, float(scores[j])) for j in spares_of(scores, free, self._positions)]
        return {"picks": picks, "spares": spares, "is_cold": False}

    def _described(self, index: int, acquisition: float) -> dict[str, Any]:
        if self._is_cold:
            nan = float("nan")
            return {"candidate": index, "mean": nan, "std": nan, "predictive_std": nan, "acquisition": acquisition}
        mean, std, predictive_std = self._model.predict(index)
        return {
            "candidate": index,
            "mean": self._sign * mean,
            "std": std,
            "predictive_std": predictive_std,
            "acquisition": acquisition,
        }

    # ------------------------------------------------------------ looking inside

    def _explain(self, message: Message) -> dict[str, Any]:
        told = dict(self._model.explain(int(message["candidate"])))
        told["mean"] *= self._sign
        told["members"] = [{**m, "mean": self._sign * m["mean"]} for m in told["members"]]
        return {"explain": told}

    def _maps(self, message: Message) -> dict[str, Any]:
        posterior = self._model.posterior()
        maps = {
            "mean": self._sign * posterior.mean,
            "std": posterior.std,
            "predictive_std": posterior.predictive_std,
        }
        free = self._allowed.copy()
        free[np.asarray(message["blocked"], dtype=np.intp)] = False
        if free.any() and self._policy is not None and not (self._policy.needs_model and self._is_cold):
            assert self._spec is not None
            rng = np.random.default_rng([self._spec.seed, 2, int(message["ordinal"])])
            belief = self._model.belief(free, [int(c) for c in message["pending"]])
            maps["acquisition"] = scored(self._policy, belief, free, rng)
        shape = self._set.shape if self._set is not None else None
        named = {
            k: np.where(np.isfinite(v), v, np.nan).astype(np.float32).reshape(shape or (-1,)) for k, v in maps.items()
        }
        return {"maps": named, "weights": self._model.weights(), "is_cold": self._is_cold}

    def _swap(self, message: Message) -> dict[str, Any]:
        self._model.swap(message["result"])
        return {"hyperparameters": self._model.hyperparameters(), **self._news()}

    def _news(self) -> dict[str, Any]:
        if self._committee is None:
            return {}
        c = self._committee.calibration()
        return {
            "needs_fit": self._committee.needs_fit(),
            "n_observed": self._committee.n_observed,
            "calibration": {
                "n": c.n,
                "coverage95": c.coverage95,
                "mean_z2": c.mean_z2,
                "is_alarmed": c.is_alarmed,
            },
        }


def build_scalarizer(spec: Mapping[str, Any]) -> Scalarizer | None:
    """Return the scalarizer of a spec; None for ready values."""
    if spec["name"] == GIVEN:
        return None
    scalarizer: Scalarizer = build("probescout.scalarizers", spec, field="spec.scalarizer")
    return scalarizer


def _model_parts(spec: CampaignSpec) -> tuple[bool, bool]:
    """Return what of a spec a committee is built for; when it changes, another one learns the same targets."""
    return spec.is_minimizing, spec.is_deep_member_disabled


def _is_of(snapshot: Mapping[str, Any], rows: Sequence[Sequence[float]]) -> bool:
    """Return whether a snapshot has learnt exactly the first of these rows of (candidate, value, variance)."""
    taught = snapshot["taught"]
    if len(taught) > len(rows) or snapshot["state"]["n_observed"] != len(taught):
        return False
    known = np.asarray(rows[: len(taught)], float).reshape(-1, 3)
    # Unknown variances are NaN.
    return np.array_equal(known, np.asarray(taught, float).reshape(-1, 3), equal_nan=True)
