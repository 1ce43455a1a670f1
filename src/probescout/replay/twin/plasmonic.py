"""Doped-oxide nanocubes whose plasmons couple to those of their neighbours, seen by low-loss EELS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy.special import k1

from probescout.core.geometry import pixel_centers
from probescout.core.ports import FloatArray
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.twin.scene import Channel, OutlierKind, Scene

SPACING_NM = 20.0
RADIUS_NM = 8.5
DIPOLE_EV = 0.70
EDGE_EV = 0.92
BULK_EV = 1.18
DAMPING_EV = 0.075
COUPLING = 1.8
SPEED_EV_NM = 88.0
"""hbar v of a 60 kV electron (v = 0.446 c): the adiabatic cut-off length is SPEED_EV_NM / energy."""
SCREENING_NM = 14.0


@dataclass(frozen=True)
class Plasmonic(Scene):
    """An assembly of doped-oxide nanocubes with holes, chains and isolated particles.

    Each cube i at r_i carries an in-plane dipole with a Lorentzian polarizability. In the quasi-static limit (point
    dipoles, no retardation) the coupled equations are the symmetric eigenproblem
        w_k^2 v_k = [W0^2 - W0 g_ij (3 n n^T - 1) W0] v_k,   g_ij = c (a_i a_j)^(3/2) / r_ij^3,
    with W0 = diag(w0_i): Purcell and Pennypacker 1973 (coupled dipoles); Park and Stroud 2004, Phys. Rev. B 69,
    125418 (chains of particles). c > 1 stands for the larger polarizability and the nearer faces of cubes. Bonding
    modes along chains are shifted to the red, by an amount that the neighbours decide.

    A beam at R excites mode k with the probability |sum_i v_ki . E(R - r_i)|^2 Im[1 / (w_k^2 - w^2 - i w gamma)] w_k,
    where E is the in-plane field of a passing electron, (w/v) K1(w b / v): Garcia de Abajo 2010, Rev. Mod. Phys. 82,
    209, sections II.B and IV. We differ by softening b inside a particle, and by an extra exponential screening of E
    that stands for the absorbing support, so that a patch of the image decides the spectrum.

    Each cube adds an edge mode on its rim, shifted to the red by its neighbours, and a bulk mode in proportion to the
    thickness, on the power-law tail of the zero-loss peak (Egerton 2011, Electron Energy-Loss Spectroscopy, 3.3, 4.4).
    Energies are those of fluorine- and tin-doped indium oxide cubes (Roccapriore et al. 2021, Small 17, 2100181;
    2022, Advanced Science 9, 2203422).
    """

    name: ClassVar[str] = "plasmonic"
    title: ClassVar[str] = "Simulated assembly of doped-oxide nanocubes, low-loss EELS"
    source: ClassVar[str] = "coupled-dipole model, Garcia de Abajo 2010; energies after Roccapriore et al. 2021"
    pixel_size_m: ClassVar[float] = 3e-9
    axis: ClassVar[Axis] = Axis("channel", np.linspace(0.25, 1.50, 126), "energy", "eV")
    image_channel: ClassVar[Channel] = Channel("HAADF", "counts", ValueKind.COUNTS)
    signal_channel: ClassVar[Channel] = Channel("EELS", "counts", ValueKind.COUNTS)
    outlier_kind: ClassVar[OutlierKind] = OutlierKind.GAIN
    dwell_s: ClassVar[float] = 0.05
    scalarizer: ClassVar[str] = "band_sum"
    params: ClassVar[dict[str, float]] = {"low": 0.54, "high": 0.64}

    centers_nm: FloatArray = field(init=False, repr=False, compare=False)
    """(particle, 2) (y, x) from the top left corner."""
    radius_nm: FloatArray = field(init=False, repr=False, compare=False)
    """(particle,) half the edge of the cube."""
    angle: FloatArray = field(init=False, repr=False, compare=False)
    """(particle,) rotation in radians."""
    mode_eV: FloatArray = field(init=False, repr=False, compare=False)  # noqa: N815 (the unit is eV)
    """(mode,) energies of the coupled dipoles, ascending."""
    mode_vectors: FloatArray = field(init=False, repr=False, compare=False)
    """(particle * 2, mode) orthonormal dipole patterns; components (y, x) of a particle are neighbours."""
    edge_eV: FloatArray = field(init=False, repr=False, compare=False)  # noqa: N815
    """(particle,) energy of the edge mode."""
    _lines: FloatArray = field(init=False, repr=False, compare=False)
    _edge_lines: FloatArray = field(init=False, repr=False, compare=False)

    def _build(self, rng: np.random.Generator) -> None:
        centers = _assembly(rng, self.shape, self.pixel_size_m * 1e9)
        n = len(centers)
        radius = RADIUS_NM * (1.0 + 0.04 * rng.standard_normal(n)).clip(0.88, 1.1)
        angle = rng.normal(0.0, 0.12, n)
        own_eV = DIPOLE_EV * (1.0 + 0.01 * rng.standard_normal(n))  # noqa: N806
        mode_eV, vectors, crowding = couple(centers, radius, own_eV)  # noqa: N806
        edge_eV = EDGE_EV - 0.05 * crowding  # noqa: N806
        energy = self.axis.values
        self._keep(
            centers_nm=centers,
            radius_nm=radius,
            angle=angle,
            mode_eV=mode_eV,
            mode_vectors=vectors,
            edge_eV=edge_eV,
            _lines=lorentzian(energy, mode_eV, DAMPING_EV),
            _edge_lines=lorentzian(energy, edge_eV, 0.10),
        )
        at_nm = pixel_centers(*self.shape) * np.asarray(self.shape) * self.pixel_size_m * 1e9
        thickness, _ = self._profiles(at_nm)
        support = 1.0 + 0.10 * np.cos(at_nm @ rng.uniform(0.004, 0.01, 2) + rng.uniform(0, 2 * np.pi))
        self._keep(image=(60.0 * support + 22.0 * thickness.sum(axis=1)).reshape(self.shape))

    def _signals(self, at_px: FloatArray) -> FloatArray:
        at_nm = at_px * self.pixel_size_m * 1e9
        thickness, rim = self._profiles(at_nm)
        power = (self._field(at_nm) @ self.mode_vectors) ** 2
        energy = self.axis.values
        bulk = thickness.sum(axis=1, keepdims=True) * lorentzian(energy, np.array([BULK_EV]), 0.16)
        tail = (energy / 0.25) ** -3.2
        signals: FloatArray = 250.0 * tail + 25000.0 * power @ self._lines + 80.0 * rim @ self._edge_lines + 14.0 * bulk
        return signals

    def _profiles(self, at_nm: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return thickness in nm and rim weight of every particle, both (n, particle), at positions (n, 2) in nm."""
        offset = at_nm[:, None, :] - self.centers_nm
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        along = cos * offset[..., 0] + sin * offset[..., 1]
        across = cos * offset[..., 1] - sin * offset[..., 0]
        # A superellipse of order 4 is a square with rounded corners.
        reach = (along**4 + across**4) ** 0.25 - self.radius_nm
        thickness = self.radius_nm / (1.0 + np.exp((reach / 1.0).clip(-50.0, 50.0)))
        return thickness, np.exp(-0.5 * (reach / 2.0) ** 2)

    def _field(self, at_nm: FloatArray) -> FloatArray:
        """Return the in-plane field (n, particle * 2) of a beam at positions (n, 2) in nm, in 1/nm."""
        offset = self.centers_nm - at_nm[:, None, :]
        distance = np.sqrt((offset**2).sum(axis=-1) + 0.5 * self.radius_nm**2)
        rate = DIPOLE_EV / SPEED_EV_NM
        strength = rate * k1(rate * distance) * np.exp(-distance / SCREENING_NM) / distance
        strength *= (self.radius_nm / RADIUS_NM) ** 1.5
        field_per_nm: FloatArray = (offset * strength[..., None]).reshape(len(at_nm), -1)
        return field_per_nm


def couple(
    centers_nm: FloatArray,
    radius_nm: FloatArray,
    own_eV: FloatArray,  # noqa: N803 (the unit is eV)
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Solve the coupled dipoles.

    Args:
        centers_nm: (particle, 2) in-plane (y, x).
        radius_nm: (particle,).
        own_eV: (particle,) dipole energy of each particle alone.

    Returns:
        Mode energies (mode,) in eV, patterns (particle * 2, mode), and the crowding (particle,) of each particle:
        its summed coupling in units of that to one neighbour at the usual spacing.
    """
    n = len(centers_nm)
    offset = centers_nm[:, None, :] - centers_nm
    distance = np.sqrt((offset**2).sum(axis=-1))
    np.fill_diagonal(distance, np.inf)
    g = COUPLING * np.outer(radius_nm, radius_nm) ** 1.5 / distance**3
    unit = offset / np.where(np.isfinite(distance), distance, 1.0)[..., None]
    dyad = 3.0 * unit[:, :, :, None] * unit[:, :, None, :] - np.eye(2)
    block = -(g * np.outer(own_eV, own_eV))[:, :, None, None] * dyad
    matrix = block.transpose(0, 2, 1, 3).reshape(2 * n, 2 * n)
    matrix[np.diag_indices(2 * n)] += np.repeat(own_eV**2, 2)
    squares, vectors = np.linalg.eigh(matrix)
    # Touching particles would turn a square negative, which means that point dipoles no longer hold there.
    energies = np.sqrt(squares.clip((0.2 * DIPOLE_EV) ** 2))
    return energies, vectors, g.sum(axis=1) / (COUPLING * RADIUS_NM**3 / SPACING_NM**3)


def lorentzian(energy_eV: FloatArray, center_eV: FloatArray, width_eV: float) -> FloatArray:  # noqa: N803
    """Return the loss function (line, channel) of Lorentz oscillators, near 1 at the peak."""
    e, c = energy_eV[None, :], center_eV[:, None]
    lines: FloatArray = width_eV**2 * e * c / ((c**2 - e**2) ** 2 + (width_eV * e) ** 2)
    return lines


def _assembly(rng: np.random.Generator, shape: tuple[int, int], pixel_nm: float) -> FloatArray:
    """Return particle centres (particle, 2) in nm: a square packing with correlated holes, reaching past the frame."""
    height, width = (edge * pixel_nm for edge in shape)
    margin = 1.5 * SPACING_NM
    rows = np.arange(-margin, height + margin, SPACING_NM)
    cols = np.arange(-margin, width + margin, SPACING_NM)
    grid = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
    waves = rng.normal(0.0, 2 * np.pi / (5.0 * SPACING_NM), (12, 2))
    phase = rng.uniform(0, 2 * np.pi, 12)
    order = np.cos(grid @ waves.T + phase).mean(axis=1) * np.sqrt(24.0)
    kept = grid[order + 0.9 * rng.standard_normal(len(grid)) > -0.1]
    centers: FloatArray = kept + rng.normal(0.0, 0.05 * SPACING_NM, kept.shape)
    return centers
