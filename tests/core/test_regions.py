"""Where a probe may go, against matplotlib's point-in-polygon test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path

from probescout.core.geometry import pixel_centers
from probescout.core.regions import allowed, inside, is_allowed
from probescout.core.specs import Limits, Polygon


def star(seed: int, n: int) -> Polygon:
    """Return a polygon without self-crossings: corners at rising angles around the middle."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    radius = rng.uniform(0.1, 0.6, n)
    return Polygon(tuple(0.5 + radius * np.sin(angle)), tuple(0.5 + radius * np.cos(angle)))


def by_matplotlib(polygon: Polygon, at: np.ndarray) -> np.ndarray:
    corners = np.column_stack([polygon.x, polygon.y])
    return Path(np.vstack([corners, corners[:1]]), closed=True).contains_points(at[:, ::-1])


@given(st.integers(0, 10_000), st.integers(3, 12))
def test_inside_agrees_with_matplotlib(seed: int, n: int) -> None:
    polygon, at = star(seed, n), np.random.default_rng(seed).uniform(-0.2, 1.2, (200, 2))
    np.testing.assert_array_equal(inside(polygon, at), by_matplotlib(polygon, at))


def test_a_polygon_that_crosses_itself_follows_the_even_odd_rule() -> None:
    angle = 4 * np.pi / 5 * np.arange(5)
    pentagram = Polygon(tuple(0.5 - 0.4 * np.cos(angle)), tuple(0.5 + 0.4 * np.sin(angle)))
    # Its middle is encircled twice; its tips once.
    np.testing.assert_array_equal(inside(pentagram, np.array([[0.5, 0.5], [0.15, 0.5], [0.95, 0.5]])), [0, 1, 0])


@given(st.integers(0, 10_000))
def test_limits_combine(seed: int) -> None:
    rng = np.random.default_rng(seed)
    yes, more, no = star(seed, 6), star(seed + 1, 5), star(seed + 2, 4)
    border, mask = float(rng.uniform(0, 0.2)), rng.random((7, 9)) < 0.7
    at = rng.uniform(-0.1, 1.1, (150, 2))
    wanted = (by_matplotlib(yes, at) | by_matplotlib(more, at)) & ~by_matplotlib(no, at)
    for i, (y, x) in enumerate(at):
        is_in = border <= y <= 1 - border and border <= x <= 1 - border
        wanted[i] &= is_in and mask[min(int(y * 7), 6), min(int(x * 9), 8)]
    limits = Limits((yes, more), (no,), border=border)
    np.testing.assert_array_equal(allowed(limits, mask, at), wanted)
    assert [is_allowed(limits, mask, y, x) for y, x in at[:20]] == list(wanted[:20])


def test_a_mask_is_read_by_row_and_column() -> None:
    mask = np.random.default_rng(3).random((5, 8)) < 0.5
    np.testing.assert_array_equal(allowed(Limits(), mask, pixel_centers(5, 8)), mask.ravel())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_nowhere_allowed(bad: float) -> None:
    assert not is_allowed(Limits(), None, bad, 0.5)
    assert not is_allowed(Limits(), np.ones((4, 4), dtype=bool), 0.5, bad)


def test_without_limits_the_whole_frame_is_allowed() -> None:
    assert allowed(Limits(), None, np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])).all()
    assert not allowed(Limits(), None, np.array([[-1e-9, 0.5], [0.5, 1.0 + 1e-9]])).any()
