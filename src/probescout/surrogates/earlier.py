"""The model of an earlier campaign, as the next one uses it: a mean for every patch, wherever that patch lies.

That mean becomes one more representation, and a member that sees it is weighed as all others are. NumPy only: the
front checks such a model when a campaign is created.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.components import Components, RowsOf
from probescout.surrogates.kernel import Kernel
from probescout.surrogates.members.definition import Hyperparameters

FloatArray = NDArray[np.float64]
Float32 = NDArray[np.float32]

COMPARABLE = ("pca8", "bank")
"""Representations that mean the same on every image that is standardised alike."""
LEAST_SD = 0.1
"""Of the mean over the candidates, in SD of the earlier target."""
PIECE = 8192
"""Candidates worked out at a time."""


@dataclass(frozen=True)
class Term:
    """One additive term of one member's kernel, on one representation."""

    feature: str
    weight: float
    """Of its member, among those that are handed on."""
    log_lengthscale: tuple[float, ...]
    log_amplitude: float


@dataclass(frozen=True, eq=False)
class EarlierModel:
    """The mean of an earlier committee as a function of the patch, in its standardised units.

    Implements `features.Sees`.
    """

    terms: tuple[Term, ...]
    constant: float
    """What is added everywhere."""
    alpha: FloatArray
    """(term, n) of its member: K^-1 y."""
    observed: Mapping[str, Float32]
    """Representation (n, component) of the measured patches, by name."""
    components: Mapping[str, Components]
    """How a raw row becomes such a representation, by name."""

    def seen(self, n: int, rows_of: Mapping[str, RowsOf]) -> Float32:
        """Return the mean (n, 1) at candidates, centred and in its own SD over them.

        Args:
            n: Number of candidates.
            rows_of: Gives the raw rows of each representation, of as many channels as the earlier campaign had.
        """
        kernels = [Kernel(Hyperparameters((t.log_lengthscale,), (t.log_amplitude,), 0.0)) for t in self.terms]
        known = [k.points([self.observed[t.feature]]) for k, t in zip(kernels, self.terms, strict=True)]
        out = np.empty((n, 1), dtype=np.float32)
        for start in range(0, n, PIECE):
            part = np.arange(start, min(start + PIECE, n))
            seen = {name: c.of(rows_of[name](part)) for name, c in self.components.items()}
            mean = np.full(len(part), self.constant)
            for term, kernel, points, alpha in zip(self.terms, kernels, known, self.alpha, strict=True):
                mean += term.weight * (alpha @ kernel.varying(points, kernel.points([seen[term.feature]])))
            out[part, 0] = mean
        centre, sd = out.mean(dtype=np.float64), out.std(dtype=np.float64)
        # A model to which every patch is strange says the same of all: that must not be blown up to an opinion.
        return np.asarray((out - centre) / max(sd, LEAST_SD), dtype=np.float32)

    # Files

    def parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return JSON values, and arrays by name: all that `of_parts` needs."""
        arrays: dict[str, NDArray[Any]] = {"alpha": self.alpha}
        for name, c in self.components.items():
            arrays[f"observed.{name}"] = self.observed[name]
            arrays |= {f"{name}.{f}": a for f in _ARRAYS if (a := getattr(c, f)) is not None}
        header = {
            "terms": [{f.name: getattr(t, f.name) for f in fields(Term)} for t in self.terms],
            "constant": self.constant,
            "factors": {name: c.factor for name, c in self.components.items()},
        }
        return header, arrays

    @classmethod
    def of_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> EarlierModel:
        """Return a model from its parts, which a stranger may have made.

        Raises:
            InvalidInput: MODEL_INCOMPATIBLE when they do not fit together, or hold what is not finite.
        """
        try:
            terms = tuple(_term(t) for t in header["terms"])
            factors = {str(name): float(v) for name, v in header["factors"].items()}
            found = cls(
                terms,
                float(header["constant"]),
                np.asarray(arrays["alpha"], dtype=np.float64),
                {name: _float32(arrays[f"observed.{name}"]) for name in factors},
                {name: _components(name, factor, arrays) for name, factor in factors.items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _broken(f"a part is missing or unreadable: {error!r}") from error
        found._check()
        return found

    @property
    def n_raw(self) -> dict[str, int]:
        """Return the length of a raw row, by representation."""
        return {name: len(c.mean) for name, c in self.components.items()}

    def _check(self) -> None:
        if not self.terms or not set(self.components) <= set(COMPARABLE):
            raise _broken(f"it must have terms on {' or '.join(COMPARABLE)}, it has {sorted(self.components)}")
        n = self.alpha.shape[-1]
        if self.alpha.shape != (len(self.terms), n) or n == 0:
            raise _broken(f"alpha has shape {self.alpha.shape} for {len(self.terms)} terms")
        dims = {}
        for name, c in self.components.items():
            dims[name] = c.basis.shape[-1]
            same = [c.mean.shape, c.basis.shape[:1], *(a.shape for a in (c.centre, c.sd) if a is not None)]
            if len(set(same)) != 1 or c.basis.ndim != 2 or self.observed[name].shape != (n, dims[name]):
                raise _broken(f"the arrays of '{name}' do not fit together")
            if (c.centre is None) != (c.sd is None) or (c.sd is not None and not (c.sd > 0).all()):
                raise _broken(f"the standardisation of '{name}' is unreadable")
        for term in self.terms:
            if len(term.log_lengthscale) != dims.get(term.feature, -1):
                raise _broken(f"a term on '{term.feature}' has {len(term.log_lengthscale)} lengthscales")
        numbers = [self.constant, *(v for t in self.terms for v in (t.weight, t.log_amplitude, *t.log_lengthscale))]
        # An exponent this large overflows.
        is_sane = all(math.isfinite(v) and abs(v) < 50.0 for v in numbers)
        if not is_sane or not all(np.isfinite(a).all() for a in self.parts()[1].values()):
            raise _broken("it holds NaN, infinity or hyperparameters out of any range")


_ARRAYS = ("mean", "basis", "centre", "sd")


def _term(data: Mapping[str, Any]) -> Term:
    lengths = tuple(float(v) for v in data["log_lengthscale"])
    return Term(str(data["feature"]), float(data["weight"]), lengths, float(data["log_amplitude"]))


def _components(name: str, factor: float, arrays: Mapping[str, NDArray[Any]]) -> Components:
    found = {f: _float32(arrays[f"{name}.{f}"]) if f"{name}.{f}" in arrays else None for f in _ARRAYS}
    mean, basis = found["mean"], found["basis"]
    if mean is None or basis is None:
        raise KeyError(f"{name}.mean or {name}.basis")
    return Components(mean, basis, found["centre"], found["sd"], factor)


def _float32(array: NDArray[Any]) -> Float32:
    return np.ascontiguousarray(array, dtype=np.float32)


def _broken(what: str) -> InvalidInput:
    return InvalidInput(
        Reason.MODEL_INCOMPATIBLE, f"the model of the earlier campaign cannot be used: {what}; register it again"
    )
