"""Patches that are odd, hostile or ambiguous end in an error or a refusal, never in a wrong structure."""

from dataclasses import replace

import numpy as np
import pytest
from probescout_theory.atoms import find_atoms, given_atoms
from probescout_theory.lattices import GRAPHENE, MOS2
from probescout_theory.patch_to_structure import Patch, Recipe, describe_patch, structure_of
from probescout_theory.refusals import Refusal, RefusalReason

from benchmarks import structure_images as images
from probescout.core.errors import InvalidInput, Reason

IMAGE = np.zeros((64, 64))
ATOMS = given_atoms(np.array([[0.5, 0.5]]), (64, 64))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"image": np.zeros((4, 4, 3))}, Reason.SHAPE_MISMATCH),
        ({"image": np.zeros((0, 9))}, Reason.SHAPE_MISMATCH),
        ({"image": np.zeros((64, 128))}, Reason.SHAPE_MISMATCH),
        *[({"angstrom_per_pixel": size}, Reason.PARAM_INVALID) for size in (0.0, -1.0, np.nan, np.inf)],
        *[({"place": place}, Reason.PARAM_INVALID) for place in ((np.nan, 0.5), (0.5, 1.2), (-0.1, 0.5))],
    ],
)
def test_a_window_without_sense_is_an_error(wrong: dict, reason: Reason) -> None:
    with pytest.raises(InvalidInput) as caught:
        Patch(**{"image": IMAGE, "angstrom_per_pixel": 0.13, "atoms": ATOMS, **wrong})
    assert caught.value.reason == reason
    assert any(word in caught.value.message for word in ("give", "send", "calibrate"))


def test_pixels_of_a_micrometre_are_refused_at_once() -> None:
    where = np.random.default_rng(0).random((200, 2))
    patch = Patch(IMAGE, 1e4, (0.5, 0.5), given_atoms(where, (64, 64)))
    made = structure_of(patch, Recipe(lattice=GRAPHENE))
    assert isinstance(made, Refusal) and made.reason == RefusalReason.VACUUM


@pytest.mark.parametrize("factor", [1e-150, 1e-15, 1.0, 1e150])
def test_the_unit_of_the_image_does_not_matter(factor: float, draw) -> None:
    truth = draw("graphene_silicon", "medium", 12)
    usual = find_atoms(truth.image, GRAPHENE, images.PIXEL)
    found = find_atoms(truth.image * factor, GRAPHENE, images.PIXEL)
    np.testing.assert_allclose(found.positions_px, usual.positions_px, atol=1e-6)
    np.testing.assert_allclose(found.confidence, usual.confidence, atol=1e-6)
    np.testing.assert_allclose(found.intensity, usual.intensity * factor, rtol=1e-6)


def test_the_offset_of_the_image_does_not_matter(draw) -> None:
    truth = draw("graphene_silicon", "medium", 12)
    usual = find_atoms(truth.image, GRAPHENE, images.PIXEL)
    found = find_atoms(truth.image + 1e9, GRAPHENE, images.PIXEL)
    np.testing.assert_allclose(found.positions_px, usual.positions_px, atol=1e-4)


def test_a_patch_that_is_too_large_is_an_error_at_once() -> None:
    noise = np.random.default_rng(1).poisson(3.0, (512, 512))
    for image, pixel in ((np.zeros((1024, 1024)), 0.13), (noise, 0.35)):
        with pytest.raises(InvalidInput, match="smaller") as caught:
            find_atoms(image, GRAPHENE, pixel)
        assert caught.value.reason == Reason.SHAPE_MISMATCH
    with pytest.raises(InvalidInput, match="30000 atoms, at most 1500"):
        given_atoms(np.random.default_rng(2).random((30_000, 2)), (64, 64))


@pytest.mark.parametrize("positions", ["abc", [[0.1, 0.2], [0.3]], [["x", "y"]]])
def test_positions_that_are_no_numbers_are_an_error(positions) -> None:
    with pytest.raises(InvalidInput) as caught:
        given_atoms(positions, (64, 64))
    assert caught.value.reason == Reason.FIELD_INVALID


def test_no_atoms_at_all_are_vacuum() -> None:
    made = structure_of(Patch(IMAGE, 0.5, (0.5, 0.5), given_atoms([], (64, 64))), Recipe(lattice=GRAPHENE))
    assert isinstance(made, Refusal) and made.reason == RefusalReason.VACUUM


def test_columns_of_two_kinds_are_not_guessed_from_positions(draw) -> None:
    truth = draw("mos2", "low", 12)
    where = np.clip((truth.columns_px + 0.5) / images.SIDE, 0.0, 1.0)
    shape = truth.image.shape
    with pytest.raises(InvalidInput, match="Mo and S2.*send the label or the intensity") as caught:
        describe_patch(Patch(truth.image, images.PIXEL, atoms=given_atoms(where, shape)), Recipe(lattice=MOS2))
    assert caught.value.reason == Reason.FIELD_MISSING
    bright = [images.brightness(label) for label in truth.labels]
    for known in ({"labels": truth.labels}, {"intensity": bright}):
        atoms = given_atoms(where, shape, **known)
        described = describe_patch(Patch(truth.image, images.PIXEL, atoms=atoms), Recipe(lattice=MOS2))
        assert not isinstance(described, Refusal)
        assert [o.label for o in described.occupants] == list(truth.labels)


@pytest.mark.parametrize("scale", [0.88, 0.9, 1.1, 1.12])
def test_a_calibration_off_by_a_tenth_is_refused(scale: float, draw) -> None:
    truth = draw("graphene_vacancy", "low", 16)
    made = structure_of(Patch(truth.image, scale * images.PIXEL), Recipe(lattice=GRAPHENE))
    assert isinstance(made, Refusal) and made.reason == RefusalReason.WRONG_SCALE, made
    assert made.value == pytest.approx(scale, abs=0.02)
    assert made.limit == pytest.approx(0.92 if scale < 1 else 1.08)


def test_a_place_at_the_border_is_refused(draw) -> None:
    truth = draw("graphene", "low", 12)
    whole = Patch(truth.image, images.PIXEL)
    for place in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.0)):
        made = structure_of(replace(whole, place=place), Recipe(lattice=GRAPHENE))
        assert isinstance(made, Refusal) and made.reason == RefusalReason.BORDER
