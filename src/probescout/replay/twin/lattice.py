"""A graphene-like lattice with vacancies, dopants and strain, seen atom by atom with core-loss EELS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from probescout.core.geometry import pixel_centers
from probescout.core.ports import FloatArray
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.twin.scene import Channel, OutlierKind, Scene

BOND_NM = 0.142
CUTOFF_NM = 0.19
PROBE_NM = 0.045
EELS_REACH_NM = 0.10
CARBON, NITROGEN, SILICON = 6, 7, 14
PI_EV = 285.4
SIGMA_EV = 292.0
DANGLING_EV = 282.8
"""Where under-coordinated atoms have their extra state, below pi*."""
SIGMA_SLOPE_EV_NM = -450.0
"""Shift of sigma* with the bond length."""
N_SITES_PER_VACANCY = 20
N_SITES_PER_NITROGEN = 30


@dataclass(frozen=True)
class Lattice(Scene):
    """A graphene sheet with vacancies, some of them healed by a dopant, substituted nitrogen and a strain field.

    Image: annular dark field, one Gaussian per atom with the weight Z^1.64 (Krivanek et al. 2010, Nature 464, 571).

    Spectrum: each atom adds its own edge, weighted by a Gaussian around the probe that stands for the delocalization
    of the inelastic signal (Egerton 2011, 3.11). The carbon K edge of an atom has
    - a pi* peak at 285.4 eV, moved up by 0.9 eV for each nitrogen neighbour (chemical shift of C-N bonds);
    - a sigma* peak at 292 eV that moves down as the bonds to its neighbours get longer (Sette, Stoehr and Hitchcock
      1984, J. Chem. Phys. 81, 4906: the resonance follows the bond length linearly);
    - for each missing neighbour, a state below pi* (Suenaga and Koshino 2010, Nature 468, 1088: atoms with fewer
      neighbours at graphene edges have peaks between 282 and 284 eV).
    Nitrogen adds its own K edge at 401 eV. Silicon has no edge here, but it counts as a neighbour: a vacancy that
    holds one has no dangling bonds and does not show the state. All lie on a power-law background from the
    atoms under the probe.
    """

    name: ClassVar[str] = "lattice"
    title: ClassVar[str] = "Simulated graphene with vacancies, dopants and strain, core-loss EELS"
    source: ClassVar[str] = "independent-atom model; edges after Suenaga and Koshino 2010, Sette et al. 1984"
    pixel_size_m: ClassVar[float] = 3e-11
    axis: ClassVar[Axis] = Axis("channel", np.linspace(276.0, 416.0, 281), "energy", "eV")
    image_channel: ClassVar[Channel] = Channel("ADF", "counts", ValueKind.COUNTS)
    signal_channel: ClassVar[Channel] = Channel("EELS", "counts", ValueKind.COUNTS)
    outlier_kind: ClassVar[OutlierKind] = OutlierKind.GAIN
    dwell_s: ClassVar[float] = 0.2
    scalarizer: ClassVar[str] = "peak_ratio"
    params: ClassVar[dict[str, list[float]]] = {"a": [281.5, 284.0], "b": [288.0, 300.0]}

    atoms_nm: FloatArray = field(init=False, repr=False, compare=False)
    """(atom, 2) (y, x) from the top left corner."""
    numbers: NDArray[np.intp] = field(init=False, repr=False, compare=False)
    """(atom,) atomic numbers."""
    n_missing: FloatArray = field(init=False, repr=False, compare=False)
    """(atom,) number of missing neighbours of a carbon atom."""
    bond_nm: FloatArray = field(init=False, repr=False, compare=False)
    """(atom,) mean bond length."""
    _edges: FloatArray = field(init=False, repr=False, compare=False)

    def _build(self, rng: np.random.Generator) -> None:
        size_nm = np.asarray(self.shape) * self.pixel_size_m * 1e9
        sites = _honeycomb(size_nm)
        atoms, numbers = _defects(rng, sites, size_nm)
        atoms = _strained(rng, atoms)
        n_missing, bond, n_nitrogen = neighbours(atoms, numbers)
        self._keep(
            atoms_nm=atoms,
            numbers=numbers,
            n_missing=n_missing,
            bond_nm=bond,
            _edges=atom_edges(self.axis.values, numbers, n_missing, bond, n_nitrogen),
        )
        at_nm = pixel_centers(*self.shape) * size_nm
        haze = 1.0 + 0.15 * np.cos(at_nm @ rng.uniform(1.5, 3.0, 2) + rng.uniform(0, 2 * np.pi))
        atoms_seen = self._weights(at_nm, PROBE_NM) @ (numbers / CARBON) ** 1.64
        self._keep(image=(25.0 * haze + 120.0 * atoms_seen).reshape(self.shape))

    def _signals(self, at_px: FloatArray) -> FloatArray:
        weights = self._weights(at_px * self.pixel_size_m * 1e9, EELS_REACH_NM)
        energy = self.axis.values
        matter = weights @ np.where(self.numbers == SILICON, 0.8, 1.0)
        background = np.outer(4.0 + 30.0 * matter, (energy / energy[0]) ** -2.8)
        signals: FloatArray = background + 160.0 * weights @ self._edges
        return signals

    def _weights(self, at_nm: FloatArray, sd_nm: float) -> FloatArray:
        """Return the Gaussian weight (n, atom) of every atom at positions (n, 2) in nm."""
        squares = ((at_nm[:, None, :] - self.atoms_nm) ** 2).sum(axis=-1)
        weights: FloatArray = np.exp(-0.5 * squares / sd_nm**2)
        return weights


def neighbours(atoms_nm: FloatArray, numbers: NDArray[np.intp]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return missing neighbours, mean bond length in nm and nitrogen neighbours, each (atom,).

    Args:
        atoms_nm: (atom, 2) positions.
        numbers: (atom,) atomic numbers.
    """
    pairs = cKDTree(atoms_nm).query_pairs(CUTOFF_NM, output_type="ndarray")
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    n = len(atoms_nm)
    count = np.bincount(i, minlength=n)
    length = np.bincount(i, np.linalg.norm(atoms_nm[i] - atoms_nm[j], axis=1), minlength=n)
    n_nitrogen = np.bincount(i, (numbers[j] == NITROGEN).astype(float), minlength=n)
    bond: FloatArray = np.where(count > 0, length / np.maximum(count, 1), BOND_NM)
    # Dopants keep their electrons in bonds of their own: only carbon dangles.
    missing: FloatArray = np.where(numbers == CARBON, np.maximum(3.0 - count, 0.0), 0.0)
    return missing, bond, n_nitrogen.astype(np.float64)


def atom_edges(
    energy_eV: FloatArray,  # noqa: N803 (the unit is eV)
    numbers: NDArray[np.intp],
    n_missing: FloatArray,
    bond_nm: FloatArray,
    n_nitrogen: FloatArray,
) -> FloatArray:
    """Return the core-loss edge (atom, channel) of every atom, in units of the carbon step.

    Args:
        energy_eV: (channel,).
        numbers: (atom,) atomic numbers.
        n_missing: (atom,) missing neighbours.
        bond_nm: (atom,) mean bond length.
        n_nitrogen: (atom,) nitrogen neighbours.
    """
    e = energy_eV[None, :]
    is_carbon, is_nitrogen = (numbers == CARBON)[:, None], (numbers == NITROGEN)[:, None]
    pi = (PI_EV + 0.9 * n_nitrogen)[:, None]
    sigma = (SIGMA_EV + SIGMA_SLOPE_EV_NM * (bond_nm - BOND_NM))[:, None]
    missing = n_missing[:, None]
    carbon = (
        _step(e, sigma - 1.0, 285.0)
        + 0.9 * (1.0 - 0.25 * missing) * _peak(e, pi, 0.8)
        + 1.1 * _peak(e, sigma, 1.6)
        + 1.6 * missing * _peak(e, np.array(DANGLING_EV), 0.7)
    )
    nitrogen = 0.8 * (_step(e, np.array(406.0), 401.0) + 0.8 * _peak(e, np.array(401.0), 0.9))
    nitrogen += 0.8 * _peak(e, np.array(408.0), 2.0)
    edges: FloatArray = np.where(is_carbon, carbon, 0.0) + np.where(is_nitrogen, nitrogen, 0.0)
    return edges


def _peak(e: FloatArray, center: FloatArray, sd: float) -> FloatArray:
    peak: FloatArray = np.exp(-0.5 * ((e - center) / sd) ** 2)
    return peak


def _step(e: FloatArray, onset: FloatArray, fall_from: float) -> FloatArray:
    """Return an edge step with its slow decay above the onset."""
    step: FloatArray = (0.5 + np.arctan((e - onset) / 0.8) / np.pi) * (e / fall_from) ** -3.0
    return step


def _honeycomb(size_nm: FloatArray) -> FloatArray:
    """Return the sites (site, 2) of a perfect sheet, a little turned, reaching past a frame (y, x) of that size."""
    n = int(np.ceil(1.6 * float(size_nm.max()) / BOND_NM)) + 6
    i, j = np.meshgrid(np.arange(-n, n), np.arange(-n, n), indexing="ij")
    first, second = np.array([0.0, np.sqrt(3.0)]), np.array([1.5, np.sqrt(3.0) / 2.0])
    corner = (i[..., None] * first + j[..., None] * second).reshape(-1, 2)
    sites = np.concatenate([corner, corner + np.array([1.0, 0.0])]) * BOND_NM
    turn = np.deg2rad(9.0)
    sites = sites @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + size_nm / 2
    kept: FloatArray = sites[((sites > -0.5) & (sites < size_nm + 0.5)).all(axis=1)]
    return kept


def _defects(rng: np.random.Generator, sites: FloatArray, size_nm: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Take atoms out and put others in; return positions (atom, 2) and atomic numbers (atom,).

    A frame of any size holds at least two open vacancies and one that silicon has healed.
    """
    inside = np.flatnonzero(((sites > 0.15) & (sites < size_nm - 0.15)).all(axis=1))
    order = rng.permutation(inside)
    n_vacancies = max(3, len(inside) // N_SITES_PER_VACANCY)
    chosen: list[int] = []
    for site in order:
        if len(chosen) == n_vacancies:
            break
        if not chosen or np.linalg.norm(sites[chosen] - sites[site], axis=1).min() > 3.5 * BOND_NM:
            chosen.append(int(site))
    numbers = np.full(len(sites), CARBON, dtype=np.intp)
    numbers[rng.choice(order, len(order) // N_SITES_PER_NITROGEN, replace=False)] = NITROGEN
    n_healed = max(1, len(chosen) // 2)
    numbers[chosen[:n_healed]] = SILICON
    kept = np.ones(len(sites), dtype=bool)
    kept[chosen[n_healed:]] = False
    return sites[kept], numbers[kept]


def _strained(rng: np.random.Generator, atoms_nm: FloatArray) -> FloatArray:
    """Return positions (atom, 2) moved by a smooth field whose strain is about 2 per cent."""
    waves = rng.normal(0.0, 2.2, (5, 2))
    phase = rng.uniform(0, 2 * np.pi, 5)
    pull = rng.normal(0.0, 1.0, (5, 2))
    pull *= 0.02 / np.linalg.norm(waves, axis=1, keepdims=True)
    return atoms_nm + np.sin(atoms_nm @ waves.T + phase) @ pull
