"""The heavy fit: maximum a posteriori hyperparameters of every member, in the fit pool.

The only module that the pool calls, and with `members.gp` and `members.deep` the only place that imports torch. What
goes in and comes out is JSON values and arrays in nested dicts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import gpytorch
import numpy as np
import torch
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.errors import NanError, NotPSDError
from numpy.typing import NDArray
from scipy.optimize import minimize

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.members.catalogue import DEEP, EMBEDDING, SHALLOW
from probescout.surrogates.members.deep import N_EMBEDDING, fit_deep
from probescout.surrogates.members.definition import Hyperparameters, Member, defaults, read_hyperparameters
from probescout.surrogates.members.gp import MemberGP, boxes, build_gp

FloatArray = NDArray[np.float64]

FIRST_EVALUATIONS = 60
WARM_EVALUATIONS = 15
DIRECT_UP_TO = 100_000
"""Measurements up to which matrices are factorised directly: iterative solvers are not deterministic enough here."""
BAD_POINT = 1e10
"""Returned to the line search where the kernel matrix cannot be factorised: it then steps back."""


def fit(request: Mapping[str, Any]) -> dict[str, Any]:
    """Fit all members; the same request gives the same result.

    Args:
        request: As `Committee.fit_request` returns: "members" (names of the shallow ones), "observed" (feature ->
            (n, dim)), "y" (n,), "stated_noise" (n,), "warm" (hyperparameters by member, may be empty), "seed", "scale",
            "n_observed", and for the deep member "candidates" (feature -> (candidate, dim)).

    Returns:
        "members" (hyperparameters by name), "arrays" (the embedding, when a deep member was fitted), "scale" and
        "n_observed" as in the request, "objective" (log posterior per measurement by member), "seconds".

    Raises:
        InvalidInput: FIELD_INVALID when a member is unknown; SHAPE_MISMATCH or NON_FINITE when arrays do not fit
            together.
    """
    started = time.perf_counter()
    observed, y, noise = _read(request)
    dims = {name: array.shape[1] for name, array in observed.items()}
    known = {member.name: member for member in SHALLOW}
    warm: Mapping[str, Any] = request.get("warm", {})
    found: dict[str, Hyperparameters] = {}
    objectives: dict[str, float] = {}
    arrays: dict[str, Any] = {}
    # Only full Cholesky factors: the result must not depend on a random probe vector.
    with gpytorch.settings.max_cholesky_size(DIRECT_UP_TO), gpytorch.settings.fast_computations(False, False, False):
        for name in request["members"]:
            if name not in known:
                raise InvalidInput(
                    Reason.FIELD_INVALID, f"no member is named '{name}'; there are {', '.join(known)}", field="members"
                )
            member = known[name]
            start = read_hyperparameters(member, dims, warm[name]) if name in warm else None
            found[name], objectives[name] = fit_member(member, observed, y, noise, start)
        if "candidates" in request:
            start = _deep_start(found, dims)
            candidates = request["candidates"]
            found[DEEP.name], arrays[EMBEDDING] = fit_deep(observed, candidates, y, noise, start, int(request["seed"]))
    return {
        "members": {name: hyper.to_json() for name, hyper in found.items()},
        "arrays": arrays,
        "scale": dict(request["scale"]),
        "n_observed": int(request["n_observed"]),
        "objective": objectives,
        "seconds": time.perf_counter() - started,
    }


def fit_member(
    member: Member,
    observed: Mapping[str, NDArray[np.floating]],
    y: FloatArray,
    stated_noise: FloatArray,
    start: Hyperparameters | None,
) -> tuple[Hyperparameters, float]:
    """Return the maximum a posteriori hyperparameters of one member and the log posterior per measurement.

    L-BFGS in a box of four prior SD: 60 evaluations from the prior modes, 15 from a start.

    Args:
        member: The member.
        observed: Feature -> (measurement, dim).
        y: (measurement,) standardised.
        stated_noise: (measurement,) variances.
        start: Where to start; None: the prior modes.
    """
    dims = {name: array.shape[1] for name, array in observed.items()}
    model = build_gp(member, observed, y, stated_noise)
    model.write(start or defaults(member, dims))
    model.train()
    objective = ExactMarginalLogLikelihood(model.likelihood, model)
    parameters = model.log_parameters()

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        _write_flat(parameters, theta)
        model.zero_grad()
        try:
            value = -map_objective(objective, model)
            torch.autograd.backward(value)
        except (NotPSDError, NanError):
            return BAD_POINT, np.zeros_like(theta)
        gradient = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).numpy()
        if not (np.isfinite(gradient).all() and bool(torch.isfinite(value))):
            return BAD_POINT, np.zeros_like(theta)
        return float(value.detach()), gradient.astype(np.float64)

    first = torch.cat([p.detach().flatten() for p in parameters]).numpy().copy()
    result = minimize(
        loss,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=list(boxes(member, [dims[f] for f in member.features])),
        options={"maxfun": WARM_EVALUATIONS if start else FIRST_EVALUATIONS},
    )
    _write_flat(parameters, result.x)
    return model.read(), -float(result.fun)


def map_objective(objective: ExactMarginalLogLikelihood, model: MemberGP) -> torch.Tensor:
    """Return the log posterior per measurement: gpytorch's marginal likelihood, which adds the registered priors."""
    value: torch.Tensor = objective(model(*model.train_inputs), model.train_targets)
    return value


def _write_flat(parameters: list[torch.nn.Parameter], theta: FloatArray) -> None:
    flat, start = torch.as_tensor(theta), 0
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(flat[start : start + parameter.numel()].reshape(parameter.shape))
            start += parameter.numel()


def _deep_start(found: Mapping[str, Hyperparameters], dims: Mapping[str, int]) -> Hyperparameters | None:
    """Start the fixed terms of the deep member where the additive shallow member ended."""
    base = found.get("bank_xy")
    if base is None:
        return None
    prior = defaults(DEEP, {**dims, EMBEDDING: N_EMBEDDING})
    return Hyperparameters(
        (prior.log_lengthscale[0], *base.log_lengthscale), (prior.log_amplitude[0], *base.log_amplitude), base.log_noise
    )


def _read(request: Mapping[str, Any]) -> tuple[dict[str, NDArray[np.floating]], FloatArray, FloatArray]:
    observed = {name: np.asarray(array) for name, array in request["observed"].items()}
    y, noise = np.asarray(request["y"], dtype=np.float64), np.asarray(request["stated_noise"], dtype=np.float64)
    lengths = {"y": y.shape, "stated_noise": noise.shape, **{f: a.shape[:1] for f, a in observed.items()}}
    if y.ndim != 1 or len(y) == 0 or len(set(lengths.values())) != 1:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH, f"a fit needs one row per measurement everywhere, got {lengths}", field="observed"
        )
    if not all(np.isfinite(a).all() for a in (y, noise, *observed.values())):
        raise InvalidInput(Reason.NON_FINITE, "a fit needs finite features, values and noises", field="observed")
    return observed, y, noise
