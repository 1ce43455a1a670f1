"""The simulated samples: closed forms, orientation, and whether they make a fair task."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import label
from scipy.spatial.distance import cdist

from probescout.core.geometry import pixel_centers
from probescout.core.spectra import Scalar
from probescout.replay.twin import SCENES, make_scene
from probescout.replay.twin import ferroelectric as fe
from probescout.replay.twin import lattice as la
from probescout.replay.twin import plasmonic as pl


def band(scene, low, high):
    """Return the sum over a band as a scalarizer, written without the plug-ins."""
    index = (scene.axis.values >= low) & (scene.axis.values <= high)
    return lambda spectrum: Scalar(float(spectrum.values[index].sum()), 0.0)


def own_truth(scene):
    """Return the map (y, x) of the suggested target, computed without the plug-ins."""
    cube, p = scene.cube(), scene.params
    if scene.scalarizer == "band_sum":
        return scene.truth(band(scene, p["low"], p["high"]))
    if scene.scalarizer == "peak_ratio":
        return scene.truth(band(scene, *p["a"])) / (scene.truth(band(scene, *p["b"])) + 1.0)
    bias = scene.axis.values
    return np.abs(cube @ (np.roll(bias, 1) - np.roll(bias, -1)) / 2.0)


# ---------------------------------------------------------------- every scene


@pytest.mark.parametrize("name", SCENES)
def test_suggested_target_agrees_with_an_independent_sum(name):
    scene = make_scene(name, seed=2, size=24)
    # The spike filter of the loop area may touch a smooth loop a little.
    np.testing.assert_allclose(scene.truth(), own_truth(scene), rtol=0.02 if name == "ferroelectric" else 1e-9)


@pytest.mark.parametrize("name", SCENES)
def test_signals_are_finite_and_counts_positive(name):
    scene = make_scene(name, seed=1)
    cube = scene.cube()
    assert cube.shape == (64, 64, len(scene.axis.values))
    assert np.isfinite(cube).all() and np.isfinite(scene.image).all()
    if scene.signal_channel.kind == "counts":
        assert cube.min() > 0 and scene.image.min() > 0


@pytest.mark.parametrize("name", SCENES)
def test_one_spectrum_is_that_of_the_cube(name):
    scene = make_scene(name, seed=1, size=(20, 28))
    cube = scene.cube()
    for row, col in ((0, 27), (19, 0), (7, 13)):
        np.testing.assert_allclose(scene.spectrum((row + 0.5) / 20, (col + 0.5) / 28), cube[row, col], rtol=1e-12)


@pytest.mark.parametrize("name", SCENES)
def test_same_seed_same_sample(name):
    one, same, other = make_scene(name, 3, 24), make_scene(name, 3, 24), make_scene(name, 4, 24)
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.cube(), same.cube())
    assert not np.array_equal(one.image, other.image)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.seed = 5


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("seed", range(4))
def test_target_is_not_brightness_and_its_optimum_is_rare(name, seed):
    scene = make_scene(name, seed)
    truth = own_truth(scene)
    assert abs(np.corrcoef(truth.ravel(), scene.image.ravel())[0, 1]) < 0.8
    top = truth >= np.quantile(truth, 0.99)
    _, n_places = label(top, np.ones((3, 3)))
    assert 1 <= n_places <= 20, "the top 1 % (41 pixels) must lie in a few places"
    assert (truth.max() - np.median(truth)) / truth.std() > 2.0


@pytest.mark.parametrize("name", SCENES)
def test_target_can_be_learned_from_patches_and_less_from_brightness(name):
    scene = make_scene(name, 0)
    truth = own_truth(scene)
    target = (truth - truth.mean()) / truth.std()
    padded = np.pad((scene.image - scene.image.mean()) / scene.image.std(), 6, mode="reflect")
    patches = np.lib.stride_tricks.sliding_window_view(padded, (13, 13)).reshape(64 * 64, -1)
    order = np.random.default_rng(0).permutation(64 * 64)
    train, test = order[:1200], order[1200:2400]
    left = kernel_ridge_r2(patches, target.ravel(), train, test)
    bright = kernel_ridge_r2(patches[:, 84:85], target.ravel(), train, test)
    assert left > 0.6
    assert bright < left - 0.2


def kernel_ridge_r2(features, target, train, test):
    """Return R2 on held-out pixels of a Gaussian kernel ridge with the median distance as its width."""
    squares = cdist(features[train], features[train], "sqeuclidean")
    scale = np.median(squares)
    weights = np.linalg.solve(np.exp(-squares / scale) + 1e-2 * np.eye(len(train)), target[train])
    guess = np.exp(-cdist(features[test], features[train], "sqeuclidean") / scale) @ weights
    return 1.0 - ((guess - target[test]) ** 2).mean() / target[test].var()


# ---------------------------------------------------------------- plasmonic


def test_two_dipoles_split_as_in_the_closed_form():
    gap, radius, own = 24.0, 8.0, 0.7
    energies, vectors, _ = pl.couple(np.array([[0.0, 0.0], [0.0, gap]]), np.full(2, radius), np.full(2, own))
    g = pl.COUPLING * radius**3 / gap**3
    expected = own * np.sqrt(1.0 + g * np.array([-2.0, -1.0, 1.0, 2.0]))
    np.testing.assert_allclose(energies, expected, rtol=1e-12)
    # The lowest mode is the bonding one: both dipoles along the pair (x), in phase.
    np.testing.assert_allclose(np.abs(vectors[:, 0]), [0, np.sqrt(0.5), 0, np.sqrt(0.5)], atol=1e-12)
    assert vectors[1, 0] * vectors[3, 0] > 0


def test_far_particles_do_not_couple():
    energies, _, crowding = pl.couple(np.array([[0.0, 0.0], [1e5, 0.0]]), np.full(2, 8.0), np.array([0.6, 0.8]))
    np.testing.assert_allclose(energies, [0.6, 0.6, 0.8, 0.8], rtol=1e-9)
    assert crowding.max() < 1e-9


def test_loss_function_is_that_of_a_driven_oscillator():
    energy, center, width = np.linspace(0.3, 1.2, 50), 0.7, 0.08
    response = 1.0 / (center**2 - energy**2 - 1j * energy * width)
    np.testing.assert_allclose(
        pl.lorentzian(energy, np.array([center]), width)[0], response.imag * width * center, rtol=1e-12
    )


def test_modes_keep_the_sum_of_squared_energies():
    scene = make_scene("plasmonic", 5)
    n = len(scene.centers_nm)
    gram = scene.mode_vectors.T @ scene.mode_vectors
    np.testing.assert_allclose(gram, np.eye(2 * n), atol=1e-10)
    # The coupling has no trace, so the mean squared energy is that of lone particles (1 % scatter of each).
    assert np.mean(scene.mode_eV**2) == pytest.approx(pl.DIPOLE_EV**2, rel=0.01)


def test_plasmonic_particles_are_bright_where_they_are():
    scene = make_scene("plasmonic", 0, size=(48, 80))
    at = scene.centers_nm / (scene.pixel_size_m * 1e9)
    rows, cols = np.floor(at[((at >= 1) & (at < np.array([47, 79]))).all(axis=1)]).astype(int).T
    assert scene.image[rows, cols].min() > scene.image.mean()
    assert scene.image[::-1][rows, cols].min() < scene.image.mean()


def test_bulk_loss_follows_the_thickness_and_red_modes_do_not():
    scene = make_scene("plasmonic", 0)
    bulk = scene.truth(band(scene, 1.1, 1.3))
    red = scene.truth(band(scene, 0.5, 0.56))
    assert np.corrcoef(bulk.ravel(), scene.image.ravel())[0, 1] > 0.95
    assert np.corrcoef(red.ravel(), scene.image.ravel())[0, 1] < 0.8


# ---------------------------------------------------------------- lattice


def flake():
    """Return the positions (atom, 2) in nm of one carbon with three neighbours."""
    angle = np.deg2rad([0, 120, 240])
    return np.concatenate([[[0.0, 0.0]], la.BOND_NM * np.column_stack([np.sin(angle), np.cos(angle)])])


def test_counts_neighbours():
    numbers = np.array([la.CARBON, la.NITROGEN, la.SILICON, la.CARBON])
    missing, bond, n_nitrogen = la.neighbours(flake(), numbers)
    np.testing.assert_array_equal(missing, [0, 0, 0, 2])
    np.testing.assert_allclose(bond, la.BOND_NM)
    np.testing.assert_array_equal(n_nitrogen, [1, 0, 0, 0])


def test_fine_structure_follows_the_surroundings():
    energy = np.linspace(276, 330, 5401)
    carbon = np.full(4, la.CARBON)
    bond = la.BOND_NM * np.array([1.0, 1.02, 1.0, 1.0])
    edges = la.atom_edges(energy, carbon, np.array([0.0, 0, 1, 0]), bond, np.array([0.0, 0, 0, 1]))

    def peak(edge, low, high):
        window = (energy > low) & (energy < high)
        return energy[window][edge[window].argmax()]

    stretched = peak(edges[1], 287, 296) - peak(edges[0], 287, 296)
    assert stretched == pytest.approx(la.SIGMA_SLOPE_EV_NM * 0.02 * la.BOND_NM, abs=0.05)
    assert peak(edges[3], 283, 288) - peak(edges[0], 283, 288) == pytest.approx(0.9, abs=0.05)
    dangling = (energy > 282) & (energy < 283.5)
    assert edges[2][dangling].sum() > 5 * edges[0][dangling].sum()


@pytest.mark.parametrize("seed", range(3))
def test_open_vacancies_show_the_state_and_healed_ones_do_not(seed):
    scene = make_scene("lattice", seed)
    truth = own_truth(scene)
    at = np.floor(scene.atoms_nm / (scene.pixel_size_m * 1e9)).astype(int)
    inside = ((at >= 0) & (at < 64)).all(axis=1)
    is_open = inside & (scene.n_missing > 0) & ((at > 6) & (at < 58)).all(axis=1)
    healed = inside & (scene.numbers == la.SILICON)
    assert is_open.any() and healed.any()
    assert truth[tuple(at[is_open].T)].min() > 1.5 * np.median(truth)
    assert truth[tuple(at[healed].T)].max() < 0.6 * truth.max()


def test_silicon_is_the_brightest_atom_where_it_sits():
    scene = make_scene("lattice", 0, size=(40, 72))
    at = scene.atoms_nm[scene.numbers == la.SILICON] / (scene.pixel_size_m * 1e9)
    brightest = np.array(np.unravel_index(scene.image.argmax(), scene.image.shape)) + 0.5
    assert np.linalg.norm(at - brightest, axis=1).min() < 1.0
    mirrored = np.array([40, 72]) - brightest
    assert np.linalg.norm(at - mirrored, axis=1).min() > 3.0


def test_strain_is_a_few_per_cent():
    scene = make_scene("lattice", 1)
    whole = (scene.n_missing == 0) & ((scene.atoms_nm > 0.2) & (scene.atoms_nm < 1.7)).all(axis=1)
    strain = scene.bond_nm[whole] / la.BOND_NM - 1.0
    assert 0.003 < strain.std() < 0.04 and np.abs(strain).max() < 0.10


# ---------------------------------------------------------------- ferroelectric


def test_bias_is_one_triangle_that_rises_first():
    bias = fe.Ferroelectric.axis.values
    assert (bias[0], bias[16], bias[32], bias[48]) == (0.0, 8.0, 0.0, -8.0)
    np.testing.assert_allclose(np.abs(np.diff(bias)), 0.5)


def test_loop_area_is_four_times_saturation_times_coercive_bias():
    scene = make_scene("ferroelectric", 3)
    positions = pixel_centers(64, 64)
    coercive = scene.coercive_V(positions)
    share = np.abs(scene.polarization(positions))
    # Far from all walls, where the closed form of an ideal loop holds: 4 R_s V_c.
    calm = share > 0.999
    area = own_truth(scene).ravel()[calm]
    assert calm.sum() > 100
    np.testing.assert_allclose(area, 4.0 * fe.SATURATION_PM * coercive[calm], rtol=0.02)


def test_loops_open_counterclockwise():
    scene = make_scene("ferroelectric", 3)
    loops, bias = scene.cube().reshape(-1, 64), scene.axis.values
    signed = loops @ (np.roll(bias, 1) - np.roll(bias, -1)) / 2.0
    assert (signed > 0).all()


def test_walls_soften_and_pinned_walls_harden():
    scene = make_scene("ferroelectric", 1)
    coercive = scene.coercive_V(pixel_centers(64, 64))
    assert coercive.min() == pytest.approx(0.55 * fe.COERCIVE_V, rel=0.02)
    assert coercive.max() > 1.3 * fe.COERCIVE_V


def test_polarization_is_bounded_and_both_ways():
    image = make_scene("ferroelectric", 2).image
    assert image.min() < -15 and image.max() > 15 and np.abs(image).max() <= 18.0
