"""Raw signals come back from their bytes as they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probescout.core.errors import InvalidInput, Reason
from probescout.core.observations import AxisRecord, SignalRecord
from probescout.core.spectra import Axis, Spectrum

signals = hnp.arrays(
    st.sampled_from(["<f4", ">f8", "<u2", ">i4", "|u1"]), hnp.array_shapes(min_dims=0, max_dims=3, max_side=5)
)


@given(signals, st.booleans(), st.booleans())
def test_a_signal_round_trips(values: np.ndarray, has_mask: bool, is_turned: bool) -> None:
    values = values.T if is_turned else values
    mask = np.random.default_rng(0).random(values.shape) < 0.5 if has_mask else None
    dims = tuple(f"d{i}" for i in range(values.ndim))
    record, data = SignalRecord.of(Spectrum(values, dims, mask=mask))
    back = record.spectrum(data)
    assert back.values.shape == values.shape and back.dims == dims
    np.testing.assert_array_equal(back.values, values)
    assert (back.mask is None) == (mask is None)
    if mask is not None:
        np.testing.assert_array_equal(back.mask, mask)


@given(hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e6, 1e6)))
def test_any_axis_round_trips(values: np.ndarray) -> None:
    back = AxisRecord.of(Axis("channel", values, "energy", "eV")).axis()
    np.testing.assert_allclose(back.values, values, rtol=0, atol=1e-12 * max(1e-300, np.abs(values).max()))
    assert (back.dim, back.quantity, back.unit) == ("channel", "energy", "eV")


def test_an_even_axis_is_kept_by_start_and_step() -> None:
    record = AxisRecord.of(Axis("channel", 1.5 + 0.01 * np.arange(2048)))
    assert record.values == () and (record.size, record.start, record.step) == (2048, 1.5, pytest.approx(0.01))
    uneven = AxisRecord.of(Axis("channel", np.geomspace(1, 100, 50)))
    assert len(uneven.values) == 50


def test_a_window_takes_both_ends_and_must_hold_something() -> None:
    axis = Axis("channel", np.array([3.0, 2.0, 1.0, 0.0]), unit="keV")
    assert list(axis.window(1.0, 2.0)) == [1, 2]
    for low, high in ((2.0, 1.0), (0.2, 0.4), (float("nan"), 1.0)):
        with pytest.raises(InvalidInput) as caught:
            axis.window(low, high, field="params.low")
        assert (caught.value.reason, caught.value.field) == (Reason.PARAM_INVALID, "params.low")


def test_axes_are_found_by_dimension() -> None:
    energy = Axis("channel", np.array([5.0, 6.0]))
    pattern = Spectrum(np.zeros((3, 2)), ("scan", "channel"), (energy,))
    assert pattern.axis("channel") is energy
    np.testing.assert_array_equal(pattern.axis("scan").values, [0.0, 1.0, 2.0])
    with pytest.raises(InvalidInput) as caught:
        pattern.axis("bias")
    assert caught.value.reason is Reason.AXIS_MISMATCH
    with pytest.raises(InvalidInput) as caught:
        pattern.only_axis()
    assert caught.value.reason is Reason.SHAPE_MISMATCH
    assert Spectrum(np.zeros(2), ("channel",), (energy,)).only_axis() is energy
