"""Rows in blocks are the matrix that they would be in one piece."""

import numpy as np
import pytest

from probescout.surrogates.rows import BLOCK_ROWS, RowBlocks

N_POINTS = 5


@pytest.mark.parametrize("sizes", [[1], [BLOCK_ROWS], [BLOCK_ROWS - 1, 1, 1], [3, 2 * BLOCK_ROWS, 7], [BLOCK_ROWS] * 2])
def test_rows_are_kept_in_order_over_all_edges(sizes):
    rng = np.random.default_rng(0)
    whole, rows = rng.normal(size=(sum(sizes), N_POINTS)), RowBlocks(N_POINTS, np.dtype(np.float64))
    for part in np.split(whole, np.cumsum(sizes)[:-1]):
        rows.append(part)
    assert rows.n == len(whole)
    blocks = list(rows)
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert [len(b) for b in blocks[:-1]] == [BLOCK_ROWS] * (len(blocks) - 1)
    left, found = rng.normal(size=(2, rows.n)), rng.normal(size=(2, N_POINTS))
    expected = found - left @ whole
    rows.take_from(found, left)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    columns = rng.normal(size=(rows.n, 3))
    np.testing.assert_allclose(rows.transposed_times(columns), whole.T @ columns, rtol=1e-12, atol=1e-12)


def test_without_rows_nothing_is_taken():
    rows, found = RowBlocks(N_POINTS, np.dtype(np.float32)), np.ones((1, N_POINTS), dtype=np.float32)
    rows.take_from(found, np.empty((1, 0)))
    assert not list(rows) and (found == 1.0).all()
    np.testing.assert_array_equal(rows.transposed_times(np.empty((0, 2))), np.zeros((N_POINTS, 2)))


def test_what_was_looked_at_is_never_written_again():
    rows = RowBlocks(N_POINTS, np.dtype(np.float64))
    rows.append(np.ones((3, N_POINTS)))
    [seen] = rows
    rows.append(np.zeros((2, N_POINTS)))
    assert seen.shape == (3, N_POINTS) and (seen == 1.0).all()
