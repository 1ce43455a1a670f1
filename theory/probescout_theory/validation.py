"""Checks of a patch before anything is built from it. Each refusal names what was measured and what is allowed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from probescout_theory.columns import Columns
from probescout_theory.lattices import NEIGHBOR_REACH, Lattice
from probescout_theory.refusals import Refusal, RefusalReason
from probescout_theory.register import SCALES, WIDE_SCALES, Order, Registration, neighbors, order

FloatArray = NDArray[np.float64]

MAX_EMPTY_SHARE = 0.2
"""Of the area of the patch that may lie farther than 1.2 cell vectors from all columns."""
MIN_ORDER = 0.6
"""Structure factor over that of the clean lattice."""
MIN_DISTANCE = 0.55
"""Smallest distance of two columns, in nearest distances of the lattice."""
MAX_DENSITY = 1.15
"""Columns per area over those of the lattice; a patch may lack many, but cannot have more."""
MIN_DENSITY = 0.7
"""The same, below which order at another pixel size is not believed."""
MIN_ON_SITE = 0.7
"""Share of the columns that stand on the lattice."""
MIN_COORDINATED = 0.7
"""Share of the columns, away from the edge, that have as many neighbours as their site."""
MAX_EXTRA_NEIGHBORS = 1
"""Neighbours that a column may have beyond those of its site."""
MOST_STEPS = 400
"""Places along an edge of the patch that are looked at for vacuum; a patch that needs more is mostly empty."""
MAX_EDGE_SHARE = 0.6
"""Of the columns that have unseen neighbours, because the edge is nearer than these would be."""


def check_columns(columns: Columns, lattice: Lattice, place: tuple[float, float], radius: float) -> Order | Refusal:
    """Check what needs no registration, and return angle and scale for it.

    Args:
        columns: Of the patch.
        lattice: As declared.
        place: (x, y) of interest, angstrom from the middle of the patch, y up.
        radius: Angstrom around the place that must lie inside the patch.
    """
    to_edge = float(columns.to_edge(np.array([place]))[0])
    if to_edge < radius:
        return Refusal(
            RefusalReason.BORDER,
            f"the place lies {to_edge:.1f} angstrom from the edge of the patch, {radius:.1f} are needed: choose a "
            "place farther inside the frame, or a larger patch",
            to_edge,
            radius,
        )
    found = _vacuum(columns, lattice) or _edge_share(columns, lattice)
    if found is not None:
        return found
    start = order(columns, lattice)
    if start.share < MIN_ORDER:
        return _disorder(columns, lattice, start)
    return _too_close(columns, lattice) or _density(columns, lattice, start.scale) or start


def check_registered(columns: Columns, registration: Registration) -> Refusal | None:
    """Check columns against the lattice that was laid over them; None when they are a structure.

    Args:
        columns: Of the patch.
        registration: Of these columns.
    """
    lattice, scale = registration.lattice, registration.scale
    if not SCALES[0] <= scale <= SCALES[-1]:
        return _wrong_scale(lattice, scale)
    share = registration.share_on_site
    if share < MIN_ON_SITE:
        return Refusal(
            RefusalReason.AMORPHOUS,
            f"{share:.0%} of the columns stand on the lattice of {lattice.name}, at least {MIN_ON_SITE:.0%} are "
            "needed: choose a crystalline place, or declare the lattice that is there",
            share,
            MIN_ON_SITE,
        )
    reach = NEIGHBOR_REACH * lattice.neighbor_angstrom * registration.scale
    counts = np.array([len(n) for n in neighbors(columns.xy, reach)])
    inner = columns.to_edge(columns.xy) > reach
    expected = np.array(lattice.coordination)[registration.sites[:, 2]]
    right = float((counts == expected)[inner].mean()) if inner.any() else 0.0
    if right < MIN_COORDINATED:
        return Refusal(
            RefusalReason.COORDINATION,
            f"{right:.0%} of the columns have as many neighbours as in {lattice.name}, at least {MIN_COORDINATED:.0%} "
            "are needed: choose a cleaner place, or improve the image",
            right,
            MIN_COORDINATED,
        )
    extra = int((counts - expected)[inner].max())
    if extra > MAX_EXTRA_NEIGHBORS:
        return Refusal(
            RefusalReason.COORDINATION,
            f"a column has {extra} neighbours more than in {lattice.name}, at most {MAX_EXTRA_NEIGHBORS} can be: a "
            "second layer or contamination; choose another place",
            float(extra),
            float(MAX_EXTRA_NEIGHBORS),
        )
    return None


def _vacuum(columns: Columns, lattice: Lattice) -> Refusal | None:
    reach = 1.2 * float(np.linalg.norm(lattice.matrix, axis=1).max())
    axes = [np.linspace(-h, h, int(np.clip(2 * h / (0.25 * reach), 8, MOST_STEPS))) for h in columns.half_size]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    empty = 1.0
    if columns.n_columns:
        empty = float((cKDTree(columns.xy).query(grid)[0] > reach).mean())
    if empty <= MAX_EMPTY_SHARE:
        return None
    return Refusal(
        RefusalReason.VACUUM,
        f"{empty:.0%} of the patch is farther than {reach:.1f} angstrom from all of its {columns.n_columns} columns, "
        f"at most {MAX_EMPTY_SHARE:.0%} may be: choose a place on the sheet",
        empty,
        MAX_EMPTY_SHARE,
    )


def _edge_share(columns: Columns, lattice: Lattice) -> Refusal | None:
    share = float((columns.to_edge(columns.xy) < NEIGHBOR_REACH * lattice.neighbor_angstrom).mean())
    if share <= MAX_EDGE_SHARE:
        return None
    return Refusal(
        RefusalReason.BORDER,
        f"{share:.0%} of the columns lie at the edge of the patch, where their neighbours are unseen, at most "
        f"{MAX_EDGE_SHARE:.0%} may: choose a larger patch",
        share,
        MAX_EDGE_SHARE,
    )


def _disorder(columns: Columns, lattice: Lattice, start: Order) -> Refusal:
    """Tell a wrong pixel size from missing order."""
    # Order of a size that has other columns per area is an accident, or a higher order of the right one.
    ratio = _density_ratio(columns, lattice, 1.0) * WIDE_SCALES**2
    scales = WIDE_SCALES[(ratio >= MIN_DENSITY) & (ratio <= MAX_DENSITY)]
    # A coarse scale is enough in a small circle, and there drift bends little.
    wide = order(columns, lattice, scales, radius=10.0) if len(scales) else start
    if wide.share >= MIN_ORDER:
        return _wrong_scale(lattice, wide.scale)
    return Refusal(
        RefusalReason.AMORPHOUS,
        f"the order of {lattice.name} is {start.share:.2f} of that of the clean lattice, at least {MIN_ORDER} is "
        "needed: choose a crystalline place, or declare the lattice that is there",
        start.share,
        MIN_ORDER,
    )


def _wrong_scale(lattice: Lattice, scale: float) -> Refusal:
    return Refusal(
        RefusalReason.WRONG_SCALE,
        f"the columns are those of {lattice.name} stretched {scale:.2f} times, {SCALES[0]:.2f} to {SCALES[-1]:.2f} is "
        "allowed: divide the frame's pixel size by that, if its calibration is off, or declare the lattice that is "
        "there",
        scale,
        float(SCALES[0] if scale < 1.0 else SCALES[-1]),
    )


def _too_close(columns: Columns, lattice: Lattice) -> Refusal | None:
    nearest = float(cKDTree(columns.xy).query(columns.xy, k=2)[0][:, 1].min())
    limit = MIN_DISTANCE * lattice.neighbor_angstrom
    if nearest >= limit:
        return None
    return Refusal(
        RefusalReason.TOO_CLOSE,
        f"two columns lie {nearest:.2f} angstrom apart, at least {limit:.2f} are needed: one atom was found twice, or "
        "a second layer lies on this one; raise the confidence that is asked for, or choose another place",
        nearest,
        limit,
    )


def _density(columns: Columns, lattice: Lattice, scale: float) -> Refusal | None:
    ratio = _density_ratio(columns, lattice, scale)
    if ratio <= MAX_DENSITY:
        return None
    return Refusal(
        RefusalReason.DENSITY,
        f"the patch has {ratio:.2f} times the columns of {lattice.name}, at most {MAX_DENSITY} can be: a second layer "
        "or contamination; choose another place",
        ratio,
        MAX_DENSITY,
    )


def _density_ratio(columns: Columns, lattice: Lattice, scale: float) -> float:
    """Return columns per area over those of the lattice at a scale, the edge left out."""
    margin = lattice.neighbor_angstrom
    inner = columns.to_edge(columns.xy) > margin
    area = float(np.prod([2.0 * (h - margin) for h in columns.half_size]))
    return float(inner.sum()) / area / lattice.column_density * scale**2
