"""The order of a batch: never longer than given, and the shortest where that can be known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probescout.runtime.routing import order_route, route_length

FRACTION = st.floats(0, 1)
POINTS = st.lists(st.tuples(FRACTION, FRACTION), max_size=12).map(lambda p: np.array(p, dtype=float).reshape(-1, 2))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(POINTS, st.none() | st.tuples(FRACTION, FRACTION), st.floats(0.1, 10))
def test_route_is_a_permutation_never_longer_than_the_order_given(points, start, aspect):
    order = order_route(points, start, aspect)
    assert sorted(order.tolist()) == list(range(len(points)))
    assert route_length(points[order], start, aspect) <= route_length(points, start, aspect) * (1 + 1e-12)


@pytest.mark.parametrize("start", [None, (0.2, 0.9)])
def test_route_is_close_to_the_shortest_of_all(start):
    ratios = []
    for seed in range(25):
        points = np.random.default_rng(seed).uniform(size=(7, 2))
        shortest = min(route_length(points[list(p)], start, 0.5) for p in itertools.permutations(range(7)))
        ratios.append(route_length(points[order_route(points, start, 0.5)], start, 0.5) / shortest)
    assert min(ratios) > 1 - 1e-12
    assert np.mean(ratios) < 1.02 and max(ratios) < 1.15
    by_chance = [route_length(np.random.default_rng(s).uniform(size=(7, 2)), start, 0.5) for s in range(25)]
    assert np.mean(by_chance) > 1.5 * shortest


def test_a_line_is_walked_along():
    points = np.column_stack([np.zeros(20), np.random.default_rng(0).permutation(20) / 20])
    order = order_route(points, (0.0, -0.1))
    assert (np.diff(points[order, 1]) > 0).all()


def test_aspect_stretches_the_rows():
    points = np.array([[0.5, 0.0], [0.0, 0.4]])
    assert order_route(points, (0.0, 0.0), 1.0).tolist() == [1, 0]
    assert order_route(points, (0.0, 0.0), 0.1).tolist() == [0, 1]


def test_equal_points_and_long_batches_end():
    assert order_route(np.full((30, 2), 0.5), (0.5, 0.5)).tolist() == list(range(30))
    points = np.random.default_rng(1).uniform(size=(64, 2))
    given_length = route_length(points, (0.0, 0.0))
    assert route_length(points[order_route(points, (0.0, 0.0))], (0.0, 0.0)) < 0.3 * given_length


def test_length_by_hand():
    points = np.array([[0.0, 0.0], [0.5, 0.0], [0.5, 1.0]])
    assert route_length(points) == pytest.approx(1.5)
    assert route_length(points, (0.0, 1.0), aspect=2.0) == pytest.approx(3.0)
    assert route_length(points[:1]) == 0.0
