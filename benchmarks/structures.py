"""How well structures are found in simulated images with known truth.

    python -m benchmarks.structures --seeds 5

prints one JSON object on its last line: by material and defect and by noise level, atoms found, false positives and
position error; whether the defect was named rightly and the structure built; refusals of patches that are none; times.
Columns within 1 angstrom of the edge of the image are left out: half of their spot is outside.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from typing import Any

import numpy as np
from probescout_theory.atoms import find_atoms, given_atoms
from probescout_theory.describe import Defect
from probescout_theory.keys import canonical_key
from probescout_theory.lattices import GRAPHENE, MOS2, Lattice
from probescout_theory.patch_to_structure import BUILDERS, Patch, Recipe, structure_of
from probescout_theory.refusals import Refusal
from probescout_theory.structure import Structure
from scipy.spatial import cKDTree

from benchmarks import structure_images as images

FOUND = 0.5
"""Angstrom within which a true column counts as found, and beyond which a found one is false."""
EDGE = 1.0 / images.PIXEL
"""Pixels at the edge that are left out."""
WANTED: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "graphene_vacancy": ({"C": 1}, {}),
    "graphene_silicon": ({"C": 1}, {"Si": 1}),
    "graphene_stone_wales": ({"C": 2}, {"C": 2}),
    "mos2_sulfur_vacancy": ({"S2": 1}, {"S": 1}),
}
"""Sites emptied and columns brought, those aside that only moved."""
CHANGED: dict[str, dict[str, int]] = {
    "graphene_vacancy": {"C": -1},
    "graphene_silicon": {"C": -1, "Si": 1},
    "graphene_stone_wales": {},
    "mos2_sulfur_vacancy": {"S": -1},
}
"""Atoms that a structure has beyond those of the clean lattice."""
REFUSALS = ("VACUUM", "AMORPHOUS", "WRONG_SCALE", "BORDER")


def lattice_of(case: str) -> Lattice:
    """Return the lattice of a case."""
    return MOS2 if case.startswith("mos2") else GRAPHENE


def inner(px: np.ndarray) -> np.ndarray:
    """Return whether columns (column, yx) lie away from the edge."""
    return np.asarray(((px > EDGE) & (px < images.SIDE - 1 - EDGE)).all(axis=1))


def finding(truth: images.Truth, lattice: Lattice) -> dict[str, Any]:
    """Return counts and errors (angstrom) of one image."""
    start = time.perf_counter()
    atoms = find_atoms(truth.image, lattice, images.PIXEL)
    seconds = time.perf_counter() - start
    mine = truth.columns_px[inner(truth.columns_px)]
    found = atoms.positions_px
    away = images.PIXEL * cKDTree(found).query(mine)[0]
    strange = images.PIXEL * cKDTree(truth.columns_px).query(found)[0] > FOUND
    return {
        "n_true": len(mine),
        "n_found": int((away < FOUND).sum()),
        "n_false": int((strange & inner(found)).sum()),
        "errors": away[away < FOUND],
        "seconds": seconds,
    }


def defect_is(case: str, defect: Defect) -> bool:
    """Return whether a defect is the one that was drawn; columns that are pushed aside by it do not count."""
    lattice = lattice_of(case)
    emptied = Counter(lattice.columns[int(k)].occupant.label for k in defect.removed[:, 2])
    brought = Counter(o.label for o in defect.inserted)
    moved = emptied & brought
    wanted_out, wanted_in = (Counter(w) for w in WANTED[case])
    # A turned bond empties and brings carbon alike: what remains after the moved ones must not exceed it.
    if case == "graphene_stone_wales":
        return emptied == brought and emptied["C"] >= 2 and len(emptied) == 1 and defect.core_angstrom < 1.0
    return emptied - moved == wanted_out - wanted_in and brought - moved == wanted_in - wanted_out


def is_right(structure: Structure, case: str, truth: images.Truth, recipe: Recipe) -> bool:
    """Return whether a structure holds what was drawn.

    A supercell must have the atoms of a clean one but for the defect. A flake must have the bond graph of that which
    the true columns give, which no noise has touched, and as many atoms as its area holds.
    """
    lattice, counts = recipe.lattice, Counter(structure.symbols)
    if structure.kind == "supercell":
        n_cells = np.linalg.det(structure.cell[:2, :2]) / np.linalg.det(lattice.matrix)
        clean = {s: round(n_cells) * sum(site.species == s for site in lattice.sites) for s in lattice.species}
        return all(counts[s] - clean.get(s, 0) == CHANGED[case].get(s, 0) for s in {*counts, *clean})
    where = np.clip((truth.columns_px + 0.5) / images.SIDE, 0.0, 1.0)
    atoms = given_atoms(where, truth.image.shape, labels=truth.labels)
    ideal = structure_of(Patch(truth.image, images.PIXEL, place_of(truth), atoms), recipe)
    if isinstance(ideal, Refusal):
        return False
    per_area = len(lattice.sites) / np.linalg.det(lattice.matrix)
    heavy = structure.n_atoms - counts["H"]
    is_full = abs(heavy / (per_area * np.pi * recipe.radius_angstrom**2) - 1.0) < 0.25
    return is_full and canonical_key(structure) == canonical_key(ideal.structure)


def place_of(truth: images.Truth) -> tuple[float, float]:
    """Return the place of the defect as fractions (y, x) of the image."""
    y, x = (np.array(truth.center_px) + 0.5) / images.SIDE
    return float(y), float(x)


def building(truth: images.Truth, case: str, builder: str) -> tuple[bool, str, int]:
    """Return whether the right structure was built, the reason of a refusal, and defects seen where there are none."""
    recipe = Recipe(lattice=lattice_of(case), dopants=("Si",) if "graphene" in case else ("Se",), builder=builder)
    built = structure_of(Patch(truth.image, images.PIXEL, place_of(truth)), recipe)
    if isinstance(built, Refusal):
        return False, built.reason.value, 0
    found = defect_is(case, built.defect) and is_right(built.structure, case, truth, recipe)
    return found, "", built.defect.n_left_out


def no_structure(reason: str, counts: float, rng: np.random.Generator) -> Patch:
    """Return a patch of graphene that must be refused for a reason."""
    sheet = images.clean_graphene()
    if reason == "VACUUM":
        truth = images.draw(sheet, counts, rng, keep=lambda px: px[:, 1] < 0.6 * images.SIDE)
        return Patch(truth.image, images.PIXEL)
    if reason == "AMORPHOUS":
        return Patch(images.draw(images.amorphous(1.2, 30.0, rng), counts, rng).image, images.PIXEL)
    truth = images.draw(sheet, counts, rng)
    if reason == "WRONG_SCALE":
        return Patch(truth.image, images.PIXEL * float(rng.choice([0.8, 1.25])))
    return Patch(truth.image, images.PIXEL, (0.5, float(rng.choice([0.08, 0.92]))))


def level_figures(case: str, level: str, seeds: range) -> dict[str, Any]:
    """Return the figures of one case at one noise level."""
    rows, right, refused, n_strange = [], dict.fromkeys(BUILDERS, 0), Counter[str](), []
    for seed in seeds:
        truth = images.draw(images.SHEETS[case](), images.NOISE[level], np.random.default_rng(seed))
        rows.append(finding(truth, lattice_of(case)))
        for builder in BUILDERS:
            found, reason, strange = building(truth, case, builder)
            right[builder] += found
            n_strange.append(strange)
            refused.update([reason] if reason else [])
    errors = np.concatenate([row["errors"] for row in rows])
    n_true = sum(row["n_true"] for row in rows)
    return {
        "n_true": n_true,
        "found_share": round(sum(row["n_found"] for row in rows) / n_true, 5),
        "false_per_image": round(sum(row["n_false"] for row in rows) / len(rows), 2),
        "error_angstrom_rms": round(float(np.sqrt((errors**2).mean())), 4),
        "error_angstrom_p95": round(float(np.percentile(errors, 95)), 4),
        "find_seconds": round(float(np.median([row["seconds"] for row in rows])), 2),
        "structures_right": {b: f"{n} of {len(rows)}" for b, n in right.items()},
        "false_defects_per_image": round(float(np.mean(n_strange)), 2),
        "refused": dict(refused),
    }


def figures(seeds: range) -> dict[str, Any]:
    """Return all figures."""
    cases = {case: {level: level_figures(case, level, seeds) for level in images.NOISE} for case in images.SHEETS}
    refusals: dict[str, Any] = {}
    for reason in REFUSALS:
        for level, counts in images.NOISE.items():
            given = Counter[str]()
            for seed in seeds:
                made = structure_of(
                    no_structure(reason, counts, np.random.default_rng(1000 + seed)), Recipe(lattice=GRAPHENE)
                )
                given[made.reason.value if isinstance(made, Refusal) else "built"] += 1
            refusals.setdefault(reason, {})[level] = dict(given)
    return {"seeds": [seeds.start, seeds.stop - 1], "cases": cases, "patches_that_are_no_structure": refusals}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="images of each case and noise level")
    parser.add_argument("--first", type=int, default=100, help="first seed")
    chosen = parser.parse_args()
    print(json.dumps(figures(range(chosen.first, chosen.first + chosen.seeds))))


if __name__ == "__main__":
    main()
