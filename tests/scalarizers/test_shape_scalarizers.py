"""Peak position, edge, loop area and centre of mass against closed forms and Poisson draws."""

import dataclasses
import math

import numpy as np
import pytest
from probescout_scalarizers.center_of_mass import CenterOfMass
from probescout_scalarizers.edge import Edge
from probescout_scalarizers.loop_area import LoopArea, without_spikes
from probescout_scalarizers.peak_position import PeakPosition
from scipy.optimize import curve_fit

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Axis, Spectrum, ValueKind


def along(x, values, unit="eV", kind=ValueKind.COUNTS, mask=None, value_unit=""):
    return Spectrum(np.asarray(values), ("channel",), (Axis("channel", x, "", unit),), value_unit, kind, mask)


def scatter(scalarizer, signal, n, seed):
    rng = np.random.default_rng(seed)
    drawn = [
        scalarizer(dataclasses.replace(signal, values=v)) for v in rng.poisson(signal.values, (n, *signal.values.shape))
    ]
    return np.array([s.value for s in drawn]), np.array([s.variance for s in drawn])


class TestPeakPosition:
    X = np.linspace(10.0, 20.0, 101)

    def test_centroid_of_a_triangle(self):
        values = np.maximum(20.0 - 10.0 * np.abs(self.X - 14.5), 0.0)
        scalar = PeakPosition()(along(self.X, values))
        assert scalar.value == pytest.approx(14.5, abs=1e-9) and scalar.unit == "eV"

    def test_centroid_variance(self):
        # N counts of a Gaussian of width s fix its centre to s^2 / N.
        rates = 4.0 * np.exp(-0.5 * ((self.X - 15.0) / 0.8) ** 2)
        values, claimed = scatter(PeakPosition(), along(self.X, rates), 3000, 1)
        assert values.var() == pytest.approx(0.64 / rates.sum(), rel=0.1)
        assert claimed.mean() == pytest.approx(values.var(), rel=0.15)

    def test_no_counts_leave_the_position_open(self):
        for method in ("centroid", "parabola"):
            scalar = PeakPosition(low=12, high=16, method=method)(along(self.X, np.zeros(101)))
            assert scalar.value == pytest.approx(14.0)
            assert scalar.variance == pytest.approx(4.0**2 / 12, rel=0.1)

    @pytest.mark.parametrize("sign", [-1.0, 1.0])
    def test_vertex_of_an_exact_parabola_far_from_the_origin(self, sign):
        x = np.linspace(1000.0, 1001.0, 41)
        signal = along(x, sign * 1e-12 * (x - 1000.3) ** 2 + 5e-12, kind=ValueKind.CONTINUOUS)
        scalar = PeakPosition(method="parabola")(signal)
        assert scalar.value == pytest.approx(1000.3, abs=1e-7)
        assert math.isnan(scalar.variance)

    def test_vertex_variance_agrees_with_an_independent_fit(self):
        rng = np.random.default_rng(2)
        x = np.linspace(-1.0, 1.0, 60)
        y = -3.0 * (x - 0.2) ** 2 + 1.0 + rng.normal(0, 0.05, x.size)
        expected, covariance = curve_fit(lambda v, a, v0, c: a * (v - v0) ** 2 + c, x, y, p0=(-1, 0, 0))
        scalar = PeakPosition(method="parabola")(along(x, y, "V", ValueKind.CONTINUOUS))
        assert scalar.value == pytest.approx(expected[1], abs=1e-6)
        assert scalar.variance == pytest.approx(covariance[1, 1], rel=1e-3)

    def test_vertex_variance_with_known_noise(self):
        rng = np.random.default_rng(3)
        x = np.linspace(-1.0, 1.0, 40)
        clean = -3.0 * (x - 0.2) ** 2
        find = PeakPosition(method="parabola", noise_sd=0.1)
        drawn = [find(along(x, clean + rng.normal(0, 0.1, 40), "V", ValueKind.CONTINUOUS)) for _ in range(2000)]
        assert np.mean([s.variance for s in drawn]) == pytest.approx(np.var([s.value for s in drawn]), rel=0.1)

    def test_resonance_on_a_long_axis(self):
        x = np.linspace(300.0, 400.0, 401)
        y = 1.0 / (1.0 + ((x - 342.6) / 4.0) ** 2)
        scalar = PeakPosition(method="parabola", half_width=4)(along(x, y, "kHz", ValueKind.CONTINUOUS))
        assert scalar.value == pytest.approx(342.6, abs=0.01)

    def test_refusals(self):
        with pytest.raises(InvalidInput) as caught:
            PeakPosition()(along(self.X, -np.ones(101), kind=ValueKind.CONTINUOUS))
        assert caught.value.reason == Reason.NON_FINITE
        with pytest.raises(InvalidInput) as caught:
            PeakPosition(half_width=3)
        assert caught.value.field == "params.half_width"
        with pytest.raises(InvalidInput) as caught:
            PeakPosition(method="gauss")
        assert "centroid" in caught.value.message


class TestEdge:
    LOSS = np.arange(200.0, 400.0)
    CARBON = Edge(background=[220, 280], window=[285, 334], axis_unit="eV")

    def rates(self, scale, edge):
        return scale * (self.LOSS / 200.0) ** -3.2 + np.where(self.LOSS >= 284.0, edge, 0.0)

    def test_exact_power_law(self):
        scalar = self.CARBON(along(self.LOSS, self.rates(500.0, 20.0), kind=ValueKind.CONTINUOUS, value_unit="e"))
        assert scalar.value == pytest.approx(50 * 20.0, rel=1e-9) and scalar.unit == "e"

    @pytest.mark.parametrize(("scale", "edge"), [(200.0, 40.0), (2000.0, 0.0), (3.0, 1.0)])
    def test_mean_and_variance_over_poisson_draws(self, scale, edge):
        values, claimed = scatter(self.CARBON, along(self.LOSS, self.rates(scale, edge)), 1500, 4)
        error = values.std() / math.sqrt(1500)
        # The prior on the exponent may pull by a small part of one standard deviation.
        assert values.mean() == pytest.approx(50 * edge, abs=4 * error + 0.25 * values.std())
        assert 0.8 < claimed.mean() / values.var() < 1.6

    def test_few_counts_and_none(self):
        rng = np.random.default_rng(5)
        for v in rng.poisson(0.02, size=(300, 200)):
            scalar = self.CARBON(along(self.LOSS, v))
            assert math.isfinite(scalar.value) and scalar.variance >= 0.69
        # 50 elements summed, 61 fitted: one missed count there is 50 / 61 here.
        empty = self.CARBON(along(self.LOSS, np.zeros(200)))
        assert (empty.value, empty.variance) == (0.0, pytest.approx(1 + (50 / 61) ** 2))

    def test_relative_noise_of_other_kinds(self):
        rng = np.random.default_rng(6)
        clean = self.rates(500.0, 0.0)
        drawn = [
            self.CARBON(along(self.LOSS, clean * np.exp(rng.normal(0, 0.02, 200)), kind=ValueKind.CONTINUOUS))
            for _ in range(1500)
        ]
        assert np.mean([s.variance for s in drawn]) == pytest.approx(np.var([s.value for s in drawn]), rel=0.15)

    def test_refusals(self):
        with pytest.raises(InvalidInput, match="overlap"):
            Edge(background=[220, 290], window=[285, 334])
        with pytest.raises(InvalidInput, match="above 0"):
            Edge(background=[-5, 280], window=[285, 334])
        with pytest.raises(InvalidInput, match="positive values"):
            self.CARBON(along(self.LOSS, self.rates(1.0, 0.0) - 0.5, kind=ValueKind.CONTINUOUS))
        with pytest.raises(InvalidInput, match="at least 3"):
            Edge(background=[220, 221], window=[285, 334])(along(self.LOSS, self.rates(10.0, 0.0)))


class TestLoopArea:
    N = 128
    PHASE = np.linspace(0.0, 2 * np.pi, N, endpoint=False)

    def ellipse(self, a=8.0, b=3.0):
        return along(a * np.cos(self.PHASE), b * np.sin(self.PHASE), "V", ValueKind.CONTINUOUS, value_unit="pm")

    def test_ellipse(self):
        # The polygon of n vertices on an ellipse has area a b n sin(2 pi / n) / 2.
        scalar = LoopArea()(self.ellipse())
        assert scalar.value == pytest.approx(8 * 3 * self.N * math.sin(2 * math.pi / self.N) / 2, rel=1e-9)
        assert scalar.unit == "pm V" and math.isnan(scalar.variance)

    def test_direction_and_start_do_not_matter(self):
        loop = self.ellipse()
        (axis,) = loop.axes
        reverse = dataclasses.replace(
            loop, values=loop.values[::-1], axes=(dataclasses.replace(axis, values=axis.values[::-1]),)
        )
        plain = LoopArea(threshold=None)
        assert plain(reverse).value == pytest.approx(plain(loop).value)

    @pytest.mark.parametrize("height", [10.0, 100.0])
    def test_single_spikes_change_little(self, height):
        bias = np.concatenate([np.linspace(-8, 8, 64), np.linspace(8, -8, 64)])
        branch = np.concatenate([np.tanh(bias[:64] - 3), np.tanh(bias[64:] + 3)])
        rng = np.random.default_rng(7)
        clean = along(bias, branch + rng.normal(0, 0.02, 128), "V", ValueKind.CONTINUOUS)
        expected = LoopArea(threshold=None)(clean).value
        assert expected == pytest.approx(2 * 6.0, rel=0.05)
        for _ in range(50):
            where = rng.choice(np.arange(0, 128, 8), size=4, replace=False)
            spiked = clean.values.copy()
            spiked[where] += height * rng.choice([-1.0, 1.0], size=4)
            signal = dataclasses.replace(clean, values=spiked)
            assert LoopArea()(signal).value == pytest.approx(expected, rel=0.06)
        assert LoopArea(threshold=None)(signal).value != pytest.approx(expected, rel=0.06)

    def test_filter_leaves_a_clean_loop_alone(self):
        loop = self.ellipse()
        np.testing.assert_array_equal(without_spikes(loop.values, 3, 5.0), loop.values)

    def test_variance_with_known_noise(self):
        rng = np.random.default_rng(8)
        loop = self.ellipse()
        area = LoopArea(noise_sd=0.1)
        drawn = [area(dataclasses.replace(loop, values=loop.values + rng.normal(0, 0.1, self.N))) for _ in range(1500)]
        assert np.mean([s.variance for s in drawn]) == pytest.approx(np.var([s.value for s in drawn]), rel=0.1)

    def test_logarithm(self):
        plain, log = LoopArea(noise_sd=0.1)(self.ellipse()), LoopArea(noise_sd=0.1, log10=True)(self.ellipse())
        assert log.value == pytest.approx(math.log10(plain.value))
        assert log.variance == pytest.approx(plain.variance / (plain.value * math.log(10)) ** 2)
        assert log.unit == "log10(pm V)"
        with pytest.raises(InvalidInput, match="no logarithm"):
            LoopArea(log10=True)(dataclasses.replace(self.ellipse(), values=np.zeros(self.N)))

    def test_masked_samples_are_bridged(self):
        loop = self.ellipse()
        mask = np.ones(self.N, dtype=bool)
        mask[[5, 40, 90]] = False
        values = np.where(mask, loop.values, np.nan)
        scalar = LoopArea()(dataclasses.replace(loop, values=values, mask=mask))
        assert scalar.value == pytest.approx(LoopArea()(loop).value, rel=1e-3)

    def test_two_samples_are_no_loop(self):
        with pytest.raises(InvalidInput) as caught:
            LoopArea()(along(np.array([0.0, 1.0]), np.array([0.0, 1.0])))
        assert caught.value.reason == Reason.SHAPE_MISMATCH


class TestCenterOfMass:
    KY, KX = np.linspace(-2.0, 2.0, 41), np.linspace(-3.0, 3.0, 61)

    def pattern(self, ky0, kx0, height=40.0, kind=ValueKind.COUNTS, mask=None, units=("mrad", "mrad")):
        values = height * np.exp(-0.5 * ((self.KY[:, None] - ky0) ** 2 + (self.KX - kx0) ** 2) / 0.3**2)
        axes = (Axis("ky", self.KY, "", units[0]), Axis("kx", self.KX, "", units[1]))
        return Spectrum(values, ("ky", "kx"), axes, "", kind, mask)

    @pytest.mark.parametrize(
        ("component", "value", "unit"),
        [
            ("magnitude", 0.5, "mrad"),
            ("angle", math.degrees(math.atan2(0.3, -0.4)), "deg"),
            ("first", 0.3, "mrad"),
            ("second", -0.4, "mrad"),
        ],
    )
    def test_components(self, component, value, unit):
        scalar = CenterOfMass(component=component)(self.pattern(0.3, -0.4))
        assert scalar.value == pytest.approx(value, rel=1e-4) and scalar.unit == unit

    @pytest.mark.parametrize("component", ["magnitude", "angle", "first", "second"])
    def test_variance_over_poisson_draws(self, component):
        values, claimed = scatter(CenterOfMass(component=component), self.pattern(0.3, -0.4, 20.0), 1000, 9)
        assert claimed.mean() == pytest.approx(values.var(), rel=0.15)

    def test_uniform_background_is_cut_by_the_threshold(self):
        pattern = self.pattern(0.3, -0.4)
        raised = dataclasses.replace(pattern, values=pattern.values + 2.0)
        with_threshold = CenterOfMass(component="second", threshold=2.5)(raised)
        without = CenterOfMass(component="second")(raised)
        assert with_threshold.value == pytest.approx(-0.4, abs=0.01)
        assert abs(without.value) < 0.3

    def test_given_center(self):
        scalar = CenterOfMass(center=[0.3, -1.4])(self.pattern(0.3, -0.4))
        assert scalar.value == pytest.approx(1.0, rel=1e-4)

    def test_no_counts_leave_the_shift_open(self):
        empty = dataclasses.replace(self.pattern(0, 0), values=np.zeros((41, 61)))
        assert CenterOfMass(component="first")(empty).variance == pytest.approx(4.1**2 / 12)
        angle = CenterOfMass(component="angle")(empty)
        assert angle.variance == pytest.approx(360.0**2 / 12)

    def test_known_noise(self):
        rng = np.random.default_rng(10)
        pattern = self.pattern(0.3, -0.4, 40.0, ValueKind.CONTINUOUS)
        pattern = dataclasses.replace(pattern, values=pattern.values + 5.0)
        find = CenterOfMass(component="first", noise_sd=0.5)
        drawn = [
            find(dataclasses.replace(pattern, values=pattern.values + rng.normal(0, 0.5, (41, 61)))) for _ in range(600)
        ]
        assert np.mean([s.variance for s in drawn]) == pytest.approx(np.var([s.value for s in drawn]), rel=0.2)
        assert math.isnan(CenterOfMass()(pattern).variance)

    def test_refusals(self):
        with pytest.raises(InvalidInput) as caught:
            CenterOfMass()(self.pattern(0, 0, units=("mrad", "1/nm")))
        assert caught.value.reason == Reason.AXIS_UNIT_MISMATCH
        with pytest.raises(InvalidInput, match="above the threshold"):
            CenterOfMass(threshold=100.0)(self.pattern(0, 0, kind=ValueKind.CONTINUOUS))
        mask = np.zeros((41, 61), dtype=bool)
        mask[:10] = True
        with pytest.raises(InvalidInput, match="at least half"):
            CenterOfMass()(self.pattern(0, 0, mask=mask))
        with pytest.raises(InvalidInput):
            CenterOfMass(center=3.0)
        with pytest.raises(InvalidInput):
            CenterOfMass(threshold=-1.0)
