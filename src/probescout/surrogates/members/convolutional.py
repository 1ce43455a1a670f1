"""The convolutional deep member: what a pretrained network sees is added to the fixed filters and the coordinates.

The form is that of `deep` (Wilson et al. 2016, eq. 5, in residual form). The network starts from its pretraining on the
image (`pretraining`), and a normal prior around those weights keeps it there until the data say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gpytorch
import numpy as np
import torch
from gpytorch.mlls import ExactMarginalLogLikelihood
from numpy.typing import NDArray

from probescout.surrogates.members.catalogue import CONV, CONV_NET, CONV_PRIOR, CONV_PROGRESS, N_SLICES
from probescout.surrogates.members.deep import climb
from probescout.surrogates.members.definition import Hyperparameters, defaults
from probescout.surrogates.members.encoder import Encoder, Patches, chosen_device, embed_patches
from probescout.surrogates.members.gp import boxes, build_gp
from probescout.surrogates.members.pretraining import pretrain

FloatArray = NDArray[np.float64]
Float32 = NDArray[np.float32]
Arrays = Mapping[str, Float32]

PRIOR_SD = 0.03
"""Of a weight around its pretrained value; weights are of the order of 0.05 to 0.3."""
N_STEPS = 20
"""Of Adam per fit; the next fit goes on from where this one ended."""
WEIGHT_RATE = 1e-3
HYPER_RATE = 0.05
DIRECT_UP_TO = 100_000
"""Measurements up to which matrices are factorised directly: iterative solvers are not deterministic enough here."""


def learn_conv(
    picture: Mapping[str, Any],
    observed: Mapping[str, NDArray[np.floating]],
    index: NDArray[np.intp],
    y: FloatArray,
    stated_noise: FloatArray,
    start: Hyperparameters | None,
) -> tuple[Hyperparameters | None, dict[str, Float32]]:
    """Do one slice of the pretraining, or with that done fit network and hyperparameters by maximum a posteriori.

    Args:
        picture: "image" (channel, y, x) standardised, "pixels" (candidate, 2), "seed", and the "checkpoint" (arrays by
            name, as this function returned; empty at first).
        observed: Feature -> (measurement, dim).
        index: (measurement,) candidates.
        y: (measurement,) standardised.
        stated_noise: (measurement,) variances.
        start: Hyperparameters to start from; None: the prior modes.

    Returns:
        Hyperparameters, None while the network is being pretrained, and arrays by name: the checkpoint, and once there
        are hyperparameters the embeddings (candidate, 6) that go with them.

    Raises:
        InvalidInput: When the checkpoint is of another network, or the device is not there.
    """
    arrays = further(picture)
    if _slices_done(arrays) < N_SLICES:
        return None, arrays
    prior = _part(arrays, CONV_PRIOR)
    device, image = chosen_device(), np.asarray(picture["image"], dtype=np.float32)
    encoder, centre = (Encoder(len(image), torch.Generator().manual_seed(0), device) for _ in range(2))
    centre.load(prior)
    encoder.load(_part(picture["checkpoint"], CONV_NET) or prior)
    patches = Patches(image, np.asarray(picture["pixels"], dtype=np.intp))
    hyper = fit_conv(encoder, centre, patches.at(index), observed, y, stated_noise, start)
    arrays |= _named(encoder.weights(), CONV_NET)
    arrays[CONV.name] = embed_patches(encoder, patches)
    return hyper, arrays


def further(picture: Mapping[str, Any]) -> dict[str, Float32]:
    """Return the pretrained weights, after one more slice unless all are done; as arrays by name, for the checkpoint.

    Args:
        picture: As for `learn_conv`.

    Raises:
        InvalidInput: As `learn_conv`.
    """
    image, checkpoint = np.asarray(picture["image"], dtype=np.float32), picture["checkpoint"]
    done = _slices_done(checkpoint)
    prior = _part(checkpoint, CONV_PRIOR) if done else {}
    if done < N_SLICES:
        prior = pretrain(image, prior or None, done, int(picture["seed"]), chosen_device())
        done += 1
    return {CONV_PROGRESS: np.array([done], dtype=np.float32), **_named(prior, CONV_PRIOR)}


def _slices_done(arrays: Arrays) -> int:
    return round(float(arrays[CONV_PROGRESS][0])) if CONV_PROGRESS in arrays else 0


def fit_conv(
    encoder: Encoder,
    centre: Encoder,
    patches: torch.Tensor,
    observed: Mapping[str, NDArray[np.floating]],
    y: FloatArray,
    stated_noise: FloatArray,
    start: Hyperparameters | None,
) -> Hyperparameters:
    """Fit the network, in place, and return the hyperparameters found with it.

    Args:
        encoder: Where the climb starts.
        centre: Of the prior of its weights.
        patches: (measurement, channel, 32, 32) float32.
        observed: Feature -> (measurement, dim).
        y: (measurement,) standardised.
        stated_noise: (measurement,) variances.
        start: Hyperparameters to start from; None: the prior modes.
    """
    patches = patches.to(encoder.device)
    with torch.no_grad():
        seen = {**observed, CONV.name: encoder(patches).cpu().numpy()}
    model = build_gp(CONV, seen, y, stated_noise)
    dims = {name: array.shape[1] for name, array in seen.items()}
    model.write(start or defaults(CONV, dims))
    anchors = [p.detach().clone() for p in centre.parameters()]

    def log_prior() -> torch.Tensor:
        parts = zip(encoder.parameters(), anchors, strict=True)
        away = torch.stack([(p - anchor).square().sum() for p, anchor in parts]).sum()
        return -0.5 * away.double().cpu() / PRIOR_SD**2 / len(y)

    # The network is float32; from here on, where a factorisation depends on it, all is float64.
    rest = model.train_inputs[0][:, dims[CONV.name] :]
    objective = ExactMarginalLogLikelihood(model.likelihood, model)
    model.train()

    def log_posterior() -> torch.Tensor:
        x = torch.cat([encoder(patches).double().cpu(), rest], dim=1)
        model.set_train_data(inputs=x, strict=False)
        found: torch.Tensor = objective(model(x), model.train_targets)
        return found

    rates = [(list(encoder.parameters()), WEIGHT_RATE), (model.log_parameters(), HYPER_RATE)]
    with gpytorch.settings.max_cholesky_size(DIRECT_UP_TO), gpytorch.settings.fast_computations(False, False, False):
        climb(log_posterior, log_prior, rates, N_STEPS)
    return _boxed(model.read(), list(boxes(CONV, [dims[f] for f in CONV.features])))


def _part(arrays: Arrays, prefix: str) -> dict[str, Float32]:
    return {name[len(prefix) :]: np.asarray(array) for name, array in arrays.items() if name.startswith(prefix)}


def _named(weights: Arrays, prefix: str) -> dict[str, Float32]:
    return {prefix + name: array for name, array in weights.items()}


def _boxed(found: Hyperparameters, limits: list[tuple[float, float]]) -> Hyperparameters:
    """Clip hyperparameters to the box, which Adam does not know."""
    left = iter(limits)
    lengthscales: list[tuple[float, ...]] = []
    amplitudes: list[float] = []
    for group in found.log_lengthscale:
        lengthscales.append(tuple(float(np.clip(v, *next(left))) for v in group))
        amplitudes.append(float(np.clip(found.log_amplitude[len(amplitudes)], *next(left))))
    return Hyperparameters(tuple(lengthscales), tuple(amplitudes), float(np.clip(found.log_noise, *next(left))))
