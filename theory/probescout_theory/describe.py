"""What stands on each site of a registered patch, and where it departs from the clean lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from probescout.core.errors import InvalidInput, Reason
from probescout_theory.columns import Columns
from probescout_theory.occupants import Occupant, alternatives
from probescout_theory.register import Registration, known_occupants

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHANGE_COST = 7.0
"""Log odds that the intensity must overcome before a column counts as changed: one defect in a thousand sites."""
MIN_SPREAD = 0.04
"""Relative spread of the intensities of one kind of column that is always allowed for."""
EDGE_MARGIN = 0.5
"""Nearer to the edge than this many nearest distances, a site says nothing: its spot is cut in two."""
MOVED_RMS = 3.0
MOVED_NEAREST = 0.15
"""A column stands beside its site when it is off by this many rms of the patch and of the nearest distance."""


@dataclass(frozen=True)
class Description:
    """A patch in terms of its lattice."""

    columns: Columns
    """As seen."""
    registration: Registration
    """The lattice over them."""
    occupants: tuple[Occupant, ...]
    """(column,) what stands in each."""
    is_changed: NDArray[np.bool_]
    """(column,) whether it stands on its site and holds something else than the clean lattice."""
    vacant: IntArray
    """(site, 3) sites of the patch without a column."""

    @property
    def displacement(self) -> FloatArray:
        """(column,) distance from the nearest site, angstrom."""
        return np.asarray(np.linalg.norm(self.columns.xy - self.registration.seen(self.registration.sites), axis=1))

    @property
    def is_moved(self) -> NDArray[np.bool_]:
        """(column,) whether it stands beside its site by more than the noise."""
        limit = max(
            MOVED_RMS * self.registration.rms_angstrom, MOVED_NEAREST * self.registration.lattice.neighbor_angstrom
        )
        return np.asarray(self.displacement > limit)


def describe(columns: Columns, registration: Registration, dopants: tuple[str, ...] = ()) -> Description:
    """Say what stands in every column and which sites are vacant.

    On a site, the occupant is the most likely of the clean one, one with an atom missing, and those with dopants, from
    the intensity relative to the other columns of that site, or the declared formula. Off the lattice it is the whole
    column or dopant of the nearest intensity.

    Args:
        columns: As seen.
        registration: Of these columns.
        dopants: Chemical symbols that may replace atoms of the lattice.

    Raises:
        InvalidInput: FIELD_INVALID for a declared formula that the lattice and the dopants do not make; a dopant that
            is no element.
    """
    lattice = registration.lattice
    inside = columns.to_edge(columns.xy) >= EDGE_MARGIN * lattice.neighbor_angstrom
    if columns.labels is not None:
        occupants = _declared(columns.labels, registration, dopants)
    else:
        occupants = _seen(columns, registration, dopants, inside)
    clean = [lattice.columns[int(k)].occupant for k in registration.sites[:, 2]]
    changed = np.array([o.label != c.label for o, c in zip(occupants, clean, strict=True)], dtype=bool)
    within = registration.sites_within(columns.half_size, EDGE_MARGIN * lattice.neighbor_angstrom)
    taken = {tuple(site) for site in registration.sites[registration.is_on_site].tolist()}
    vacant = np.array([site for site in within.tolist() if tuple(site) not in taken], dtype=np.int64).reshape(-1, 3)
    return Description(columns, registration, occupants, changed & registration.is_on_site & inside, vacant)


def _declared(labels: tuple[str, ...], registration: Registration, dopants: tuple[str, ...]) -> tuple[Occupant, ...]:
    known = {o.label: o for o in known_occupants(registration.lattice, dopants)}
    strange = sorted(set(labels) - set(known))
    if strange:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"columns are declared as {strange}, and {registration.lattice.name} with dopants {list(dopants)} makes "
            f"{sorted(known)}; declare the dopant, or leave the labels out",
            field="atoms.labels",
        )
    # Sites of one species may lie at different heights: what stands on a site is one of its own alternatives.
    own = [{o.label: o for o in alternatives(c.occupant, dopants)} for c in registration.lattice.columns]
    return tuple(
        own[int(k)].get(label, known[label]) for label, k in zip(labels, registration.sites[:, 2], strict=True)
    )


def _seen(
    columns: Columns, registration: Registration, dopants: tuple[str, ...], inside: NDArray[np.bool_]
) -> tuple[Occupant, ...]:
    """Return the occupant (column,) by intensity; the clean one where the intensity is unknown."""
    lattice, light = registration.lattice, columns.intensity
    kind, on_site = registration.sites[:, 2], registration.is_on_site
    found = [lattice.columns[int(k)].occupant for k in kind]
    gains = np.full(len(lattice.columns), np.nan)
    for k, column in enumerate(lattice.columns):
        here = on_site & (kind == k) & np.isfinite(light)
        middle = here & inside
        if middle.sum() < 3:
            continue
        typical = float(np.median(light[middle]))
        gains[k] = typical / column.occupant.intensity
        # 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
        spread = max(1.4826 * float(np.median(np.abs(light[middle] / typical - 1.0))), MIN_SPREAD)
        options = alternatives(column.occupant, dopants)
        expected = gains[k] * np.array([o.intensity for o in options])
        cost = np.where(np.arange(len(options)) == 0, 0.0, CHANGE_COST)
        for i in np.flatnonzero(here):
            # The spread of bright columns is relative; a fit's own doubt counts where it is larger.
            sd = np.maximum(spread * np.maximum(expected, 0.5 * typical), np.nan_to_num(columns.intensity_sd[i]))
            found[i] = options[int(np.argmin(0.5 * ((light[i] - expected) / sd) ** 2 + np.log(sd) + cost))]
    gain = np.nanmedian(gains) if np.isfinite(gains).any() else np.nan
    whole = [c.occupant for c in lattice.columns] + [Occupant((d,), (0.0,)) for d in dopants]
    for i in np.flatnonzero(~on_site & np.isfinite(light) & (light > 0) & np.isfinite(gain)):
        found[i] = min(whole, key=lambda o: abs(float(np.log(light[i] / (gain * o.intensity)))))
    return tuple(found)


@dataclass(frozen=True)
class Defect:
    """A connected departure from the clean lattice, in the frame of the clean lattice."""

    removed: IntArray
    """(site, 3) sites of the clean lattice that it empties."""
    inserted_xy: FloatArray
    """(column, xy) columns that it brings, angstrom."""
    inserted: tuple[Occupant, ...]
    """(column,) what they hold."""
    center: FloatArray
    """(xy,) its middle, from clean sites alone, so that noise does not move it, angstrom."""
    extent_angstrom: float
    """Largest distance of a removed site or inserted column from the middle."""
    core_angstrom: float
    """The same over sites that are vacant or changed: what decides the size of a cell, for noise does not move it."""
    to_edge_angstrom: float
    """Smallest distance of any of them to the edge of the patch; infinity for the clean lattice."""
    n_left_out: int
    """Other departures in the patch, which are not part of it."""

    @property
    def is_clean(self) -> bool:
        """Whether there is no departure at all."""
        return len(self.removed) == 0 and len(self.inserted) == 0


def defect_at(description: Description, place: tuple[float, float], radius: float) -> Defect:
    """Return the defect nearest to a place, or the clean lattice when none lies within a radius.

    Vacant sites, changed columns and columns off the lattice that lie within 2.2 nearest distances of each other are
    one defect. Columns up to that far from it that stand beside their site by more than the noise belong to it as
    they were seen; all others take their clean places.

    Args:
        description: Of the patch.
        place: (x, y), angstrom from the middle of the patch, y up.
        radius: Largest distance of the defect from the place, angstrom.
    """
    registration, columns = description.registration, description.columns
    link = 2.2 * registration.lattice.neighbor_angstrom
    hard = description.is_changed | ~registration.is_on_site
    hard &= columns.to_edge(columns.xy) >= EDGE_MARGIN * registration.lattice.neighbor_angstrom
    index = np.flatnonzero(hard)
    places = np.vstack([columns.xy[index], registration.seen(description.vacant)])
    group = _group(places, np.asarray(place, dtype=np.float64), radius, link)
    if not group:
        return _clean(registration, np.asarray(place, dtype=np.float64), len(places))
    brought = [int(index[g]) for g in group if g < len(index)]
    emptied = [description.vacant[g - len(index)] for g in group if g >= len(index)]
    emptied += [registration.sites[i] for i in brought if registration.is_on_site[i]]
    core = np.array(emptied, dtype=np.int64).reshape(-1, 3)
    center = _center(registration, core, columns.xy[brought])
    near = cKDTree(places[group]).query(columns.xy)[0] < link
    moved = near & registration.is_on_site & ~hard & description.is_moved
    brought += [int(i) for i in np.flatnonzero(moved)]
    emptied += [registration.sites[i] for i in np.flatnonzero(moved)]
    removed = np.array(emptied, dtype=np.int64).reshape(-1, 3)
    xy = _placed(description, brought)
    all_xy = np.vstack([registration.clean(removed), xy])
    seen = np.vstack([registration.seen(removed), columns.xy[brought]])
    return Defect(
        removed,
        xy,
        tuple(description.occupants[i] for i in brought),
        center,
        float(np.linalg.norm(all_xy - center, axis=1).max()),
        float(np.linalg.norm(registration.clean(core) - center, axis=1).max(initial=0.0)),
        float(columns.to_edge(seen).min()),
        len(places) - len(group),
    )


def _placed(description: Description, brought: list[int]) -> FloatArray:
    """Return clean-frame places (column, xy): as seen where significant, else those of the site, angstrom."""
    registration = description.registration
    as_seen = registration.to_clean(description.columns.xy[brought])
    on_site = registration.clean(registration.sites[brought])
    keep = ~registration.is_on_site[brought]
    keep |= description.is_moved[brought]
    return np.where(keep[:, None], as_seen, on_site)


def _group(places: FloatArray, place: FloatArray, radius: float, link: float) -> list[int]:
    """Return the numbers of all places linked to the one nearest to `place`, sorted; none if it lies too far."""
    if len(places) == 0:
        return []
    first = int(np.argmin(np.linalg.norm(places - place, axis=1)))
    if np.linalg.norm(places[first] - place) > radius:
        return []
    tree, group, fresh = cKDTree(places), {first}, [first]
    while fresh:
        around = set(tree.query_ball_point(places[fresh.pop()], link)) - group
        group |= around
        fresh += sorted(around)
    return sorted(group)


def _center(registration: Registration, emptied: IntArray, brought_xy: FloatArray) -> FloatArray:
    """Return the middle of the emptied sites, or the site nearest to what was brought, angstrom."""
    if len(emptied):
        return np.asarray(registration.clean(emptied).mean(axis=0))
    return _nearest_site(registration, registration.to_clean(brought_xy).mean(axis=0))


def _nearest_site(registration: Registration, clean_xy: FloatArray) -> FloatArray:
    lattice = registration.lattice
    steps = clean_xy @ np.linalg.inv(lattice.matrix) - lattice.fractions
    options = (np.round(steps) + lattice.fractions) @ lattice.matrix
    return np.asarray(options[int(np.argmin(np.linalg.norm(options - clean_xy, axis=1)))])


def _clean(registration: Registration, place: FloatArray, n_left_out: int) -> Defect:
    middle = _nearest_site(registration, registration.to_clean(place[None])[0])
    return Defect(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), (), middle, 0.0, 0.0, float("inf"), n_left_out)
