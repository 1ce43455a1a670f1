"""The convolutional network: what it sees, how it is saved, where it runs."""

import numpy as np
import pytest
import torch

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.members import encoder as module
from probescout.surrogates.members.encoder import DEVICE, EDGE, Encoder, Patches, chosen_device, embed_patches


def drawn(n_channels=1, seed=0, device="cpu"):
    return Encoder(n_channels, torch.Generator().manual_seed(seed), device)


def image(n_channels=1, edge=40, seed=0):
    return np.random.default_rng(seed).normal(size=(n_channels, edge, edge)).astype(np.float32)


def all_of(picture):
    return Patches(picture, np.column_stack([a.ravel() for a in np.indices(picture.shape[1:])]))


def test_a_patch_is_the_surroundings_of_its_pixel_mirrored_at_the_border():
    picture = image(2)
    patches = all_of(picture)
    [middle] = patches.at(np.array([20 * 40 + 18])).numpy()
    np.testing.assert_array_equal(middle, picture[:, 4:36, 2:34])
    [corner] = patches.at(np.array([0])).numpy()
    assert corner[0, 16, 16] == picture[0, 0, 0]
    np.testing.assert_array_equal(corner[:, 16, 1:16], corner[:, 16, 31:16:-1])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 1, 9), (1, 1, 1)])
def test_images_smaller_than_a_patch_are_seen(shape):
    picture = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = embed_patches(drawn(shape[0]), all_of(picture))
    assert found.shape == (picture[0].size, 6) and found.dtype == np.float32 and np.isfinite(found).all()


def test_every_channel_and_every_window_counts_and_nothing_beyond():
    """A pixel 3, 7 or 15 away lies in the windows of 8, 16 and 32; one 17 away in none."""
    network, picture = drawn(2), image(2, 64)
    at = np.array([32 * 64 + 32])
    before = network(all_of(picture).at(at)).detach()
    for channel in (0, 1):
        for away in (3, 7, 15, 17):
            changed = picture.copy()
            changed[channel, 32, 32 + away] += 3.0
            is_same = torch.equal(network(all_of(changed).at(at)).detach(), before)
            assert is_same == (away == 17), (channel, away)


def test_trunks_have_weights_of_their_own_and_output_is_bounded():
    network = drawn()
    assert not torch.equal(network.first[0].weight, network.first[1].weight)
    far = network(1e4 * torch.ones(1, 1, EDGE, EDGE))
    assert far.abs().max() <= 2.0
    assert all(p.dtype == torch.float32 for p in network.parameters())


def test_a_seed_is_a_network():
    patches = all_of(image())
    one, same, other = (embed_patches(drawn(seed=s), patches) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_a_checkpoint_gives_the_same_embedding():
    patches = all_of(image(2))
    network, other = drawn(2, seed=1), drawn(2, seed=2)
    saved = {name: array.copy() for name, array in network.weights().items()}
    other.load(saved)
    np.testing.assert_array_equal(embed_patches(other, patches), embed_patches(network, patches))
    with torch.no_grad():
        other.head.bias += 1.0
    assert not other.weights()["head.bias"].tolist() == saved["head.bias"].tolist()
    np.testing.assert_array_equal(network.weights()["head.bias"], saved["head.bias"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w.pop("head.bias"), Reason.SHAPE_MISMATCH),
        (lambda w: w.update({"first.0.weight": np.zeros((12, 2, 3, 3))}), Reason.SHAPE_MISMATCH),
        (lambda w: w.update({"head.bias": np.full(6, np.nan)}), Reason.NON_FINITE),
    ],
)
def test_weights_of_another_network_are_refused_whole(change, reason):
    network, weights = drawn(seed=1), drawn(seed=2).weights()
    before = network.weights()
    change(weights)
    with pytest.raises(InvalidInput) as caught:
        network.load(weights)
    assert caught.value.reason is reason
    for name, array in network.weights().items():
        np.testing.assert_array_equal(array, before[name])


def test_chunks_bound_the_memory_and_change_nothing(monkeypatch):
    network, patches = drawn(), all_of(image())
    whole = embed_patches(network, patches)
    monkeypatch.setattr(module, "CHUNK_BYTES", 100 * 4 * EDGE * EDGE)
    assert max(part.stop - part.start for part in patches.chunks()) == 100
    np.testing.assert_allclose(embed_patches(network, patches), whole, rtol=1e-5, atol=1e-6)


def test_a_device_that_is_not_there_is_refused_by_name(monkeypatch):
    monkeypatch.delenv(DEVICE, raising=False)
    assert chosen_device() == "cpu"
    monkeypatch.setenv(DEVICE, "abacus")
    with pytest.raises(InvalidInput, match="'abacus'; it is 'cpu' or 'cuda'"):
        chosen_device()
    monkeypatch.setenv(DEVICE, "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInput, match="finds no such device; set it to 'cpu'"):
        chosen_device()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_cuda_gives_the_embedding_of_the_processor():
    patches = all_of(image(2))
    on_cpu, on_cuda = (embed_patches(drawn(2, device=d), patches) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(on_cuda, on_cpu, atol=2e-3)
