"""The convolutional member: its fit, its way into a committee and out of it again."""

import numpy as np
import pytest
import torch
from gpytorch.mlls import ExactMarginalLogLikelihood

from probescout.core.errors import InvalidInput, Reason
from probescout.runtime.framing import PREFIX, lengths, pack, unpack
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import compute_features, features_of_patches
from probescout.surrogates.fitting import fit
from probescout.surrogates.members.catalogue import CONV, N_SLICES, check_members
from probescout.surrogates.members.convolutional import PRIOR_SD, fit_conv
from probescout.surrogates.members.definition import defaults
from probescout.surrogates.members.encoder import Encoder, Patches
from probescout.surrogates.members.gp import build_gp

NAMES = ("bank", "bank_xy", "conv")


def told(features, target, n=12, names=NAMES, seed=3):
    committee = Committee(features, seed=seed, members=names)
    for index in np.random.default_rng(7).choice(features.n_candidates, n, replace=False):
        committee.tell(int(index), float(target[index]), 0.09)
    return committee


def fitted(committee, most=N_SLICES + 3):
    """Fit as long as the committee wants, and once more, so that the member is there."""
    for _ in range(most):
        if not committee.needs_fit():
            break
        committee.swap(fit(committee.fit_request()))
    assert not committee.needs_fit()
    committee.swap(fit(committee.fit_request()))
    return committee


@pytest.fixture(scope="module")
def committee(features, field):
    return fitted(told(features, field[1]))


@pytest.fixture
def one_slice(monkeypatch):
    """As little pretraining as there can be, where how much does not matter."""
    for module in ("exchange", "members.convolutional"):
        monkeypatch.setattr(f"probescout.surrogates.{module}.N_SLICES", 1)


def problem(features, target, n=30):
    index = np.random.default_rng(1).choice(1024, n, replace=False)
    y = np.log(target[index])
    patches = Patches(features.image, features.pixels()).at(index)
    observed = {name: features.arrays[name][index] for name in ("bank", "xy")}
    return patches, observed, (y - y.mean()) / y.std(), np.full(n, 0.01)


def encoders():
    return [Encoder(1, torch.Generator().manual_seed(s), "cpu") for s in (4, 4)]


def test_the_gradient_of_the_marginal_likelihood_reaches_every_convolution_in_double_precision(features, field):
    patches, observed, y, noise = problem(features, field[1])
    network = encoders()[0]
    with torch.no_grad():
        start = network(patches).numpy()
    model = build_gp(CONV, {**observed, "conv": start}, y, noise)
    model.write(defaults(CONV, {"conv": 6, "bank": 8, "xy": 2}))
    model.train()
    x = torch.cat([network(patches).double(), model.train_inputs[0][:, 6:]], dim=1)
    model.set_train_data(inputs=x, strict=False)
    output = model(x)
    assert output.covariance_matrix.dtype == torch.float64
    value = ExactMarginalLogLikelihood(model.likelihood, model)(output, model.train_targets)
    assert value.dtype == torch.float64
    value.backward()
    for name, parameter in network.named_parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32
        assert parameter.grad.abs().max() > 0.0, name


def test_a_fit_moves_the_weights_and_the_prior_holds_them_back(features, field):
    patches, observed, y, noise = problem(features, field[1])
    network, centre = encoders()
    hyper = fit_conv(network, centre, patches, observed, y, noise, None)
    moved = [np.abs(network.weights()[name] - array).max() for name, array in centre.weights().items()]
    assert min(moved) > 0.0 and max(moved) < PRIOR_SD
    assert len(hyper.log_lengthscale[0]) == 6


def test_the_same_fit_gives_the_same_weights(features, field):
    found = []
    for _ in range(2):
        network, centre = encoders()
        hyper = fit_conv(network, centre, *problem(features, field[1]), None)
        found.append((hyper, network.weights()))
    assert found[0][0] == found[1][0]
    for name, array in found[0][1].items():
        np.testing.assert_array_equal(array, found[1][1][name])


def test_the_first_fit_is_not_kept_waiting_and_pretraining_leaves_the_others_alone(features, field):
    committee, plain = told(features, field[1]), told(features, field[1], names=NAMES[:2])
    request = committee.fit_request()
    assert "picture" not in request
    for one in (committee, plain):
        one.swap(fit(one.fit_request()))
    assert committee.needs_fit() and not plain.needs_fit()
    request = committee.fit_request()
    assert not committee.needs_fit(), "one at a time"
    committee.swap(fit(request))
    np.testing.assert_array_equal(committee.belief(ALL).mean, plain.belief(ALL).mean)
    assert committee.hyperparameters()["members"] == plain.hyperparameters()["members"]
    assert committee.arrays()["conv.progress"] == 1.0 and committee.needs_fit()


ALL = np.ones(1024, dtype=bool)


def test_it_takes_part_once_it_is_pretrained_without_weight_at_first(committee):
    assert set(committee.weights()) == set(NAMES)
    assert committee.weights()["conv"] == 0.0
    assert committee.arrays()["conv"].shape == (1024, 6)
    assert committee.arrays()["conv.progress"] == N_SLICES


def test_a_saved_state_goes_on_bit_for_bit_and_warm(committee, features):
    again = Committee.restore(features, committee.state())
    np.testing.assert_array_equal(again.belief(ALL).member_mean, committee.belief(ALL).member_mean)
    assert not again.needs_fit(), "it is not pretrained again"
    one, other = fit(again.fit_request()), fit(committee.fit_request())
    assert one["members"] == other["members"]
    for name, array in other["arrays"].items():
        np.testing.assert_array_equal(one["arrays"][name], array)
    before = committee.arrays()
    for name in before:
        is_prior = name.startswith("conv.prior.") or name == "conv.progress"
        assert np.array_equal(one["arrays"][name], before[name]) == is_prior, name


def test_a_request_crosses_to_the_fit_process_and_back(committee, features):
    request = Committee.restore(features, committee.state()).fit_request()
    frame = pack(request)
    n_header, _ = lengths(frame[:PREFIX])
    received = unpack(frame[PREFIX : PREFIX + n_header], frame[PREFIX + n_header :])
    one, other = fit(received), fit(request)
    assert one["members"] == other["members"]
    np.testing.assert_array_equal(one["arrays"]["conv"], other["arrays"]["conv"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a.update({"conv": a["conv"][:-1]}), Reason.SHAPE_MISMATCH),
        (lambda a: a.update({"conv.net.head.bias": np.full(6, np.inf)}), Reason.NON_FINITE),
        (lambda a: a.update({"conv.prior.head.bias": np.zeros(1 << 21)}), Reason.NON_FINITE),
    ],
)
def test_a_garbage_network_is_refused(committee, features, change, reason):
    again = Committee.restore(features, committee.state())
    result = fit(again.fit_request())
    change(result["arrays"])
    with pytest.raises(InvalidInput) as caught:
        again.swap(result)
    assert caught.value.reason is reason
    np.testing.assert_array_equal(again.belief(ALL).mean, committee.belief(ALL).mean)


def test_one_that_lies_stays_without_weight(committee, features, field):
    again = Committee.restore(features, committee.state())
    result = fit(again.fit_request())
    result["members"]["conv"] = {
        "log_lengthscale": [[-2.5] * 6, [2.0] * 8, [1.0] * 2],
        "log_amplitude": [2.5, -5.0, -5.0],
        "log_noise": -7.9,
    }
    result["arrays"]["conv"] = np.random.default_rng(0).integers(0, 2, size=(1024, 6)).astype(np.float32)
    again.swap(result)
    for index in np.random.default_rng(3).choice(1024, 15, replace=False):
        again.tell(int(index), float(field[1][index]), 0.1)
        assert again.weights()["conv"] == 0.0
    assert again.calibration().is_alarmed


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((12, 12)),
        np.where(np.arange(196).reshape(14, 14) % 5 == 0, np.nan, np.arange(196.0).reshape(14, 14)),
        np.random.default_rng(2).normal(size=(3, 8, 8)),
    ],
    ids=["constant", "nan", "tiny"],
)
def test_odd_images_end_in_finite_beliefs(image, one_slice):
    features = compute_features(image)
    target = np.sin(np.arange(features.n_candidates))
    committee = fitted(told(features, target))
    assert "conv" in committee.weights()
    belief = committee.belief(np.ones(features.n_candidates, dtype=bool))
    assert np.isfinite(belief.member_mean).all() and (belief.member_var > 0).all()


def test_a_garbage_patch_has_more_variance_than_a_familiar_one(one_slice):
    """Noise in one corner of a smooth image; all measurements are elsewhere, the nearest as far from both places."""
    rng = np.random.default_rng(0)
    down, across = np.indices((48, 48))
    image = np.sin(down / 4.0) + np.cos(across / 5.0)
    image[:20, :20] = 3.0 * rng.normal(size=(20, 20))
    features = compute_features(image)
    committee = Committee(features, seed=0, members=("conv",))
    spread = [(y, x) for y in range(2, 48, 7) for x in range(2, 48, 7)]
    clear = [(y, x) for y, x in spread if not (y < 22 and x < 22) and not (y > 26 and x > 26)]
    for y, x in clear:
        committee.tell(48 * y + x, float(image[y, x]), 0.01)
    fitted(committee)
    assert committee.weights() == {"conv": 1.0}
    std = committee.belief(np.ones(48 * 48, dtype=bool)).std.reshape(48, 48)
    assert np.median(std[6:14, 6:14]) > 1.3 * np.median(std[34:42, 34:42])


def test_candidates_without_an_image_do_without_it():
    patches = np.random.default_rng(0).normal(size=(40, 1, 9, 9))
    features = features_of_patches(patches, np.random.default_rng(1).uniform(size=(40, 2)))
    committee = fitted(told(features, np.arange(40.0)))
    assert set(committee.weights()) == {"bank", "bank_xy"}


def test_two_learnt_members_at_once_are_refused():
    with pytest.raises(InvalidInput, match="deep and conv both learn"):
        check_members(("xy", "deep", "conv"))
    with pytest.raises(InvalidInput, match="'conv' is the only member"):
        check_members(("conv",), use_deep=False)
