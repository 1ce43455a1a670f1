"""The heavy fit: the bend of the axis, doubts and the hyperparameters of every member, in the fit pool.

The only module that the pool calls; it and `members` are the only places that import torch. What goes in and comes out
is JSON values and arrays in nested dicts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.doubts import Doubts, suspicious
from probescout.surrogates.members.catalogue import CONV, DEEP, SHALLOW
from probescout.surrogates.members.deep import N_EMBEDDING, fit_deep
from probescout.surrogates.members.definition import Hyperparameters, Member, defaults, read_hyperparameters
from probescout.surrogates.members.encoder import N_CONV_EMBEDDING
from probescout.surrogates.trial import Task, Trial, attempt
from probescout.surrogates.warp import STRAIGHT, Warp

FloatArray = NDArray[np.float64]

WIDTHS = (1.0, 0.4)
"""Bends to try, in SD of the values."""
LEAST_N_WARP = 15
"""Below this number of measurements the axis stays straight."""
LEAST_DISTINCT = 0.8
"""Share of distinct values below which the axis stays straight: a bend that spreads ties wins without end."""
RIVAL_EVALUATIONS = 6
"""Per member on another axis than the present one, starting where that one ended."""
WARP_MARGIN = 3.0
"""Nats of leave-one-out evidence by which another bend must beat the present one, so that it does not flap."""
MOST_ROUNDS = 3
"""Of doubting and fitting again."""


def fit(request: Mapping[str, Any]) -> dict[str, Any]:
    """Fit all members; the same request gives the same result.

    Args:
        request: As `Committee.fit_request` returns: "members" (names of the shallow ones), "observed" (feature ->
            (n, dim)), "index" (n,), "values" (n,) and "variances" (n,) in target units, "doubts" and "warp" so far,
            "warm" (hyperparameters by member, may be empty), "seed", "n_observed", and for a deep member "candidates"
            (feature -> (candidate, dim)) or the "picture" (as `members.convolutional.learn_conv` takes it). With "kept"
            (a result) only the network of the picture is pretrained further.

    Returns:
        "members" (hyperparameters by name), "arrays" (embedding and weights of a deep member), "scale", "doubts",
        "n_observed" as in the request, "objective" (log posterior per measurement by member), "seconds".

    Raises:
        InvalidInput: FIELD_INVALID when a member, the warp or the doubts are unreadable; SHAPE_MISMATCH or NON_FINITE
            when arrays do not fit together.
    """
    started = time.perf_counter()
    task, start = _read(request)
    if "kept" in request:
        from probescout.surrogates.members.convolutional import further

        return {
            **request["kept"],
            "arrays": further(request["picture"]),
            "objective": {},
            "seconds": time.perf_counter() - started,
        }
    doubts, present = _read_past(request)
    is_doubted = (doubts.of(task.index, task.values) > 0.0) | suspicious(task.values)
    found = _best_bend(task, present, is_doubted, start)
    for _ in range(MOST_ROUNDS):
        if np.array_equal(found.is_doubted, found.extra > 0.0):
            break
        found = attempt(task, found.scale.warp, found.is_doubted, found.hyper)
    hyper, arrays = dict(found.hyper), {}
    if "candidates" in request:
        hyper[DEEP.name], arrays[DEEP.name] = _deepen(task, found, request["candidates"], int(request["seed"]))
    if "picture" in request:
        conv, arrays = _convolve(task, found, request["picture"], _read_before(CONV, request, task))
        hyper |= {CONV.name: conv} if conv is not None else {}
    seen = zip(task.index.tolist(), task.values.tolist(), strict=True)
    # Of many measurements a fit looks at some; the others stay doubted, or not, as they were.
    judged = dict(zip(seen, found.extra.tolist(), strict=True))
    doubted = {key: noise for key, noise in {**doubts.extra, **judged}.items() if noise > 0.0}
    return {
        "members": {name: h.to_json() for name, h in hyper.items()},
        "arrays": arrays,
        "scale": found.scale.to_json(),
        "doubts": Doubts(doubted).to_json(),
        "n_observed": int(request["n_observed"]),
        "objective": found.objective,
        "seconds": time.perf_counter() - started,
    }


def _best_bend(task: Task, present: Warp, is_doubted: NDArray[np.bool_], start: Mapping[str, Hyperparameters]) -> Trial:
    """Return the members on the axis that suits the values best.

    Args:
        task: What to fit.
        present: The bend so far.
        is_doubted: (n,) which measurements to fit without.
        start: Where to start, by member.
    """
    trusted = task.values[~is_doubted]
    if len(trusted) < LEAST_N_WARP or len(np.unique(trusted)) < LEAST_DISTINCT * len(trusted):
        return attempt(task, STRAIGHT, is_doubted, start)
    best = attempt(task, present, is_doubted, start)
    centre, sd = float(np.median(trusted)), float(trusted.std())
    others = [Warp(centre, width * sd) for width in WIDTHS] + ([] if present.is_straight else [STRAIGHT])
    rivals = [attempt(task, warp, is_doubted, best.hyper, RIVAL_EVALUATIONS) for warp in others]
    rival = max(rivals, key=lambda r: r.evidence)
    if rival.evidence <= best.evidence + WARP_MARGIN:
        return best
    return attempt(task, rival.scale.warp, is_doubted, rival.hyper)


def _deepen(
    task: Task, found: Trial, candidates: Mapping[str, NDArray[np.floating]], seed: int
) -> tuple[Hyperparameters, NDArray[np.float32]]:
    """Return hyperparameters of the deep member and its embedding (candidate, dim)."""
    start = _deep_start(DEEP, N_EMBEDDING, found.hyper, task.dims)
    log_stated = start.log_stated if start else 0.0
    noise = np.exp(log_stated) * found.stated + found.extra
    hyper, embedding = fit_deep(task.observed, candidates, found.y, noise, start, seed)
    return replace(hyper, log_stated=log_stated), embedding


def _convolve(
    task: Task, found: Trial, picture: Mapping[str, Any], before: Hyperparameters | None
) -> tuple[Hyperparameters | None, dict[str, NDArray[np.float32]]]:
    """Return hyperparameters of the convolutional member, None while its network is pretrained, and its arrays."""
    start = before or _deep_start(CONV, N_CONV_EMBEDDING, found.hyper, task.dims)
    base = found.hyper.get("bank_xy")
    log_stated = base.log_stated if base else 0.0
    noise = np.exp(log_stated) * found.stated + found.extra
    # Imported only here: gpytorch takes seconds and memory that fits without an image network do not need.
    from probescout.surrogates.members.convolutional import learn_conv

    hyper, arrays = learn_conv(picture, task.observed, task.index, found.y, noise, start)
    return replace(hyper, log_stated=log_stated) if hyper else None, arrays


def _deep_start(
    member: Member, n_dims: int, found: Mapping[str, Hyperparameters], dims: Mapping[str, int]
) -> Hyperparameters | None:
    """Start the fixed terms of a deep member where the additive shallow member ended."""
    base = found.get("bank_xy")
    if base is None:
        return None
    prior = defaults(member, {**dims, member.name: n_dims})
    return Hyperparameters(
        (prior.log_lengthscale[0], *base.log_lengthscale),
        (prior.log_amplitude[0], *base.log_amplitude),
        base.log_noise,
        base.log_stated,
    )


def _read(request: Mapping[str, Any]) -> tuple[Task, dict[str, Hyperparameters]]:
    known = {member.name: member for member in SHALLOW}
    for name in request["members"]:
        if name not in known:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"no member is named '{name}'; there are {', '.join(known)}", field="members"
            )
    observed = {name: np.asarray(array) for name, array in request["observed"].items()}
    index = np.asarray(request["index"], dtype=np.intp)
    values, variances = (np.asarray(request[k], dtype=np.float64) for k in ("values", "variances"))
    lengths = {"index": index.shape, "values": values.shape, "variances": variances.shape}
    lengths |= {f: a.shape[:1] for f, a in observed.items()}
    if values.ndim != 1 or len(values) == 0 or len(set(lengths.values())) != 1:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH, f"a fit needs one row per measurement everywhere, got {lengths}", field="observed"
        )
    if not all(np.isfinite(a).all() for a in (values, variances[~np.isnan(variances)], *observed.values())):
        raise InvalidInput(Reason.NON_FINITE, "a fit needs finite features, values and noises", field="observed")
    members = tuple(known[name] for name in request["members"])
    dims = {name: array.shape[1] for name, array in observed.items()}
    warm: Mapping[str, Any] = request.get("warm", {})
    start = {m.name: read_hyperparameters(m, dims, warm[m.name]) for m in members if m.name in warm}
    return Task(members, observed, index, values, variances), start


def _read_before(member: Member, request: Mapping[str, Any], task: Task) -> Hyperparameters | None:
    """Return where a deep member ended at the fit before.

    Raises:
        InvalidInput: When that is unreadable.
    """
    warm = request.get("warm", {})
    if member.name not in warm:
        return None
    return read_hyperparameters(member, {**task.dims, member.name: N_CONV_EMBEDDING}, warm[member.name])


def _read_past(request: Mapping[str, Any]) -> tuple[Doubts, Warp]:
    try:
        return Doubts.from_json(request.get("doubts", ())), Warp.from_json(request.get("warp", STRAIGHT.to_json()))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"the doubts or the warp of a fit are unreadable: {error!r}", field="warp"
        ) from error
