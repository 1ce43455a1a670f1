"""What several tests of the model need."""

import warnings

import numpy as np
import pytest
from scipy import ndimage

from probescout.surrogates.features import compute_features

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing gpytorch warns about torch.jit
    import gpytorch  # noqa: F401
    import torch

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
