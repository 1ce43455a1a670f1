"""The kernel against the formula written out."""

import numpy as np
import pytest

from probescout.surrogates.kernel import PIECE, Kernel
from probescout.surrogates.members.definition import Hyperparameters

HYPER = Hyperparameters(((0.3, -0.4), (-1.0,)), (-0.4, 1.1), -2.5)


def groups(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 2)), rng.uniform(size=(n, 1))]


def written_out(a, b):
    total = np.ones((len(a[0]), len(b[0])))
    for x, y, lengthscale, amplitude in zip(a, b, HYPER.log_lengthscale, HYPER.log_amplitude, strict=True):
        scaled = (x[:, None] - y[None]) / np.exp(lengthscale)
        r = np.sqrt(5 * (scaled**2).sum(axis=2))
        total += np.exp(amplitude) * (1 + r + r**2 / 3) * np.exp(-r)
    return total


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-6)])
@pytest.mark.parametrize("n", [1, 7, 300])
def test_equals_the_formula(n, dtype, tolerance):
    kernel = Kernel(HYPER)
    a, b = groups(n, 1), groups(1000, 2)
    found = kernel.between(kernel.points(a), kernel.points(b), dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, written_out(a, b), atol=tolerance)


def test_pieces_leave_no_seam():
    kernel = Kernel(HYPER)
    n = PIECE // 50 * 2 + 3
    points = kernel.points(groups(n))
    some = points[np.arange(50)]
    assert len(some) == 50
    np.testing.assert_allclose(kernel.between(some, points), written_out([g[:50] for g in groups(n)], groups(n)))


def test_a_point_is_wholly_like_itself_however_far_from_the_origin():
    kernel = Kernel(HYPER)
    far = kernel.points([g + 300.0 for g in groups(20)])
    np.testing.assert_allclose(np.diag(kernel.between(far, far)), kernel.variance, rtol=1e-9)
    assert kernel.variance == pytest.approx(1.0 + kernel.amplitude)


def test_points_can_be_joined():
    kernel = Kernel(HYPER)
    one, other = kernel.points(groups(3, 5)), kernel.points(groups(4, 6))
    both = one.and_then(other)
    assert len(both) == 7
    np.testing.assert_array_equal(kernel.between(both[3:], both[:3]), kernel.between(other, one))
