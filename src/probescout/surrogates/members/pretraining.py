"""Pretraining of the convolutional network on the patches of one image, before and beside the first measurements.

Deep kernel transfer (Patacchiola et al. 2020, "Bayesian meta-learning for the few-shot setting via deep kernels"):
the network maximises the marginal likelihood of many tasks under one kernel. Where we differ: the tasks are made-up
properties of this very image (`properties`), and those of one step share their points, so that one Cholesky factor
serves them all.

It is done in slices of about a second, each of which starts from the weights of the one before: nobody waits for more.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from probescout.surrogates.kernel import CONSTANT_VARIANCE
from probescout.surrogates.members.catalogue import N_SLICES
from probescout.surrogates.members.encoder import Encoder, Patches
from probescout.surrogates.members.properties import draw_properties

Float32 = NDArray[np.float32]
Weights = Mapping[str, Float32]

N_STEPS = 40
"""Of Adam in a slice."""
N_TASKS = 24
"""Properties drawn for a slice."""
N_AT_ONCE = 8
"""Properties of one step."""
N_POINTS = 128
"""Pixels of one step."""
LEARNING_RATE = 3e-3
NOISES = (0.05, 0.2, 0.5)
"""SD of the noise on a property, one of them at every step."""
MOST_EDGE = 384
"""Larger images are cut to a window of this edge, another one in every slice, so that a slice stays short."""
MOST_GRADIENT = 1.0
N_KEPT = 32
"""Slices remembered, about 50 kB each: several campaigns may look at one image."""

_known: OrderedDict[tuple[str, int, int], dict[str, Float32]] = OrderedDict()


def pretrain(
    image: Float32, weights: Weights | None, number: int, seed: int, device: str = "cpu"
) -> dict[str, Float32]:
    """Return the weights after one more slice; the same arguments give the same weights.

    Args:
        image: (channel, y, x) standardised.
        weights: After the slice before; None for the first.
        number: Of the slice, from 0.
        seed: Of the start and of all draws.
        device: Where to compute.

    Raises:
        InvalidInput: When the weights are of another network.
    """
    key = (_digest(image, weights), number, seed)
    if key in _known:
        _known.move_to_end(key)
        return dict(_known[key])
    encoder = Encoder(len(image), torch.Generator().manual_seed(seed), device)
    if weights is not None:
        encoder.load(weights)
    rng = np.random.default_rng([seed, number])
    window = _window(image, rng)
    maps = draw_properties(window, N_TASKS, rng)
    if len(maps):
        _learn(encoder, window, maps, _rate(number), rng)
    found = encoder.weights()
    _known[key] = found
    while len(_known) > N_KEPT:
        _known.popitem(last=False)
    return dict(found)


def _learn(encoder: Encoder, image: Float32, maps: Float32, rate: float, rng: np.random.Generator) -> None:
    pixels = np.column_stack([axis.ravel() for axis in np.indices(image.shape[1:])])
    patches = Patches(image, pixels)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=rate)
    n = min(N_POINTS, maps.shape[1])
    for _ in range(N_STEPS):
        points = rng.choice(maps.shape[1], n, replace=False)
        tasks = rng.choice(len(maps), min(N_AT_ONCE, len(maps)), replace=False)
        noise = float(rng.choice(NOISES))
        y = maps[np.ix_(tasks, points)].T.astype(np.float64)
        y = (y - y.mean(axis=0)) / np.maximum(y.std(axis=0), 1e-3) + noise * rng.normal(size=y.shape)
        loss = task_loss(encoder(patches.at(points).to(encoder.device)), torch.from_numpy(y), noise**2)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(encoder.parameters(), MOST_GRADIENT)
        if not torch.isfinite(norm):
            # The weights before this step are still good.
            break
        optimizer.step()


def task_loss(embedding: torch.Tensor, y: torch.Tensor, noise: float) -> torch.Tensor:
    """Return the negative log marginal likelihood per point and task, a constant left out.

    Args:
        embedding: (point, dim) float32, any device.
        y: (point, task) float64, standardised.
        noise: Variance of the noise.
    """
    z = embedding.double().cpu()
    squared = (z[:, None] - z[None]).square().sum(dim=2)
    # Without the floor the slope of the root is infinite at the distance of a point to itself.
    r = (5.0 * squared + 1e-10).sqrt()
    kernel = (1.0 + r + r * r / 3.0) * torch.exp(-r) + CONSTANT_VARIANCE
    factor = torch.linalg.cholesky(kernel + noise * torch.eye(len(z), dtype=torch.float64))
    white = torch.linalg.solve_triangular(factor, y, upper=False)
    log_volume = factor.diagonal().log().sum()
    loss: torch.Tensor = (0.5 * white.square().sum() / y.shape[1] + log_volume) / len(z)
    return loss


def _window(image: Float32, rng: np.random.Generator) -> Float32:
    corners = [int(rng.integers(max(size - MOST_EDGE, 0) + 1)) for size in image.shape[1:]]
    y, x = corners
    return np.ascontiguousarray(image[:, y : y + MOST_EDGE, x : x + MOST_EDGE])


def _rate(number: int) -> float:
    """Return the learning rate, which falls from slice to slice as a cosine."""
    return float(LEARNING_RATE * (0.55 + 0.45 * np.cos(np.pi * number / N_SLICES)))


def _digest(image: Float32, weights: Weights | None) -> str:
    found = hashlib.sha256(str(image.shape).encode())
    found.update(np.ascontiguousarray(image).tobytes())
    for name, array in sorted((weights or {}).items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
