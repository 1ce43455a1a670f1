"""Representations: scalings, independence of units, odd images."""

import time

import numpy as np
import pytest
from scipy import ndimage

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_centers
from probescout.surrogates.features import compute_features, features_of_box, features_of_patches


@pytest.fixture
def image():
    return ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 30)), 1.0)


def test_shapes_and_scalings_are_those_of_the_recipe(image):
    found = compute_features(image)
    assert {name: array.shape for name, array in found.arrays.items()} == {
        "xy": (720, 2),
        "pca8": (720, 10),
        "bank": (720, 8),
    }
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in found.arrays.values())
    assert found.arrays["xy"].max() == pytest.approx(29 / 30)
    for name, first in (("pca8", 1.0), ("bank", 2.0)):
        sd = found.arrays[name].std(axis=0)
        assert sd[0] == pytest.approx(first, rel=1e-4)
        assert (np.diff(sd) <= 1e-6).all()
        correlation = np.corrcoef(found.arrays[name].T)
        assert np.abs(correlation - np.eye(len(correlation))).max() < 1e-3


def test_patch_components_are_those_of_a_singular_value_decomposition(image):
    standardised = np.clip((image - image.mean()) / image.std(), -4, 4)
    padded = np.pad(standardised, [(4, 3), (4, 3)], mode="reflect")
    rows = np.array([padded[i : i + 8, j : j + 8].ravel() for i in range(24) for j in range(30)])
    u, s, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    expected = (u * s)[:, :10] / (s[0] / np.sqrt(len(rows)))
    found = compute_features(image).arrays["pca8"]
    signs = np.sign((expected * found).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=1e-4)


def test_offset_and_gain_of_the_detector_do_not_matter(image):
    one, other = compute_features(image), compute_features((3e5 + 1e4 * image).astype(np.float64))
    for name in one.arrays:
        np.testing.assert_allclose(other.arrays[name], one.arrays[name], atol=2e-4)


def test_same_image_gives_same_bits(image):
    one, other = compute_features(image), compute_features(image.copy())
    for name in one.arrays:
        np.testing.assert_array_equal(other.arrays[name], one.arrays[name])


def test_stride_keeps_the_centres(image):
    found = compute_features(image, stride=3)
    assert found.shape == (8, 10)
    np.testing.assert_array_equal(found.positions, pixel_centers(24, 30, 3))
    pixel = np.floor(found.positions * [24, 30]).astype(int)
    np.testing.assert_allclose(found.arrays["xy"], pixel / 30, atol=1e-6)


def test_bad_pixels_are_filled_with_the_median(image):
    spoilt, filled = image.copy(), image.copy()
    for pixel, value in (((3, 4), np.nan), ((10, 20), np.inf), ((23, 0), -np.inf)):
        spoilt[pixel] = value
    is_good = np.isfinite(spoilt)
    filled[~is_good] = np.median(spoilt[is_good])
    one, other = compute_features(spoilt), compute_features(filled)
    for name in one.arrays:
        np.testing.assert_allclose(one.arrays[name], other.arrays[name], atol=1e-6)


@pytest.mark.parametrize("dust", [65535.0, 1e30])
def test_a_hot_pixel_does_not_set_the_scale(image, dust):
    hot = image.copy()
    hot[3, 4] = dust
    clean, spoilt = (compute_features(i).arrays["bank"] for i in (image, hot))
    far = np.linalg.norm(np.argwhere(np.ones_like(image)) - [3, 4], axis=1) > 24
    spread = [np.subtract(*np.percentile(a[far], [75, 25], axis=0)) for a in (clean, spoilt)]
    assert spread[1].max() > 0.4 * spread[0].max()


def test_channels_are_seen_together(image):
    other = np.random.default_rng(1).normal(size=image.shape)
    found = compute_features(np.stack([image, other]))
    assert found.arrays["pca8"].shape == (720, 10)
    alone = compute_features(image)
    assert not np.allclose(np.abs(found.arrays["bank"]), np.abs(alone.arrays["bank"]), atol=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 3), (2, 5, 4)])
@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan])
def test_tiny_and_flat_images_give_finite_features(shape, fill):
    found = compute_features(np.full(shape, fill))
    assert all(np.isfinite(array).all() for array in found.arrays.values())
    assert found.n_candidates == shape[-1] * shape[-2]


def test_integers_and_huge_offsets_are_taken(image):
    counts = np.random.default_rng(0).poisson(5, size=(16, 16)).astype(np.uint8)
    assert np.isfinite(compute_features(counts).arrays["bank"]).all()
    huge = compute_features(1e200 * (image + 5.0))
    np.testing.assert_allclose(huge.arrays["pca8"], compute_features(image).arrays["pca8"], atol=1e-3)


def test_patches_without_an_image(image):
    padded = np.pad(image, 8, mode="reflect")
    patches = np.array([padded[i : i + 16, j : j + 16] for i in range(24) for j in range(30)])[:, None]
    found = features_of_patches(patches, pixel_centers(24, 30))
    assert found.arrays["pca8"].shape == (720, 10) and found.arrays["bank"].shape == (720, 8)
    assert found.shape is None
    whole = compute_features(image).arrays["pca8"]
    # The same structure seen either way: the first component agrees up to scaling.
    assert abs(np.corrcoef(found.arrays["pca8"][:, 0], whole[:, 0])[0, 1]) > 0.9


def test_box_is_coordinates_alone():
    found = features_of_box(np.array([[0.0, 0.5, 1.0], [1.0, 0.2, 0.3]]))
    assert list(found.arrays) == ["xy"] and found.arrays["xy"].shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: compute_features(np.zeros(5)), Reason.SHAPE_MISMATCH),
        (lambda: compute_features(np.zeros((0, 5))), Reason.SHAPE_MISMATCH),
        (lambda: compute_features(np.zeros((5, 5)), stride=6), Reason.PARAM_INVALID),
        (lambda: compute_features(np.zeros((5, 5)), stride=0), Reason.PARAM_INVALID),
        (lambda: features_of_patches(np.zeros((3, 8, 8)), np.zeros((3, 2))), Reason.SHAPE_MISMATCH),
        (lambda: features_of_patches(np.zeros((3, 1, 8, 8)), np.zeros((4, 2))), Reason.SHAPE_MISMATCH),
        (lambda: features_of_box(np.zeros(3)), Reason.SHAPE_MISMATCH),
        (lambda: features_of_box(np.full((3, 1), np.nan)), Reason.NON_FINITE),
    ],
)
def test_wrong_input_is_refused(call, reason):
    with pytest.raises(InvalidInput) as caught:
        call()
    assert caught.value.reason is reason


def test_a_large_image_takes_seconds():
    image = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    started = time.perf_counter()
    assert compute_features(image).n_candidates == 512 * 512
    assert time.perf_counter() - started < 20.0
