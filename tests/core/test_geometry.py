"""Fractional positions, affine maps and candidate sets, against closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from probescout.core.candidates import CandidateSet
from probescout.core.errors import InvalidInput, Reason
from probescout.core.events import FrameAdded
from probescout.core.geometry import Affine, Position, distance, pixel_centers, pixel_of
from probescout.core.state import Frame

sizes = st.integers(1, 60)
fractions = st.floats(0.0, 1.0)
small = st.floats(-2.0, 2.0)
affines = st.builds(Affine, small, small, small, small, small, small)


@given(sizes, sizes, st.data())
def test_a_pixel_centre_lies_in_its_pixel(height: int, width: int, data: st.DataObject) -> None:
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    assert pixel_of((row + 0.5) / height, (col + 0.5) / width, height, width) == (row, col)


@given(sizes, sizes, fractions, fractions)
def test_a_position_lies_within_half_a_pixel_of_its_centre(height: int, width: int, y: float, x: float) -> None:
    row, col = pixel_of(y, x, height, width)
    assert abs((row + 0.5) / height - y) <= 0.5 / height + 1e-12
    assert abs((col + 0.5) / width - x) <= 0.5 / width + 1e-12


def test_the_far_edge_belongs_to_the_last_pixel() -> None:
    assert pixel_of(1.0, 1.0, 4, 7) == (3, 6)
    assert pixel_of(0.0, 0.0, 4, 7) == (0, 0)


def test_the_diagonal_has_length_one() -> None:
    assert distance(Position(0.0, 0.0), Position(1.0, 1.0)) == pytest.approx(1.0)
    assert distance(Position(0.2, 0.5), Position(0.5, 0.9)) == pytest.approx(0.5 / math.sqrt(2))


@given(affines, small, small)
def test_an_affine_map_and_its_inverse_cancel(a: Affine, y: float, x: float) -> None:
    assume(abs(a.yy * a.xx - a.yx * a.xy) > 1e-2)
    back = a.inverse().apply(a.apply(Position(y, x)))
    assert (back.y, back.x) == (pytest.approx(y, abs=1e-8), pytest.approx(x, abs=1e-8))


@given(affines, affines)
def test_composition_is_the_product_of_homogeneous_matrices(a: Affine, b: Affine) -> None:
    def matrix(m: Affine) -> np.ndarray:
        return np.array([[m.yy, m.yx, m.y0], [m.xy, m.xx, m.x0], [0.0, 0.0, 1.0]])

    np.testing.assert_allclose(matrix(a.after(b)), matrix(a) @ matrix(b), atol=1e-12)


@pytest.mark.parametrize(
    ("affine", "reason"),
    [
        (Affine(1, 1, 0, 1, 1, 0), Reason.FIELD_INVALID),
        (Affine(0, 0, 0, 0, 0, 0), Reason.FIELD_INVALID),
        (Affine(1, 0, math.nan, 0, 1, 0), Reason.NON_FINITE),
        (Affine(1, 0, 0, 0, 1, math.inf), Reason.NON_FINITE),
        (Affine(math.nan, 0, 0, 0, 1, 0), Reason.NON_FINITE),
    ],
)
def test_a_map_that_cannot_be_undone_is_refused(affine: Affine, reason: Reason) -> None:
    with pytest.raises(InvalidInput) as caught:
        affine.inverse()
    assert (caught.value.reason, caught.value.field) == (reason, "affine")


@given(sizes, sizes, st.integers(1, 9), fractions, fractions)
def test_nearest_is_what_brute_force_finds(height: int, width: int, stride: int, y: float, x: float) -> None:
    candidates = CandidateSet.pixels(height, width, stride)
    assume(candidates.n > 0)
    at = candidates.positions()
    assert len(at) == candidates.n
    # Distances in pixels: rows and columns are chosen apart.
    gaps = np.hypot((at[:, 0] - y) * height, (at[:, 1] - x) * width)
    assert gaps[candidates.nearest(y, x)] == pytest.approx(gaps.min(), abs=1e-9)


@given(sizes, sizes, st.integers(1, 9))
def test_each_candidate_is_nearest_to_itself(height: int, width: int, stride: int) -> None:
    candidates = CandidateSet.pixels(height, width, stride)
    for index, (y, x) in enumerate(candidates.positions()):
        assert candidates.position(index) == (pytest.approx(y, abs=1e-15), pytest.approx(x, abs=1e-15))
        assert candidates.nearest(y, x) == index


def test_stride_keeps_the_set_centred() -> None:
    at = pixel_centers(9, 9, 3)
    np.testing.assert_allclose(sorted(set(at[:, 0])), [1.5 / 9, 4.5 / 9, 7.5 / 9])
    assert CandidateSet.pixels(9, 12, 3).shape == (3, 4)


def test_given_positions_keep_their_order() -> None:
    at = np.array([[0.9, 0.1], [0.2, 0.3], [0.5, 0.5]])
    candidates = CandidateSet.of_positions(at)
    assert candidates.shape is None and candidates.position(1) == (0.2, 0.3)
    assert [candidates.nearest(y, x) for y, x in at] == [0, 1, 2]


@given(st.lists(affines, min_size=1, max_size=4), fractions, fractions, st.data())
def test_a_frame_finds_its_way_back_from_every_revision(
    steps: list[Affine], y: float, x: float, data: st.DataObject
) -> None:
    maps = [Affine()]
    for step in steps:
        maps.append(step.after(maps[-1]))
    assume(all(abs(m.yy * m.xx - m.yx * m.xy) > 1e-2 for m in maps))
    frame = Frame(FrameAdded("f1", 0.0, height=4, width=4), len(maps), tuple(maps))
    revision = data.draw(st.integers(1, len(maps)))
    there = maps[revision - 1].apply(Position(y, x))
    back = frame.to_image(there.y, there.x, revision)
    assert back == (pytest.approx(y, abs=1e-6), pytest.approx(x, abs=1e-6))
    newest = frame.to_instrument(y, x)
    assert frame.to_image(*newest, 0) == (pytest.approx(y, abs=1e-6), pytest.approx(x, abs=1e-6))
