"""What several tests of the model need."""

import sys
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from probescout.surrogates.committee import Committee
from probescout.surrogates.features import compute_features

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing gpytorch warns about torch.jit
    import gpytorch  # noqa: F401
    import torch

from probescout.surrogates.fitting import fit

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def field():
    """A smooth random image (32, 32) and a target (1024,) that depends on its local mean, not linearly."""
    image = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(32, 32)), 1.5)
    image /= image.std()
    local = ndimage.gaussian_filter(image, 1.0)
    return image, (np.exp(1.2 * local) * 10.0).ravel()


@pytest.fixture(scope="session")
def features(field):
    return compute_features(field[0])


@pytest.fixture(scope="session")
def kit() -> Any:
    """The helpers of this file."""
    return sys.modules[__name__]


ALL = np.ones(1024, dtype=bool)


def trained(features, target, *, n=20, seed=0, noise=0.3, n_fits=1, use_deep=True):
    """A committee told n random measurements, fitted when it asks, at most n_fits times."""
    rng = np.random.default_rng(seed)
    committee = Committee(features, seed=seed, use_deep=use_deep)
    for index in rng.choice(1024, n, replace=False):
        committee.tell(int(index), float(target[index] + noise * rng.normal()), noise**2)
        if committee.needs_fit() and n_fits:
            committee.swap(fit(committee.fit_request()))
            n_fits -= 1
    return committee


def assert_same_belief(one, other, pending=()):
    a, b = one.belief(ALL, pending), other.belief(ALL, pending)
    for name in ("member_mean", "member_var", "weights", "mean", "std", "incumbent"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def assert_close_belief(one, other):
    a, b = one.belief(ALL), other.belief(ALL)
    for name in ("member_mean", "member_var", "weights", "mean", "std"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=2e-3, atol=2e-3)


def columns(committee):
    arrays = committee.state()["arrays"]
    return arrays["index"].tolist(), arrays["value"].tolist(), arrays["variance"].tolist()
