"""Which candidates of a large frame are kept, and which are looked at more closely."""

import numpy as np
import pytest

from probescout.surrogates.field import MOST_BYTES, MOST_CANDIDATES, Field, draw, limit, near, nearest, spacing


def test_a_small_frame_is_kept_whole():
    field = draw(1000, (25, 40), None, 1000, [0])
    assert field.is_whole and len(field) == 1000
    some = np.array([3, 999, 0])
    np.testing.assert_array_equal(field.places(some), some)


@pytest.mark.parametrize("shape", [(300, 300), (64, 1500), (1, 90_000)])
def test_a_large_frame_is_sampled_evenly_and_without_a_pattern(shape):
    n = shape[0] * shape[1]
    field = draw(n, shape, None, 4000, [7])
    assert 3000 <= len(field) <= 4000 and len(np.unique(field.candidates)) == len(field)
    assert (np.diff(field.candidates) > 0).all()
    # No part of the frame has much more than its share.
    rows, cols = field.candidates // shape[1], field.candidates % shape[1]
    parts = (rows * min(10, shape[0]) // shape[0]) * 10 + cols * 10 // shape[1]
    counts = np.bincount(parts, minlength=10 * min(10, shape[0]))
    assert counts.max() < 1.3 * counts.mean() and counts.min() > 0.7 * counts.mean()
    # A regular lattice would see only one phase of a lattice of twice its period.
    phases = np.bincount(cols % 8, minlength=8)
    assert phases.min() > 0.8 * phases.mean()


def test_the_same_seed_draws_the_same():
    one, same, other = (draw(90_000, (300, 300), None, 2000, [s]) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.candidates, same.candidates)
    assert not np.array_equal(one.candidates, other.candidates)


def test_only_allowed_candidates_are_kept():
    y, x = np.mgrid[0:400, 0:400]
    disc = ((y - 200) ** 2 + (x - 120) ** 2 < 90**2).ravel()
    field = draw(160_000, (400, 400), disc, 3000, [0])
    assert disc[field.candidates].all() and 2000 <= len(field) <= 3000
    tiny = np.zeros(160_000, dtype=bool)
    tiny[40_000:40_500] = True
    np.testing.assert_array_equal(draw(160_000, (400, 400), tiny, 3000, [0]).candidates, np.flatnonzero(tiny))
    assert len(draw(160_000, (400, 400), np.zeros(160_000, dtype=bool), 3000, [0])) > 2000


def test_candidates_without_a_grid_are_drawn_at_random():
    field = draw(50_000, None, None, 3000, [0])
    assert len(field) == 3000 == len(np.unique(field.candidates))


def test_places_of_candidates_that_are_not_kept_are_minus_one():
    field = Field(np.array([2, 5, 11]), 20)
    np.testing.assert_array_equal(field.places(np.array([5, 6, 19, 2, 0])), [1, -1, -1, 0, -1])


def test_less_is_kept_as_measurements_grow():
    found = [limit(n, 5) for n in (0, 200, 400, 1000, 5000, 10**6)]
    assert found[0] == found[1] == MOST_CANDIDATES
    assert found == sorted(found, reverse=True) and found[-1] == 1024
    for n in (200, 400, 1000, 5000):
        assert 4 * n * 5 * limit(n, 5) <= MOST_BYTES


def test_windows_around_the_best_hold_every_free_pixel_once():
    free = np.ones(600, dtype=bool)
    free[[21, 45]] = False
    found = near(np.array([21, 22, 599]), (20, 30), 1, free, 100)
    rows = {r * 30 + c for r in (0, 1) for c in (20, 21, 22, 23)}
    assert set(found.tolist()) == (rows - {21}) | {568, 569, 598, 599}
    assert len(found) == len(set(found.tolist()))
    np.testing.assert_array_equal(near(np.array([21, 22, 599]), (20, 30), 1, free, 4), found[:4])


def test_the_spacing_of_a_field_spans_to_its_neighbours():
    assert spacing((256, 256), 65_536, 32_768) == 2
    assert spacing((1024, 1024), 1 << 20, 32_768) == 6


@pytest.mark.parametrize("shape", [(30, 50), None])
def test_the_nearest_kept_candidate_is_the_nearest(shape):
    positions = np.stack(np.meshgrid(np.arange(30.0), np.arange(50.0), indexing="ij"), axis=-1).reshape(-1, 2)
    field = draw(1500, shape, None, 90, [2])
    found = nearest(field, positions, shape)
    gaps = np.linalg.norm(positions[:, None] - positions[field.candidates][None], axis=2)
    np.testing.assert_allclose(gaps[np.arange(1500), found], gaps.min(axis=1), atol=1e-9)
    np.testing.assert_array_equal(found[field.candidates], np.arange(len(field)))
