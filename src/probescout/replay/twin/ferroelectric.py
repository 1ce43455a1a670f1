"""A ferroelectric film with 180 degree walls and in-plane lamellae, seen by switching-spectroscopy PFM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from probescout.core.geometry import pixel_centers
from probescout.core.ports import FloatArray
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.twin.scene import Channel, OutlierKind, Scene

N_BIAS = 64
MAX_BIAS_V = 8.0
WALL_PX = 1.0
REACH_PX = 3.0
SATURATION_PM = 24.0
COERCIVE_V = 2.6
N_WAVES = 10
DOMAIN_PX = 26.0
MAX_HALF_WIDTH_PX = 2.6


def _cycle() -> FloatArray:
    """Return the bias (channel,) of one triangular cycle 0, +max, 0, -max, 0 in V."""
    phase = np.arange(N_BIAS) / N_BIAS
    return MAX_BIAS_V * (1.0 - 4.0 * np.abs(np.mod(phase + 0.25, 1.0) - 0.5))


@dataclass(frozen=True)
class _Near:
    """What lies near some positions; all lengths in pixels."""

    wall: FloatArray
    """(n,) signed distance to the nearest 180 degree wall, > 0 where the polarization is up."""
    lamella: FloatArray
    """(n,) distance to the edge of the nearest lamella, < 0 inside."""
    half_width: FloatArray
    """(n,) half the width of that lamella."""

    def out_of_plane(self) -> FloatArray:
        """Return the out-of-plane share (n,) of the polarization: 0 inside a lamella, 1 far from it."""
        share: FloatArray = 0.5 + 0.5 * np.tanh(self.lamella / WALL_PX)
        return share

    def coercive_V(self) -> FloatArray:  # noqa: N802 (the unit is V)
        """Return half the width (n,) of the loop in V."""
        near_wall = np.exp(-((self.wall / REACH_PX) ** 2))
        near_lamella = np.exp(-((self.lamella.clip(0.0) / REACH_PX) ** 2))
        pinning = 1.2 * (self.half_width / MAX_HALF_WIDTH_PX) ** 2
        factor: FloatArray = 1.0 - 0.45 * near_wall + (0.15 + pinning * near_wall) * near_lamella
        return COERCIVE_V * factor


@dataclass(frozen=True)
class Ferroelectric(Scene):
    """A tetragonal film: up and down domains, and lamellae where the polarization lies in the plane.

    Image: in-phase vertical piezoresponse, proportional to the out-of-plane polarization; both kinds of wall are
    kinks tanh(d / w) (Zhirnov 1959, Sov. Phys. JETP 35, 822).

    Loop: the second, steady cycle of switching spectroscopy (Jesse, Baddorf and Kalinin 2006, Appl. Phys. Lett. 88,
    062908). Each branch is a saturated hyperbolic tangent, R = +-R_s tanh((V -+ V_c) / 2 delta) (Miller et al. 1990,
    J. Appl. Phys. 68, 5783), shifted by an imprint and tilted by a linear electrostatic part. Locally
    - R_s is the switchable out-of-plane share: small inside a lamella;
    - V_c falls near a 180 degree wall, which moves instead of nucleating (Kalinin et al. 2010, Rep. Prog. Phys. 73,
      056502, section 5), and rises where a lamella pins that wall, a wide one more: the rare hard spots are at such
      crossings, beside the lamella. The strengths are ours, chosen so that the area of
      the loop differs by a factor of a few;
    - the imprint follows the sign of the local polarization and fades at walls.
    """

    name: ClassVar[str] = "ferroelectric"
    title: ClassVar[str] = "Simulated ferroelectric film with domains and walls, switching loops"
    source: ClassVar[str] = "phenomenological loops after Miller et al. 1990; wall effects after Kalinin et al. 2010"
    pixel_size_m: ClassVar[float] = 20e-9
    axis: ClassVar[Axis] = Axis("channel", _cycle(), "bias", "V")
    image_channel: ClassVar[Channel] = Channel("PFM in-phase", "pm", ValueKind.CONTINUOUS, noise_sd=1.0)
    signal_channel: ClassVar[Channel] = Channel("SS-PFM", "pm", ValueKind.CONTINUOUS, noise_sd=1.2)
    outlier_kind: ClassVar[OutlierKind] = OutlierKind.SPIKE
    dwell_s: ClassVar[float] = 0.6
    scalarizer: ClassVar[str] = "loop_area"
    params: ClassVar[dict[str, float]] = {}

    _waves: FloatArray = field(init=False, repr=False, compare=False)
    _phase: FloatArray = field(init=False, repr=False, compare=False)
    _lamellae: FloatArray = field(init=False, repr=False, compare=False)

    def _build(self, rng: np.random.Generator) -> None:
        turn = rng.uniform(0, 2 * np.pi, N_WAVES)
        number = 2 * np.pi / DOMAIN_PX * rng.uniform(0.6, 1.4, N_WAVES)
        self._keep(
            _waves=np.column_stack([np.sin(turn), np.cos(turn)]) * number[:, None],
            _phase=rng.uniform(0, 2 * np.pi, N_WAVES),
            _lamellae=_lamellae(rng, self.shape),
        )
        self._keep(image=(18.0 * self.polarization(pixel_centers(*self.shape))).reshape(self.shape))

    def polarization(self, positions: FloatArray) -> FloatArray:
        """Return the out-of-plane polarization (n,), -1 to 1, at fractional (y, x) positions (n, 2)."""
        near = self._near(positions * np.asarray(self.shape, dtype=np.float64))
        kinks: FloatArray = np.tanh(near.wall / WALL_PX) * near.out_of_plane()
        return kinks

    def coercive_V(self, positions: FloatArray) -> FloatArray:  # noqa: N802 (the unit is V)
        """Return half the width (n,) of the loop in V at fractional (y, x) positions (n, 2)."""
        return self._near(positions * np.asarray(self.shape, dtype=np.float64)).coercive_V()

    def _signals(self, at_px: FloatArray) -> FloatArray:
        near = self._near(at_px)
        coercive = near.coercive_V()[:, None]
        imprint = 0.4 * np.tanh(near.wall / REACH_PX)[:, None]
        saturation = SATURATION_PM * (0.12 + 0.88 * near.out_of_plane())[:, None]
        bias = self.axis.values
        # The bias rises in the first and the last quarter of the cycle.
        rises = np.gradient(bias, edge_order=1) > 0
        rises[[N_BIAS // 4, 3 * N_BIAS // 4]] = False, True
        switched_at = np.where(rises, coercive, -coercive) - imprint
        loops: FloatArray = saturation * np.tanh((bias - switched_at) / 1.4) + 0.5 * bias
        return loops

    def _near(self, at_px: FloatArray) -> _Near:
        """Return what lies near positions (n, 2) in pixels."""
        angle = at_px @ self._waves.T + self._phase
        value = np.cos(angle).sum(axis=1)
        slope = -np.sin(angle) @ self._waves
        # To first order a level set is |value| / |slope| away; a typical slope floors flat places.
        floor = 0.3 * np.sqrt(N_WAVES / 2) * 2 * np.pi / DOMAIN_PX
        wall = value / np.sqrt((slope**2).sum(axis=1) + floor**2)
        normals, offset, half = self._lamellae[:, :2], self._lamellae[:, 2], self._lamellae[:, 3]
        gaps = np.abs(at_px @ normals.T - offset) - half
        nearest = gaps.argmin(axis=1)
        return _Near(wall, gaps[np.arange(len(gaps)), nearest], half[nearest])


def _lamellae(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Return lamellae (lamella, 4): normal (y, x), offset and half width in pixels, at 45 degrees to the frame."""
    reach = sum(shape) / np.sqrt(2.0)
    count = max(2, round(reach / 40.0))
    offset = (np.arange(count) + 0.5 + rng.uniform(-0.25, 0.25, count)) * reach / count
    # Twins of one family are parallel; it leans one way or the other.
    lean = rng.choice([-1.0, 1.0])
    normal = np.array([1.0, lean]) / np.sqrt(2.0)
    if lean < 0:
        offset -= shape[1] / np.sqrt(2.0)
    # Widths are dealt out, not drawn, so that every sample has one wide lamella and with it a few hard spots.
    half = rng.permutation(np.linspace(1.0, MAX_HALF_WIDTH_PX, count))
    return np.column_stack([np.tile(normal, (count, 1)), offset, half])
