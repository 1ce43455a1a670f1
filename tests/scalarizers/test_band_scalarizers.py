"""Band sum, band maximum, value at a channel and peak ratio against closed forms and Poisson draws."""

import math

import numpy as np
import pytest
from probescout_scalarizers.band_maximum import BandMaximum
from probescout_scalarizers.band_sum import BandSum
from probescout_scalarizers.peak_ratio import PeakRatio
from probescout_scalarizers.value_at import ValueAt

from probescout.core.errors import InvalidInput, Reason
from probescout.core.spectra import Axis, Spectrum, ValueKind

ENERGY = np.arange(100) * 0.1  # 0.0 .. 9.9 keV


def spectrum(values, kind=ValueKind.COUNTS, mask=None, unit=""):
    return Spectrum(np.asarray(values), ("channel",), (Axis("channel", ENERGY, "energy", "keV"),), unit, kind, mask)


def refused(scalarizer, signal):
    with pytest.raises(InvalidInput) as caught:
        scalarizer(signal)
    return caught.value


class TestBandSum:
    def test_sum_of_an_arithmetic_series(self):
        scalar = BandSum(low=0.95, high=2.05)(spectrum(np.arange(100)))
        assert scalar.value == sum(range(10, 21))
        assert scalar.variance == sum(range(10, 21)) + 1
        assert scalar.unit == "counts"

    def test_whole_axis_and_half_open(self):
        assert BandSum()(spectrum(np.arange(100))).value == 4950
        assert BandSum(low=9.75)(spectrum(np.arange(100))).value == 98 + 99

    def test_ends_are_included_in_spite_of_rounding(self):
        energy = 0.01 * np.arange(2048)
        counts = np.ones(2048)
        for k in range(10, 2000):
            low, high = round(k / 100, 2), round((k + 9) / 100, 2)
            signal = Spectrum(counts, ("channel",), (Axis("channel", energy, "energy", "keV"),))
            assert BandSum(low=low, high=high)(signal).value == 10, (low, high)

    def test_masked_elements_are_made_up_for(self):
        mask = np.ones(100, dtype=bool)
        mask[10:15] = False
        values = np.where(mask, 4, 9999)
        scalar = BandSum(low=0.95, high=2.05)(spectrum(values, mask=mask))
        assert scalar.value == pytest.approx(11 * 4)
        assert scalar.variance == pytest.approx((11 / 6) ** 2 * (6 * 4 + 1))
        mask[10:16] = False
        error = refused(BandSum(low=0.95, high=2.05), spectrum(values, mask=mask))
        assert error.reason == Reason.NON_FINITE and "5 of 11" in error.message

    @pytest.mark.parametrize("rate", [0.02, 0.5, 20.0])
    def test_variance_is_poisson_plus_one_count(self, rate):
        rng = np.random.default_rng(3)
        band = BandSum(low=0.95, high=2.05)
        drawn = [band(spectrum(v)) for v in rng.poisson(rate, size=(4000, 100))]
        expected = 11 * rate
        assert np.var([s.value for s in drawn]) == pytest.approx(expected, rel=0.1)
        assert np.mean([s.variance for s in drawn]) == pytest.approx(expected + 1, rel=0.03)

    def test_other_kinds_have_unknown_variance_unless_told(self):
        signal = spectrum(np.ones(100), ValueKind.CONTINUOUS, unit="nA")
        assert math.isnan(BandSum(low=1, high=2)(signal).variance)
        assert BandSum(low=0.95, high=2.05, noise_sd=0.5)(signal).variance == pytest.approx(11 * 0.25)
        assert BandSum()(signal).unit == "nA"

    def test_window_outside_the_axis_is_refused(self):
        for low, high in ((50, 60), (5, 60), (-3, 2), (1.01, 1.02)):
            error = refused(BandSum(low=low, high=high), spectrum(np.ones(100)))
            assert error.reason == Reason.PARAM_INVALID and error.field == "params.low"
        assert BandSum(low=9.0, high=10.0)(spectrum(np.ones(100))).value == pytest.approx(10)

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({"band": [2, 1]}, "params.band"),
            ({"band": [1]}, "params.band"),
            ({"band": "ab"}, "params.band"),
            ({"band": [1, math.nan]}, "params.band"),
            ({"low": 2, "high": 1}, "params.low"),
            ({"low": "1"}, "params.low"),
            ({"high": 10**400}, "params.high"),
            ({"band": [1, 2], "low": 1}, "params.band"),
            ({"noise_sd": 0}, "params.noise_sd"),
            ({"axis_unit": 3}, "params.axis_unit"),
        ],
    )
    def test_bad_parameters(self, params, field):
        with pytest.raises(InvalidInput) as caught:
            BandSum(**params)
        assert caught.value.reason == Reason.PARAM_INVALID and caught.value.field == field

    def test_micro_sign_in_both_code_points_is_one_unit(self):
        axis = Axis("channel", np.arange(4.0), "length", "\u00b5m")
        signal = Spectrum(np.ones(4), ("channel",), (axis,))
        assert BandSum(axis_unit="\u03bcm")(signal).value == 4


class TestBandMaximum:
    def test_largest_value_inside_the_band_only(self):
        values = np.zeros(100)
        values[[5, 50]] = 9.0, 4.0
        scalar = BandMaximum(low=3, high=7)(spectrum(values))
        assert (scalar.value, scalar.variance) == (4.0, 5.0)

    def test_mean_of_neighbours(self):
        values = np.zeros(100)
        values[[20, 50, 51, 52]] = 9, 6, 6, 6
        scalar = BandMaximum(width=3)(spectrum(values))
        assert scalar.value == pytest.approx(6.0)
        assert scalar.variance == pytest.approx((18 + 1) / 9)

    def test_width_beyond_the_band(self):
        error = refused(BandMaximum(low=1, high=1.25, width=5), spectrum(np.ones(100)))
        assert error.field == "params.width"


class TestValueAt:
    def test_last_channel_by_default(self):
        scalar = ValueAt()(spectrum(np.arange(100)))
        assert (scalar.value, scalar.variance) == (99.0, 100.0)

    @pytest.mark.parametrize(("channel", "value"), [(0, 0), (7, 7), (-2, 98), (99, 99), (-100, 0)])
    def test_channels(self, channel, value):
        assert ValueAt(channel=channel)(spectrum(np.arange(100))).value == value

    @pytest.mark.parametrize("channel", [100, -101])
    def test_channel_that_does_not_exist(self, channel):
        error = refused(ValueAt(channel=channel), spectrum(np.arange(100)))
        assert error.field == "params.channel" and "-100 to 99" in error.message

    def test_nearest_coordinate(self):
        assert ValueAt(at=3.14)(spectrum(np.arange(100))).value == 31
        assert refused(ValueAt(at=10.2), spectrum(np.arange(100))).field == "params.at"

    def test_masked_element_is_refused(self):
        mask = np.ones(100, dtype=bool)
        mask[-1] = False
        assert refused(ValueAt(), spectrum(np.arange(100), mask=mask)).field == "observation.mask"

    def test_both_ways_at_once_are_refused(self):
        with pytest.raises(InvalidInput):
            ValueAt(at=1.0, channel=3)
        with pytest.raises(InvalidInput):
            ValueAt(channel=1.5)


class TestPeakRatio:
    A, B = (0.95, 2.05), (4.95, 6.05)

    def rates(self, mean_a, mean_b):
        values = np.zeros(100)
        values[10:21] = mean_a / 11
        values[50:61] = mean_b / 11
        return values

    @pytest.mark.parametrize(("mean_a", "mean_b"), [(30.0, 12.0), (300.0, 500.0), (2.0, 40.0)])
    def test_mean_and_variance_over_poisson_draws(self, mean_a, mean_b):
        rng = np.random.default_rng(8)
        ratio = PeakRatio(a=self.A, b=self.B)
        drawn = [ratio(spectrum(v)) for v in rng.poisson(self.rates(mean_a, mean_b), size=(6000, 100))]
        values = np.array([s.value for s in drawn])
        # Chapman: the mean of A / (B + 1) is exactly lambda_a / lambda_b (1 - exp(-lambda_b)).
        exact = mean_a / mean_b * -math.expm1(-mean_b)
        assert values.mean() == pytest.approx(exact, abs=4 * values.std() / math.sqrt(6000))
        claimed = np.mean([s.variance for s in drawn])
        assert 0.9 < claimed / values.var() < (1.6 if mean_a < 10 else 1.35)

    def test_logarithm(self):
        rng = np.random.default_rng(9)
        ratio = PeakRatio(a=self.A, b=self.B, log10=True)
        drawn = [ratio(spectrum(v)) for v in rng.poisson(self.rates(50.0, 20.0), size=(6000, 100))]
        values = np.array([s.value for s in drawn])
        assert values.mean() == pytest.approx(math.log10(2.5), abs=4 * values.std() / math.sqrt(6000))
        assert np.mean([s.variance for s in drawn]) == pytest.approx(values.var(), rel=0.1)

    def test_line_over_the_whole_spectrum(self):
        # A fraction p of n counts is nearly binomial: variance p (1 - p) / n, well below that of independent sums.
        rng = np.random.default_rng(10)
        ratio = PeakRatio(a=self.A, b=[0, 9.9])
        drawn = [ratio(spectrum(v)) for v in rng.poisson(self.rates(600.0, 200.0), size=(4000, 100))]
        values = np.array([s.value for s in drawn])
        assert values.var() == pytest.approx(0.75 * 0.25 / 800, rel=0.1)
        assert np.mean([s.variance for s in drawn]) == pytest.approx(values.var(), rel=0.1)

    def test_empty_bands_are_finite_and_uncertain(self):
        scalar = PeakRatio(a=self.A, b=self.B)(spectrum(np.zeros(100)))
        assert scalar.value == 0.0 and scalar.variance == pytest.approx(2.0)

    def test_other_kinds_are_plain_ratios(self):
        values = self.rates(3.0, 12.0)
        signal = spectrum(values, ValueKind.CONTINUOUS)
        assert PeakRatio(a=self.A, b=self.B)(signal).value == pytest.approx(0.25)
        known = PeakRatio(a=self.A, b=self.B, noise_sd=0.1)(signal)
        assert known.variance == pytest.approx(11 * 0.01 * (1 + 0.25**2) / 144)
        log = PeakRatio(a=self.A, b=self.B, noise_sd=0.1, log10=True)(signal)
        assert log.variance == pytest.approx(known.variance / 0.25**2 / math.log(10) ** 2)
        error = refused(PeakRatio(a=self.A, b=(7, 8)), signal)
        assert error.reason == Reason.NON_FINITE and "band b" in error.message

    def test_masked_elements_scale_both_bands(self):
        values = self.rates(110.0, 1100.0)
        mask = np.ones(100, dtype=bool)
        mask[10:14] = False
        scalar = PeakRatio(a=self.A, b=self.B)(spectrum(values, mask=mask))
        assert scalar.value == pytest.approx(110.0 / 1101.0)
