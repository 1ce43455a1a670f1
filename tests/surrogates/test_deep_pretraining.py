"""Pretraining on the image alone: its loss written out, its determinism, what it gains."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from probescout.surrogates.features import compute_features
from probescout.surrogates.members.encoder import Encoder, Patches, embed_patches
from probescout.surrogates.members.pretraining import MOST_EDGE, pretrain, task_loss
from probescout.surrogates.members.properties import draw_properties


@pytest.fixture(scope="module")
def picture(field):
    return compute_features(field[0]).image


def test_the_loss_is_the_marginal_likelihood_written_out():
    rng = np.random.default_rng(1)
    z, y, noise = rng.normal(size=(15, 6)).astype(np.float32), rng.normal(size=(15, 3)), 0.04
    r = np.sqrt(5 * ((z[:, None].astype(float) - z[None]) ** 2).sum(axis=2))
    gram = (1 + r + r**2 / 3) * np.exp(-r) + 1.0 + noise * np.eye(15)
    total = multivariate_normal(np.zeros(15), gram).logpdf(y.T).sum()
    found = task_loss(torch.from_numpy(z), torch.from_numpy(y), noise)
    assert found.dtype == torch.float64
    assert -found.item() * 45 - 22.5 * np.log(2 * np.pi) == pytest.approx(total, rel=1e-6)


def test_properties_are_standardised_and_differ(picture):
    maps = draw_properties(picture, 20, np.random.default_rng(0))
    assert maps.shape == (20, 1024) and maps.dtype == np.float32
    assert np.isfinite(maps).all() and np.abs(maps).max() <= 6.0
    assert np.abs(maps.mean(axis=1)).max() < 0.2 and (maps.std(axis=1) > 0.7).all()
    alike = np.abs(np.corrcoef(maps)[np.triu_indices(20, 1)])
    assert np.median(alike) < 0.5


def test_likeness_is_greatest_where_it_was_taken_from():
    """On an image with one bright dot, some drawn property singles it out."""
    dot = np.zeros((1, 33, 33), dtype=np.float32)
    dot[0, 16, 16] = 4.0
    maps = draw_properties(dot, 30, np.random.default_rng(0)).reshape(-1, 33, 33)
    peaks = [np.abs(m[14:19, 14:19] - np.median(m)).max() > 4.0 for m in maps]
    assert any(peaks)


def test_the_same_arguments_give_the_same_weights(picture, monkeypatch):
    one = pretrain(picture, None, 0, 3)
    monkeypatch.setattr("probescout.surrogates.members.pretraining._known", type(_known())())
    again, other = pretrain(picture, None, 0, 3), pretrain(picture, None, 0, 4)
    for name in one:
        np.testing.assert_array_equal(one[name], again[name])
    assert not np.array_equal(one["head.weight"], other["head.weight"])


def _known():
    from probescout.surrogates.members import pretraining

    return pretraining._known


def test_a_slice_done_before_is_remembered(picture, monkeypatch):
    done = pretrain(picture, None, 0, 3)

    def fail(*args):
        raise AssertionError("was computed again")

    monkeypatch.setattr("probescout.surrogates.members.pretraining._learn", fail)
    assert set(pretrain(picture, None, 0, 3)) == set(done)
    with pytest.raises(AssertionError, match="computed again"):
        pretrain(picture, done, 0, 3)


def test_it_explains_properties_that_it_has_not_seen_better_than_at_its_start(picture):
    start = Encoder(1, torch.Generator().manual_seed(5))
    learnt = Encoder(1, torch.Generator().manual_seed(5))
    learnt.load(pretrain(picture, pretrain(picture, None, 0, 5), 1, 5))
    pixels = np.column_stack([a.ravel() for a in np.indices((32, 32))])
    maps = draw_properties(picture, 30, np.random.default_rng(77))
    points = np.random.default_rng(78).choice(1024, 100, replace=False)
    losses = []
    for network in (start, learnt):
        z = torch.from_numpy(embed_patches(network, Patches(picture, pixels))[points])
        losses.append(task_loss(z, torch.from_numpy(maps[:, points].T.astype(np.float64)), 0.04).item())
    assert losses[1] < losses[0] - 0.1


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 1, 7), (1, 20, 20)])
def test_an_image_without_structure_or_size_leaves_finite_weights(shape):
    flat = pretrain(np.zeros(shape, dtype=np.float32), None, 0, 0)
    start = Encoder(shape[0], torch.Generator().manual_seed(0)).weights()
    for name, array in flat.items():
        np.testing.assert_array_equal(array, start[name])
    noisy = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert all(np.isfinite(array).all() for array in pretrain(noisy, None, 0, 0).values())


def test_a_large_image_is_seen_through_another_window_in_every_slice(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "probescout.surrogates.members.pretraining._learn", lambda encoder, window, *rest: seen.append(window)
    )
    monkeypatch.setattr(
        "probescout.surrogates.members.pretraining.draw_properties", lambda *args: np.zeros((1, 1), dtype=np.float32)
    )
    large = np.random.default_rng(0).normal(size=(1, 500, 900)).astype(np.float32)
    for number in range(2):
        pretrain(large, None, number, 11)
    assert [w.shape for w in seen] == [(1, MOST_EDGE, MOST_EDGE)] * 2
    assert not np.array_equal(*seen)
