"""From a patch to a structure, or to the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout_theory.atoms import Atoms, find_atoms
from probescout_theory.columns import Columns, calibrate, place_angstrom
from probescout_theory.describe import Defect, Description, defect_at, describe
from probescout_theory.flake import build_flake
from probescout_theory.lattices import Lattice
from probescout_theory.occupants import atomic_number
from probescout_theory.refusals import Refusal, RefusalReason
from probescout_theory.register import register
from probescout_theory.structure import Structure
from probescout_theory.supercell import build_supercell
from probescout_theory.validation import check_columns, check_registered

BUILDERS = ("supercell", "flake")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How structures are made from patches; one for a campaign."""

    lattice: Lattice
    """Of the specimen."""
    dopants: tuple[str, ...] = ()
    """Chemical symbols that may replace atoms of the lattice."""
    builder: str = "supercell"
    """"supercell" or "flake"."""
    radius_angstrom: float = 8.0
    """Of the surroundings that must be seen, and of a flake."""
    min_confidence: float = 0.5
    """Atoms below are taken for noise."""

    def __post_init__(self) -> None:
        """Check the recipe.

        Raises:
            InvalidInput: PARAM_INVALID for an unknown builder, a radius that is not above zero or a confidence
                outside 0..1; FIELD_INVALID for a dopant that is no element.
            MissingExtra: When ase is not installed.
        """
        if self.builder not in BUILDERS:
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"builder is '{self.builder}'; choose one of {', '.join(BUILDERS)}",
                field="builder",
            )
        if not (np.isfinite(self.radius_angstrom) and self.radius_angstrom > 0):
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"radius is {self.radius_angstrom} angstrom; give a length above zero",
                field="radius_angstrom",
            )
        if not 0.0 <= self.min_confidence <= 1.0:
            raise InvalidInput(
                Reason.PARAM_INVALID, f"min_confidence is {self.min_confidence}; give 0 to 1", field="min_confidence"
            )
        for dopant in self.dopants:
            atomic_number(dopant)


@dataclass(frozen=True)
class Patch:
    """The window of a frame from which a structure is asked."""

    image: NDArray[np.generic]
    """(y, x), bright atoms on a dark ground, any real unit."""
    angstrom_per_pixel: float
    """Edge of a pixel."""
    place: tuple[float, float] = (0.5, 0.5)
    """Fractional (y, x) of the patch around which the structure is wanted."""
    atoms: Atoms | None = None
    """Columns from another detector; None: found in the image."""

    def __post_init__(self) -> None:
        """Check the window.

        Raises:
            InvalidInput: SHAPE_MISMATCH when the image is not two-dimensional, or the atoms are those of an image of
                another shape; PARAM_INVALID for a pixel without a size or a place outside the patch.
        """
        shape = np.shape(self.image)
        if len(shape) != 2 or 0 in shape:
            raise InvalidInput(
                Reason.SHAPE_MISMATCH, f"the image has shape {shape}; send one channel as (y, x)", field="image.shape"
            )
        if self.atoms is not None and self.atoms.shape != shape:
            raise InvalidInput(
                Reason.SHAPE_MISMATCH,
                f"the atoms are those of an image of shape {self.atoms.shape}, and this one has {shape}; give the "
                "atoms with the shape of the patch",
                field="atoms",
            )
        if not (np.isfinite(self.angstrom_per_pixel) and self.angstrom_per_pixel > 0):
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"a pixel of {self.angstrom_per_pixel} angstrom is no size; calibrate the frame, then ask again",
                field="angstrom_per_pixel",
            )
        if not all(0.0 <= part <= 1.0 for part in self.place):
            raise InvalidInput(
                Reason.PARAM_INVALID,
                f"the place {self.place} is not in the patch; give (y, x) as fractions of it, from 0 to 1",
                field="place",
            )


@dataclass(frozen=True)
class Built:
    """A structure, and how it came about."""

    structure: Structure
    """For the engine."""
    description: Description
    """Of the whole patch."""
    defect: Defect
    """What was copied."""


def describe_patch(patch: Patch, recipe: Recipe) -> Description | Refusal:
    """Find, calibrate, check, register and name the columns of a patch.

    Args:
        patch: Window of a frame.
        recipe: Of the campaign.

    Raises:
        InvalidInput: As find_atoms and describe, and FIELD_MISSING for atoms that could stand on either of two kinds
            of site; a patch that is merely no structure is refused, not an error.
        MissingExtra: When scikit-image or ase is not installed.
    """
    atoms = patch.atoms
    if atoms is None:
        atoms = find_atoms(patch.image, recipe.lattice, patch.angstrom_per_pixel, min_confidence=recipe.min_confidence)
    columns = calibrate(atoms, patch.angstrom_per_pixel, min_confidence=recipe.min_confidence)
    _check_brightness(columns, recipe.lattice)
    start = check_columns(columns, recipe.lattice, _place(patch), recipe.radius_angstrom)
    if isinstance(start, Refusal):
        return start
    registration = register(columns, recipe.lattice, start)
    return check_registered(columns, registration) or describe(columns, registration, recipe.dopants)


def _check_brightness(columns: Columns, lattice: Lattice) -> None:
    """Refuse columns that could stand on either of two kinds of site: a guess would build another specimen."""
    kinds = {column.occupant.label for column in lattice.columns}
    if len(kinds) > 1 and columns.labels is None and not np.isfinite(columns.intensity).all():
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"{lattice.name} has columns of {' and '.join(sorted(kinds))}, which positions alone do not tell apart; "
            "send the label or the intensity of every atom",
            field="atoms.labels",
        )


def structure_of(patch: Patch, recipe: Recipe) -> Built | Refusal:
    """Return the structure around a place of a patch, or why there is none.

    Args:
        patch: Window of a frame.
        recipe: Of the campaign.

    Raises:
        InvalidInput: As find_atoms and describe, and FIELD_MISSING for atoms that could stand on either of two kinds
            of site; a patch that is merely no structure is refused, not an error.
        MissingExtra: When scikit-image or ase is not installed.
    """
    description = describe_patch(patch, recipe)
    if isinstance(description, Refusal):
        return description
    defect = defect_at(description, _place(patch), recipe.radius_angstrom)
    margin = 2.0 * recipe.lattice.neighbor_angstrom
    if defect.to_edge_angstrom < margin:
        return Refusal(
            RefusalReason.BORDER,
            f"the defect reaches {defect.to_edge_angstrom:.1f} angstrom from the edge of the patch, {margin:.1f} are "
            "needed to see where it ends: choose a larger patch",
            defect.to_edge_angstrom,
            margin,
        )
    if recipe.builder == "flake":
        built = build_flake(defect, recipe.lattice, radius=recipe.radius_angstrom)
    else:
        built = build_supercell(defect, recipe.lattice)
    return built if isinstance(built, Refusal) else Built(built, description, defect)


def _place(patch: Patch) -> tuple[float, float]:
    """Return the place as (x, y), angstrom from the middle of the patch, y up."""
    height, width = np.shape(patch.image)
    return place_angstrom(*patch.place, (height, width), patch.angstrom_per_pixel)
