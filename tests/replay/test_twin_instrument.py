"""The simulated instrument: noise, drift, faults, reproducibility, orientation."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_centers
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.twin import SCENES, Channel, OutlierKind, Scene, Twin, make_scene, make_twin
from probescout.testing.microscope import MicroscopeConformance

FAR_FROM_EDGES = (0.37, 0.61)


@dataclass(frozen=True)
class Painted(Scene):
    """A sample that looks like a given picture, nearest pixel, with three channels that share it 1 : 2 : 1."""

    picture: np.ndarray = field(default_factory=lambda: np.ones((16, 16)), compare=False)

    name: ClassVar[str] = "painted"
    title: ClassVar[str] = "A painted sample"
    source: ClassVar[str] = "none"
    pixel_size_m: ClassVar[float] = 1e-9
    axis: ClassVar[Axis] = Axis("channel", np.arange(3.0), "energy", "eV")
    image_channel: ClassVar[Channel] = Channel("HAADF", "counts", ValueKind.COUNTS)
    signal_channel: ClassVar[Channel] = Channel("EELS", "counts", ValueKind.COUNTS)
    outlier_kind: ClassVar[OutlierKind] = OutlierKind.GAIN
    dwell_s: ClassVar[float] = 0.1
    scalarizer: ClassVar[str] = "band_sum"
    params: ClassVar[dict[str, float]] = {"low": 0.0, "high": 2.0}

    def _build(self, rng):
        self._keep(image=self.picture)

    def _signals(self, at_px):
        row, col = np.floor(at_px).astype(int).T
        picked = self.picture[row.clip(0, self.shape[0] - 1), col.clip(0, self.shape[1] - 1)]
        return picked[:, None] * np.array([0.25, 0.5, 0.25])


def painted(picture):
    return Painted(0, picture.shape, picture)


def spot(shape=(20, 32), at=(5, 24)):
    picture = np.full(shape, 100.0)
    picture[at] = 1000.0
    return painted(picture)


class HandClock:
    def __init__(self):
        self.t = 0.0

    def now(self):
        return self.t

    def monotonic(self):
        return self.t


class TwinConformance(MicroscopeConformance):
    scene: ClassVar[str]

    def make(self):
        return make_twin(self.scene, seed=5, size=(24, 32))

    def make_painted(self, image):
        return Twin(painted(image), seed=2, dose=10.0)


class TestPlasmonicTwin(TwinConformance):
    scene = "plasmonic"


class TestLatticeTwin(TwinConformance):
    scene = "lattice"


class TestFerroelectricTwin(TwinConformance):
    scene = "ferroelectric"


def test_conformance_suite_catches_exchanged_axes_and_mirrors():
    class Wrong(TwinConformance):
        scene = "plasmonic"

        def __init__(self, turn):
            self.turn = turn

        def make_painted(self, image):
            twin = super().make_painted(image)
            right = twin.measure
            twin.measure = lambda y, x: right(*self.turn(y, x))
            return twin

    Wrong(lambda y, x: (y, x)).test_y_counts_rows_down_and_x_columns_right()
    for turn in (lambda y, x: (x, y), lambda y, x: (1 - y, x), lambda y, x: (y, 1 - x)):
        with pytest.raises(AssertionError):
            Wrong(turn).test_y_counts_rows_down_and_x_columns_right()


# ---------------------------------------------------------------- noise


def test_counts_are_poisson_around_the_scene():
    twin = make_twin("plasmonic", seed=1, size=32, dose=0.5)
    expected = 0.5 * twin.scene.spectrum(*FAR_FROM_EDGES)
    n = 2000
    counts = np.array([twin.measure(*FAR_FROM_EDGES).spectrum.values for _ in range(n)], dtype=float)
    z = (counts.mean(axis=0) - expected) / np.sqrt(expected / n)
    assert abs(z.mean()) < 4 / np.sqrt(z.size) and np.abs(z).max() < 5
    ratio = counts.var(axis=0, ddof=1).sum() / expected.sum()
    assert ratio == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("dose", [1.0, 4.0])
def test_gaussian_noise_falls_with_the_root_of_the_dose(dose):
    twin = make_twin("ferroelectric", seed=1, size=32, dose=dose)
    expected = twin.scene.spectrum(*FAR_FROM_EDGES)
    rest = np.array([twin.measure(*FAR_FROM_EDGES).spectrum.values for _ in range(400)]) - expected
    sd = twin.scene.signal_channel.noise_sd / np.sqrt(dose)
    assert rest.mean() == pytest.approx(0.0, abs=4 * sd / np.sqrt(rest.size))
    assert rest.std() == pytest.approx(sd, rel=4 / np.sqrt(2 * rest.size))
    assert twin.measure(0.1, 0.1).dwell_s == pytest.approx(dose * twin.scene.dwell_s)


def test_overview_counts_are_poisson_and_differ_each_time():
    twin = make_twin("lattice", seed=4, dose=2.0)
    one, two = twin.overview(), twin.overview()
    expected = 2.0 * twin.scene.image
    assert not np.array_equal(one.image, two.image)
    chi2 = ((one.image - expected) ** 2 / expected).mean()
    assert chi2 == pytest.approx(1.0, abs=5 * np.sqrt(2 / expected.size))
    assert (one.unit, one.name, one.pixel_size_m) == ("counts", "ADF", 3e-11)


def test_noise_depends_on_place_and_visit_and_not_on_order():
    one, other = make_twin("lattice", seed=7, size=16), make_twin("lattice", seed=7, size=16)
    a, b = (0.2, 0.4), (0.4, 0.2)
    first = [one.measure(*p).spectrum.values for p in (a, b, a)]
    second = [other.measure(*p).spectrum.values for p in (a, a, b)]
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[2], second[1])
    np.testing.assert_array_equal(first[1], second[2])
    assert not np.array_equal(first[0], first[2])


def test_minus_zero_is_zero():
    one, other = make_twin("lattice", size=16), make_twin("lattice", size=16)
    np.testing.assert_array_equal(one.measure(0.0, -0.0).spectrum.values, other.measure(0.0, 0.0).spectrum.values)


def test_seeds_decide_sample_and_noise():
    same_sample = make_twin("plasmonic", seed=8, scene_seed=3, size=32)
    base, other = make_twin("plasmonic", seed=3, size=32), make_twin("plasmonic", seed=8, size=32)
    np.testing.assert_array_equal(same_sample.scene.image, base.scene.image)
    assert not np.array_equal(base.scene.image, other.scene.image)
    assert not np.array_equal(same_sample.measure(0.3, 0.3).spectrum.values, base.measure(0.3, 0.3).spectrum.values)


# ---------------------------------------------------------------- drift


def test_sample_drifts_down_and_right_with_positive_drift():
    clock = HandClock()
    twin = Twin(spot(), drift_per_s=(0.1, 0.125), clock=clock)
    at = ((5 + 0.5) / 20, (24 + 0.5) / 32)
    assert twin.measure(*at).spectrum.values.sum() > 800
    clock.t = 1.0
    assert twin.measure(*at).spectrum.values.sum() < 200
    # 0.1 of 20 rows down, 0.125 of 32 columns to the right.
    moved = ((7 + 0.5) / 20, (28 + 0.5) / 32)
    found = twin.measure(*moved)
    assert found.spectrum.values.sum() > 800
    assert (found.y, found.x) == moved, "the instrument cannot see drift"
    assert twin.sample_position(*moved).y == pytest.approx(at[0])
    assert twin.sample_position(*moved).x == pytest.approx(at[1])
    assert np.unravel_index(twin.overview().image.argmax(), (20, 32)) == (7, 28)


def test_time_is_simulated_without_a_clock():
    waited = []
    twin = Twin(spot(), drift_per_s=(0.01, 0.0), latency_s=0.4, wait=waited.append)
    twin.measure(0.5, 0.5)
    twin.measure(0.5, 0.5)
    assert twin.elapsed_s() == pytest.approx(2 * (0.1 + 0.4))
    assert twin.sample_position(0.5, 0.5).y == pytest.approx(0.5 - 0.01)
    assert waited == [0.4, 0.4]


def test_drift_beyond_the_edge_sees_the_edge():
    clock = HandClock()
    twin = Twin(spot(), drift_per_s=(0.5, 0.5), clock=clock)
    clock.t = 100.0
    assert np.isfinite(twin.measure(0.2, 0.2).spectrum.values).all()
    assert twin.overview().image.shape == (20, 32)


def test_latency_really_waits():
    twin = Twin(spot(), latency_s=0.05)
    start = time.monotonic()
    twin.measure(0.5, 0.5)
    assert time.monotonic() - start >= 0.045


# ---------------------------------------------------------------- faults


def test_gain_outliers_are_ten_to_hundred_times_too_large_at_their_rate():
    twin = Twin(painted(np.full((16, 16), 5000.0)), seed=3, outlier_rate=0.1)
    n = 1500
    gains = np.array([twin.measure(0.5, 0.5).spectrum.values.sum() / 5000.0 for _ in range(n)])
    wrong = gains > 2.0
    assert wrong.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / n))
    assert gains[wrong].min() > 9.0 and gains[wrong].max() < 106.0
    assert gains[~wrong].max() < 1.1


def test_spike_outliers_hit_one_to_three_samples():
    twin = make_twin("ferroelectric", seed=3, size=16, outlier_rate=1.0)
    clean = twin.scene.spectrum(0.5, 0.5)
    noise = twin.scene.signal_channel.noise_sd
    for _ in range(100):
        hit = np.abs(twin.measure(0.5, 0.5).spectrum.values - clean) > 6 * noise
        assert 1 <= hit.sum() <= 3


def test_failures_come_back_as_measurements_with_an_error():
    twin = Twin(spot(), seed=1, failure_rate=0.25)
    taken = [twin.measure(0.5, 0.5) for _ in range(800)]
    failed = [m for m in taken if m.error]
    assert len(failed) / 800 == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 800))
    assert all(m.spectrum is None and m.dwell_s > 0 and m.dose > 0 for m in failed)
    assert all(m.spectrum is not None for m in taken if not m.error)


@pytest.mark.parametrize(
    "options",
    [
        {"dose": 0.0},
        {"dose": float("nan")},
        {"outlier_rate": 1.5},
        {"failure_rate": -0.1},
        {"latency_s": -1.0},
        {"drift_per_s": (0.0, 2.0)},
    ],
)
def test_refuses_options_out_of_range(options):
    with pytest.raises(InvalidInput) as caught:
        make_twin("lattice", size=16, **options)
    assert (caught.value.reason, caught.value.field) == (Reason.PARAM_INVALID, next(iter(options)))


def test_unknown_scene_names_the_nearest():
    with pytest.raises(InvalidInput, match="did you mean 'plasmonic'") as caught:
        make_twin("plasmonics")
    assert caught.value.reason is Reason.PARAM_INVALID


@pytest.mark.parametrize("size", [4, (64, 5000)])
def test_refuses_impossible_sizes(size):
    with pytest.raises(InvalidInput) as caught:
        make_scene("lattice", size=size)
    assert caught.value.reason is Reason.SHAPE_MISMATCH


# ---------------------------------------------------------------- speed


@pytest.mark.parametrize("name", SCENES)
def test_is_quick(name):
    # The best of three and the median: a busy machine is not the twin's fault.
    builds = []
    for _ in range(3):
        start = time.perf_counter()
        twin = make_twin(name, size=64)
        builds.append(time.perf_counter() - start)
    assert min(builds) < 1.0
    laps = []
    for y, x in pixel_centers(8, 8):
        start = time.perf_counter()
        twin.measure(float(y), float(x))
        laps.append(time.perf_counter() - start)
    assert np.median(laps) < 1e-3
