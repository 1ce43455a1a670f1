"""No signal and no parameter makes a scalarizer fail with anything but InvalidInput."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probescout.core.errors import InvalidInput
from probescout.core.registry import SCALARIZERS, find
from probescout.core.spectra import Axis, Spectrum, ValueKind

NUMBERS = st.one_of(st.floats(), st.floats(-10, 10), st.integers(-3, 30))
PAIRS = st.one_of(st.lists(NUMBERS, min_size=0, max_size=3), st.tuples(NUMBERS, NUMBERS), st.none(), st.just("1:2"))
PARAMS = {
    "band_sum": {"band": PAIRS, "low": NUMBERS, "high": NUMBERS},
    "band_maximum": {"low": NUMBERS, "high": NUMBERS, "width": NUMBERS},
    "center_of_mass": {
        "component": st.sampled_from(["magnitude", "angle", "first", "second", "up"]),
        "threshold": NUMBERS,
        "center": PAIRS,
    },
    "edge": {"background": PAIRS, "window": PAIRS},
    "loop_area": {"log10": st.booleans(), "threshold": st.one_of(st.none(), NUMBERS), "half_window": NUMBERS},
    "peak_position": {
        "band": PAIRS,
        "method": st.sampled_from(["centroid", "parabola"]),
        "half_width": st.one_of(st.none(), st.integers(-1, 5)),
    },
    "peak_ratio": {"a": PAIRS, "b": PAIRS, "log10": st.one_of(st.booleans(), st.just(1))},
    "value_at": {"at": NUMBERS, "channel": NUMBERS},
}
REQUIRED = {"edge": {"background", "window"}, "peak_ratio": {"a", "b"}}


@st.composite
def signals(draw: st.DrawFn) -> Spectrum:
    n_dims = draw(st.sampled_from([1, 1, 1, 2, 2, 3, 0]))
    shape = draw(hnp.array_shapes(min_dims=n_dims, max_dims=n_dims, min_side=0, max_side=9)) if n_dims else ()
    dtype = draw(st.sampled_from([np.float64, np.float32, np.uint8, np.int64, np.bool_, np.complex128]))
    values = draw(hnp.arrays(dtype, shape))
    dims = tuple(f"d{i}" for i in range(n_dims))
    axes = tuple(
        Axis(dim, draw(hnp.arrays(np.float64, n, elements=st.one_of(st.floats(-10, 10), st.floats()))), "", "eV")
        for dim, n in zip(dims, shape, strict=True)
        if draw(st.booleans())
    )
    mask = draw(st.one_of(st.none(), hnp.arrays(np.bool_, shape)))
    return Spectrum(values, dims, axes, "", draw(st.sampled_from(list(ValueKind))), mask)


@pytest.mark.parametrize("name", sorted(PARAMS))
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_only_invalid_input(name: str, data: st.DataObject) -> None:
    required = REQUIRED.get(name, set())
    params = data.draw(
        st.fixed_dictionaries(
            {k: v for k, v in PARAMS[name].items() if k in required},
            optional={k: v for k, v in PARAMS[name].items() if k not in required},
        )
    )
    try:
        scalar = find(SCALARIZERS, name).load()(**params)(data.draw(signals()))
    except InvalidInput as error:
        assert error.message and error.field
    else:
        assert math.isfinite(scalar.value)
        assert math.isnan(scalar.variance) or 0.0 <= scalar.variance < math.inf
