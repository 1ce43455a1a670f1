"""Which measurements a fit looks at."""

import numpy as np

from probescout.surrogates.measurements import Measurements
from probescout.surrogates.sampling import MOST_FITTED, fitted_on


def data(n, seed=0):
    values = np.random.default_rng(seed).gamma(0.5, size=n)
    return Measurements(np.arange(n), values, np.full(n, 0.1))


def test_few_measurements_are_all_fitted_on():
    np.testing.assert_array_equal(fitted_on(data(MOST_FITTED), 0), np.arange(MOST_FITTED))


def test_of_many_a_sample_of_the_same_distribution_is_taken():
    many = data(5000)
    which = fitted_on(many, 3)
    assert len(which) == MOST_FITTED == len(np.unique(which)) and (np.diff(which) > 0).all()
    part = many.values[which]
    for q in (0.02, 0.1, 0.5, 0.9, 0.98):
        assert abs((many.values <= np.quantile(part, q)).mean() - q) < 0.03
    assert part.max() >= np.quantile(many.values, 1 - 1 / 300)
    np.testing.assert_array_equal(which, fitted_on(many, 3))
    assert not np.array_equal(which, fitted_on(many, 4))
