"""What several tests of the planners need."""

import warnings

import numpy as np
import pytest


@pytest.fixture(scope="session")
def torch_():
    """The torch module, on one thread; importing botorch beside it warns about torch.jit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import botorch  # noqa: F401
        import torch
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="session")
def table_model(torch_):
    """A botorch model over candidate numbers: mean (candidate, target) and a covariance matrix for each target."""
    from botorch.models.model import Model
    from botorch.posteriors.gpytorch import GPyTorchPosterior
    from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal

    class Table(Model):
        def __init__(self, mean, covariances):
            super().__init__()
            self.mean = torch_.as_tensor(np.atleast_2d(np.asarray(mean, dtype=float).T).T)
            self.covariances = [torch_.as_tensor(np.asarray(c, dtype=float)) for c in covariances]

        @property
        def num_outputs(self):
            return self.mean.shape[1]

        @property
        def batch_shape(self):
            return torch_.Size()

        def posterior(self, X, **_):  # noqa: N803
            at = X[..., 0].round().long()
            each = [
                MultivariateNormal(self.mean[at, o], c[at.unsqueeze(-1), at.unsqueeze(-2)])
                for o, c in enumerate(self.covariances)
            ]
            if len(each) == 1:
                return GPyTorchPosterior(each[0])
            return GPyTorchPosterior(MultitaskMultivariateNormal.from_independent_mvns(each))

    def numbers(*index):
        """Candidates (batch, q, 1) as botorch takes them."""
        return torch_.as_tensor(np.array(index, dtype=float)).reshape(len(index), -1, 1)

    Table.numbers = staticmethod(numbers)
    return Table
