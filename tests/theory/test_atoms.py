"""Atoms in simulated images with known truth: found, false, position error, confidence; and atoms from outside."""

import numpy as np
import pytest
from probescout_theory.atoms import find_atoms, given_atoms, noise_sd
from probescout_theory.columns import calibrate, pixel_angstrom, place_angstrom
from probescout_theory.lattices import GRAPHENE, MOS2
from scipy.spatial import cKDTree

from benchmarks import structure_images as images
from benchmarks.structures import finding, inner, lattice_of
from probescout.core.errors import InvalidInput, Reason

LIMITS = {
    # level: share found, false ones, rms error in angstrom for graphene and MoS2
    "low": (1.0, 0, 0.030, 0.020),
    "medium": (0.997, 0, 0.060, 0.030),
    "high": (0.98, 2, 0.125, 0.060),
}


@pytest.mark.parametrize("level", list(images.NOISE))
@pytest.mark.parametrize("case", list(images.SHEETS))
def test_atoms_found_and_where(case: str, level: str, draw) -> None:
    lattice = lattice_of(case)
    result = finding(draw(case, level, 11), lattice)
    share, n_false, carbon, sulfide = LIMITS[level]
    assert result["n_true"] > 200
    assert result["n_found"] >= share * result["n_true"]
    assert result["n_false"] <= n_false
    assert np.sqrt((result["errors"] ** 2).mean()) < (sulfide if lattice is MOS2 else carbon)


def test_stated_position_error_is_that_of_the_noise() -> None:
    """Without drift jitter the fit's own standard deviation is the scatter of its positions, within a fifth."""
    truth = images.draw(images.clean_graphene(), 30.0, np.random.default_rng(3))
    px = truth.columns_px
    rng = np.random.default_rng(4)
    y, x = np.arange(images.SIDE)[:, None], np.arange(images.SIDE)[None, :]
    light = np.full((images.SIDE, images.SIDE), 9.0)
    for row, col in px:
        light += 30.0 * np.exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * (images.PROBE / images.PIXEL) ** 2))
    atoms = find_atoms(rng.poisson(light), GRAPHENE, images.PIXEL)
    away, nearest = cKDTree(px).query(atoms.positions_px)
    kept = inner(atoms.positions_px)
    error = (atoms.positions_px - px[nearest])[kept]
    assert (away[kept] < 3).all()
    assert np.abs(error.mean(axis=0)).max() < 4 * error.std() / np.sqrt(kept.sum())
    assert error.std() == pytest.approx(np.sqrt((atoms.position_sd_px[kept] ** 2).mean()), rel=0.2)
    heights = atoms.intensity[kept]
    assert heights.mean() == pytest.approx(30.0, rel=0.03)
    assert heights.std() == pytest.approx(np.sqrt((atoms.intensity_sd[kept] ** 2).mean()), rel=0.2)


def test_noise_alone_has_few_confident_atoms() -> None:
    image = np.random.default_rng(5).poisson(20.0, (200, 200))
    atoms = find_atoms(image, GRAPHENE, images.PIXEL)
    assert atoms.n_atoms <= 3


def test_a_flat_image_has_no_atoms() -> None:
    assert find_atoms(np.full((100, 100), 7.0), GRAPHENE, 0.13).n_atoms == 0


def test_confidence_falls_with_the_noise(draw) -> None:
    doubtful = [
        float((find_atoms(draw("graphene", level, 6).image, GRAPHENE, images.PIXEL).confidence < 0.99).mean())
        for level in ("low", "high")
    ]
    assert doubtful[0] == 0.0
    assert 0.0 < doubtful[1] < 0.3


def test_noise_of_a_pixel() -> None:
    y, x = np.mgrid[:200, :200]
    image = 50 * np.sin(x / 15) + 30 * np.cos(y / 20) + np.random.default_rng(0).normal(0, 4.0, (200, 200))
    assert noise_sd(image) == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize(
    ("image", "pixel", "reason"),
    [
        (np.zeros((5, 100)), 0.13, Reason.SHAPE_MISMATCH),
        (np.zeros((40, 40, 3)), 0.13, Reason.SHAPE_MISMATCH),
        (np.zeros((40, 40), dtype=complex), 0.13, Reason.DTYPE_MISMATCH),
        (np.full((40, 40), np.nan), 0.13, Reason.NON_FINITE),
        (np.zeros((40, 40)), 0.5, Reason.PARAM_INVALID),
        (np.zeros((40, 40)), -1.0, Reason.PARAM_INVALID),
        (np.zeros((40, 40)), float("nan"), Reason.PARAM_INVALID),
    ],
)
def test_images_that_cannot_be_used(image: np.ndarray, pixel: float, reason: Reason) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_atoms(image, GRAPHENE, pixel)
    assert caught.value.reason == reason


def test_given_atoms_keep_their_places() -> None:
    atoms = given_atoms(np.array([[0.25, 0.25], [0.0, 1.0]]), (100, 200), confidence=[0.9, 0.2], labels=["C", "Si"])
    assert atoms.positions_px.tolist() == [[24.5, 49.5], [-0.5, 199.5]]
    columns = calibrate(atoms, 0.1)
    assert columns.n_columns == 1 and columns.labels == ("C",)
    # Left of the middle by a quarter of 20 angstrom, above it by a quarter of 10.
    assert columns.xy[0] == pytest.approx([-5.0, 2.5])
    assert columns.to_edge(columns.xy)[0] == pytest.approx(2.5)
    assert place_angstrom(0.25, 0.5, (100, 200), 0.1) == pytest.approx((0.0, 2.5))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"positions": np.zeros((3, 3))}, Reason.SHAPE_MISMATCH),
        ({"positions": np.array([[0.5, 1.5]])}, Reason.FIELD_INVALID),
        ({"positions": np.array([[0.5, np.nan]])}, Reason.NON_FINITE),
        ({"positions": np.array([[0.5, 0.5]]), "confidence": [2.0]}, Reason.FIELD_INVALID),
        ({"positions": np.array([[0.5, 0.5]]), "confidence": [1.0, 1.0]}, Reason.SHAPE_MISMATCH),
        ({"positions": np.array([[0.5, 0.5]]), "labels": []}, Reason.SHAPE_MISMATCH),
        ({"positions": np.array([[0.5, 0.5]]), "intensity": [np.inf]}, Reason.NON_FINITE),
    ],
)
def test_given_atoms_that_cannot_be_used(arguments: dict, reason: Reason) -> None:
    with pytest.raises(InvalidInput) as caught:
        given_atoms(**arguments, shape=(10, 10))
    assert caught.value.reason == reason


def test_pixel_sizes_in_other_units() -> None:
    assert pixel_angstrom(0.013, "nm") == pytest.approx(0.13)
    assert pixel_angstrom(13.0, "pm") == pytest.approx(0.13)
    for size, unit in ((0.1, "V"), (0.0, "nm"), (float("inf"), "nm")):
        with pytest.raises(InvalidInput):
            pixel_angstrom(size, unit)
