"""Core-loss edge above a power-law background."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Scalar
from probescout_scalarizers.base import CheckedScalarizer, interval_schema, schema
from probescout_scalarizers.checks import Band, FloatArray, Signal, band, interval

PRIOR_EXPONENT = 4.0
PRIOR_EXPONENT_SD = 2.0
MAX_ITERATIONS = 100


@dataclass(frozen=True)
class PowerLaw:
    """A fitted background exp(p + q log(x / x0))."""

    parameters: FloatArray
    """(2,) p and q = -r."""
    covariance: FloatArray
    """(2, 2) of the parameters; NaN when unknown."""
    log_x0: float
    """Logarithm of the reference coordinate, the middle of the fit window."""
    relative_variance: float
    """Variance of one element over its square, from the residuals; NaN when unknown or Poisson."""

    def integral(self, x: FloatArray) -> tuple[float, float]:
        """Return the sum of the background over coordinates (element,) and its variance."""
        log_x = np.log(x) - self.log_x0
        mu = np.exp(self.parameters[0] + self.parameters[1] * log_x)
        gradient = np.array([mu.sum(), (mu * log_x).sum()])
        return float(mu.sum()), float(gradient @ self.covariance @ gradient)


@dataclass(frozen=True, kw_only=True)
class Edge(CheckedScalarizer):
    """Intensity of a core-loss edge: sum over a window less the extrapolated power-law background A E^-r.

    Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope, 3rd ed. 2011, section 4.4: the background is
    fitted as a straight line of log intensity against log energy in a window before the edge, and the variance of the
    result is that of the sum over the window plus that of the extrapolated background, usually the larger of the two.
    Where we differ:

    - counts: Poisson likelihood with log link instead of least squares on log counts, which is biased where counts
      are few and undefined at zero; the exponent has the weak prior r = 4 +- 2 (Egerton: r is usually 2 to 6), which
      matters only below some thousand counts. Variance: N + 1 + var(background), N the counts in the window.
    - otherwise least squares on the logarithms (all values of the fit window must be positive); elements are taken to
      have the relative noise of the residuals, or `noise_sd`. An exact fit gives NaN.

    The result may be negative. Masked elements are left out; the sum is scaled as in `band_sum`.

    Example:
        >>> import numpy as np
        >>> from probescout.core.spectra import Axis, Spectrum
        >>> loss = np.arange(200.0, 400.0)
        >>> signal = 1e9 * loss**-3 + np.where(loss >= 284, 10.0, 0.0)
        >>> carbon = Edge(background=[220, 280], window=[285, 334])
        >>> round(carbon(Spectrum(signal, ("loss",), (Axis("loss", loss, "energy loss", "eV"),))).value, 6)
        500.0
    """

    name: ClassVar[str] = "edge"
    summary: ClassVar[str] = "intensity of a core-loss edge above a power-law background"
    params_schema: ClassVar = schema(
        "Edge",
        {
            "background": interval_schema(
                "Background window",
                "[low, high] where the background is fitted, in the unit of the axis.",
                examples=[[220.0, 280.0]],
            ),
            "window": interval_schema(
                "Edge window", "[low, high] that is summed, in the unit of the axis.", examples=[[285.0, 335.0]]
            ),
        },
        required=("background", "window"),
    )

    background: tuple[float, float]
    """(low, high) where the background is fitted, in the unit of the axis."""
    window: tuple[float, float]
    """(low, high) that is summed, in the unit of the axis."""

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: PARAM_INVALID.
        """
        super().__post_init__()
        for name in ("background", "window"):
            ends = interval(getattr(self, name), name)
            object.__setattr__(self, name, ends)
            if ends[0] <= 0.0:
                raise InvalidInput(
                    Reason.PARAM_INVALID,
                    f"{name} starts at {ends[0]:g}; a power law needs positive energies: start it above 0",
                    field=f"params.{name}",
                )
        if max(self.background[0], self.window[0]) <= min(self.background[1], self.window[1]):
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"background {self.background[0]:g}:{self.background[1]:g} and window {self.window[0]:g}:"
                f"{self.window[1]:g} overlap; the background must be free of the edge",
                field="params.background",
            )

    def reduce(self, signal: Signal) -> Scalar:
        """Return the intensity of the edge.

        Raises:
            InvalidInput: PARAM_INVALID when a window does not fit the axis or the fit window is too narrow; NON_FINITE
                when too much is masked or the background cannot be fitted.
        """
        fit = band(signal, *self.background, field="params.background")
        edge = band(signal, *self.window, field="params.window")
        if np.unique(fit.x).size < 3:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"the background window holds {np.unique(fit.x).size} valid elements; at least 3 are needed",
                field="params.background",
            )
        if signal.is_counts and fit.values.sum() <= 0.0:
            # Nothing to extrapolate; not more than about one count was missed over the fit window.
            below, below_variance = 0.0, (edge.x.size / fit.x.size) ** 2
            law = None
        else:
            law = fit_counts(fit) if signal.is_counts else fit_logarithms(fit, self.noise_sd)
            below, below_variance = law.integral(edge.x)
        variance = self.sum_variance(edge.values, is_counts=signal.is_counts)
        if not signal.is_counts and self.noise_sd is None and law is not None:
            variance = law.relative_variance * float(np.sum(edge.values**2))
        net = float(edge.values.sum()) - below
        return Scalar(edge.scale * net, edge.scale**2 * (variance + below_variance), signal.unit)


def fit_counts(fit: Band) -> PowerLaw:
    """Return the power law of largest posterior density for Poisson counts, by damped Newton steps.

    The density is log-concave (McCullagh and Nelder 1989, Generalized Linear Models, chapter 6), so that halving a
    step that does not rise always ends at the one maximum.

    Raises:
        InvalidInput: NON_FINITE when the steps do not settle.
    """
    log_x0 = float(np.log(fit.x).mean())
    log_x = np.log(fit.x) - log_x0
    n = np.maximum(fit.values, 0.0)
    precision = PRIOR_EXPONENT_SD**-2

    def height(p: FloatArray) -> float:
        log_mu = p[0] + p[1] * log_x
        return float(np.sum(n * log_mu - np.exp(log_mu)) - 0.5 * precision * (p[1] + PRIOR_EXPONENT) ** 2)

    p = np.array([math.log(float(n.mean())), -PRIOR_EXPONENT])
    for _ in range(MAX_ITERATIONS):
        mu = np.exp(p[0] + p[1] * log_x)
        slope = np.array([np.sum(n - mu), np.sum((n - mu) * log_x) - precision * (p[1] + PRIOR_EXPONENT)])
        cross = float(np.sum(mu * log_x))
        hessian = np.array([[mu.sum(), cross], [cross, np.sum(mu * log_x**2) + precision]])
        if not np.isfinite(hessian).all() or np.linalg.cond(hessian) > 1e15:
            break
        covariance = np.linalg.inv(hessian)
        step = covariance @ slope
        if float(slope @ step) < 1e-12:
            return PowerLaw(p, covariance, log_x0, math.nan)
        here, fraction = height(p), 1.0
        while not height(p + fraction * step) >= here and fraction > 1e-9:
            fraction /= 2.0
        if fraction <= 1e-9:
            # The rise is below rounding: this is the maximum.
            return PowerLaw(p, covariance, log_x0, math.nan)
        p = p + fraction * step
    raise InvalidInput(
        Reason.NON_FINITE,
        "the power-law background does not settle on these counts; check params.background, or mask bad elements",
        field="observation.spectrum",
    )


def fit_logarithms(fit: Band, noise_sd: float | None) -> PowerLaw:
    """Return the least-squares line of log value against log coordinate (Egerton 2011, section 4.4.1).

    Raises:
        InvalidInput: NON_FINITE when a value is not positive.
    """
    if fit.values.min() <= 0.0:
        raise InvalidInput(
            Reason.NON_FINITE,
            f"the background window holds the value {fit.values.min():g}; a power law needs positive values: register "
            "the signal as counts, or subtract the offset first",
            field="observation.spectrum",
        )
    log_x0 = float(np.log(fit.x).mean())
    log_x = np.log(fit.x) - log_x0
    log_y = np.log(fit.values)
    design = np.column_stack([np.ones_like(log_x), log_x])
    inverse = np.linalg.pinv(design)
    parameters = np.asarray(inverse @ log_y, dtype=np.float64)
    if noise_sd is not None:
        each = (noise_sd / fit.values) ** 2
        return PowerLaw(parameters, (inverse * each) @ inverse.T, log_x0, math.nan)
    residual = log_y - design @ parameters
    spare = log_x.size - 2
    relative = float(residual @ residual) / spare
    # An exact fit says nothing about the noise.
    relative = relative if relative > 1e-24 else math.nan
    return PowerLaw(parameters, relative * (inverse @ inverse.T), log_x0, relative)
