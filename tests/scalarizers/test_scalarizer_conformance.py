"""Every scalarizer of the package passes the suite that strangers' scalarizers must pass."""

import numpy as np
from probescout_scalarizers.band_maximum import BandMaximum
from probescout_scalarizers.band_sum import BandSum
from probescout_scalarizers.center_of_mass import CenterOfMass
from probescout_scalarizers.edge import Edge
from probescout_scalarizers.loop_area import LoopArea
from probescout_scalarizers.peak_position import PeakPosition
from probescout_scalarizers.peak_ratio import PeakRatio
from probescout_scalarizers.value_at import ValueAt

from probescout.core.registry import SCALARIZERS, installed
from probescout.core.spectra import Axis, Spectrum, ValueKind
from probescout.testing.scalarizer import ScalarizerConformance


def line(center: float = 2.0, height: float = 150.0) -> Spectrum:
    """Return the rates of a line on a flat background, 0 to 4 keV."""
    energy = np.linspace(0.0, 4.0, 81)
    rates = height * np.exp(-0.5 * ((energy - center) / 0.25) ** 2) + 5.0
    return Spectrum(rates, ("channel",), (Axis("channel", energy, "energy", "keV"),), kind=ValueKind.COUNTS)


class TestBandSum(ScalarizerConformance):
    scalarizer = BandSum
    params = {"low": 1.5, "high": 2.5}

    def example(self) -> Spectrum:
        return line()


class TestBandSumByPair(TestBandSum):
    params = {"band": [1.5, 2.5]}


class TestBandMaximum(ScalarizerConformance):
    scalarizer = BandMaximum
    params = {"low": 1.5, "high": 2.5}

    def example(self) -> Spectrum:
        values = np.full(81, 5.0)
        values[40] = 150.0
        return Spectrum(values, ("channel",), line().axes, kind=ValueKind.COUNTS)


class TestBandMaximumOfMeans(TestBandMaximum):
    params = {"band": [1.5, 2.5], "width": 3}

    def example(self) -> Spectrum:
        values = np.full(81, 5.0)
        values[39:42] = 150.0
        return Spectrum(values, ("channel",), line().axes, kind=ValueKind.COUNTS)


class TestPeakRatio(ScalarizerConformance):
    scalarizer = PeakRatio
    params = {"a": [1.8, 2.2], "b": [0.5, 1.4]}

    def example(self) -> Spectrum:
        return line()


class TestPeakRatioLog(TestPeakRatio):
    params = {"a": (1.8, 2.2), "b": (0.0, 4.0), "log10": True}


class TestCentroid(ScalarizerConformance):
    scalarizer = PeakPosition
    params = {"low": 1.5, "high": 2.5}

    def example(self) -> Spectrum:
        return line()


class TestParabola(TestCentroid):
    params = {"low": 1.75, "high": 2.25, "method": "parabola"}


class TestParabolaAroundTop(TestCentroid):
    params = {"method": "parabola", "half_width": 5}

    def example(self) -> Spectrum:
        energy = np.linspace(0.0, 4.0, 81)
        rates = np.maximum(20_000.0 * (1.0 - ((energy - 2.0) / 0.4) ** 2), 5.0)
        return Spectrum(rates, ("channel",), line().axes, kind=ValueKind.COUNTS)


class TestEdge(ScalarizerConformance):
    scalarizer = Edge
    params = {"background": [220.0, 280.0], "window": [285.0, 335.0]}

    def example(self) -> Spectrum:
        loss = np.arange(200.0, 400.0)
        rates = 200.0 * (loss / 200.0) ** -3.2 + np.where(loss >= 284.0, 40.0, 0.0)
        return Spectrum(rates, ("loss",), (Axis("loss", loss, "energy loss", "eV"),), kind=ValueKind.COUNTS)


class TestLoopArea(ScalarizerConformance):
    scalarizer = LoopArea
    params = {"threshold": None}

    def example(self) -> Spectrum:
        bias = np.concatenate([np.linspace(-8, 8, 32), np.linspace(8, -8, 32)])
        branch = np.concatenate([np.tanh(bias[:32] - 3), np.tanh(bias[32:] + 3)])
        return Spectrum(
            100.0 + 80.0 * branch, ("step",), (Axis("step", bias, "bias", "V"),), "counts", ValueKind.COUNTS
        )


class TestLoopAreaRobust(TestLoopArea):
    params = {"log10": True}


def disk(shift: tuple[float, float] = (1.5, -2.0)) -> Spectrum:
    """Return the rates of a diffraction disk on a 24 x 28 detector."""
    ky, kx = np.arange(24.0), np.arange(28.0)
    dy, dx = ky[:, None] - 11.5 - shift[0], kx[None, :] - 13.5 - shift[1]
    axes = (Axis("ky", ky, "scattering angle", "mrad"), Axis("kx", kx, "scattering angle", "mrad"))
    return Spectrum(5.0 * np.exp(-(dy**2 + dx**2) / 18.0), ("ky", "kx"), axes, kind=ValueKind.COUNTS)


class TestCenterOfMass(ScalarizerConformance):
    scalarizer = CenterOfMass

    def example(self) -> Spectrum:
        return disk()


class TestCenterOfMassAngle(TestCenterOfMass):
    params = {"component": "angle", "center": [11.5, 13.5]}


class TestCenterOfMassComponent(TestCenterOfMass):
    params = {"component": "second"}


class TestValueAt(ScalarizerConformance):
    scalarizer = ValueAt

    def example(self) -> Spectrum:
        return line()


class TestValueAtCoordinate(TestValueAt):
    params = {"at": 2.02}


def test_every_installed_scalarizer_is_covered() -> None:
    ours = {info.name for info in installed(SCALARIZERS) if info.distribution == "probescout"}
    suites = [c for c in globals().values() if isinstance(c, type) and issubclass(c, ScalarizerConformance)]
    assert ours == {c.scalarizer.name for c in suites if c is not ScalarizerConformance}
