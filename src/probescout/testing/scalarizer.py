"""The conformance suite for scalarizers: subclass it in your tests, name your class, and run pytest.

class TestMine(ScalarizerConformance):
scalarizer = Mine
params = {"low": 1.0, "high": 2.0}

def example(self):
energy = Axis("channel", np.linspace(0, 4, 41), "energy", "keV")
return Spectrum(np.full(41, 20.0), ("channel",), (energy,), kind=ValueKind.COUNTS)
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.ports import Scalarizer
from probescout.core.registry import SCALARIZERS, find
from probescout.core.spectra import Axis, Scalar, Spectrum, ValueKind

ALLOWED_REASONS = frozenset(
    {
        Reason.AXIS_MISMATCH,
        Reason.AXIS_UNIT_MISMATCH,
        Reason.DTYPE_MISMATCH,
        Reason.NON_FINITE,
        Reason.PARAM_INVALID,
        Reason.SHAPE_MISMATCH,
    }
)
"""Reasons with which a scalarizer may refuse a signal."""

N_REPEATS = 400
N_FUZZ = 200


class ScalarizerConformance:
    """What every scalarizer must do; each test is one promise of the protocol `Scalarizer`."""

    scalarizer: ClassVar[type]
    """The class under test."""
    params: ClassVar[Mapping[str, Any]] = {}
    """Parameters that suit the example."""
    is_installed: ClassVar[bool] = True
    """Whether it is declared as an entry point under its name."""

    def example(self) -> Spectrum:
        """Return a signal that it takes; expected rates of counts, if it knows a noise model for counts."""
        raise NotImplementedError("override example() with a signal that your scalarizer takes")

    def build(self, **more: Any) -> Any:
        """Return the scalarizer with `params`, as they come out of JSON, some of them replaced."""
        return self.scalarizer(**{**through_json(self.params), **more})

    def refusal(self, spectrum: Spectrum, **more: Any) -> InvalidInput:
        """Return the error with which a signal is refused; fail when it is not."""
        with pytest.raises(InvalidInput) as caught:
            self.build(**more)(spectrum)
        error = caught.value
        assert error.reason in ALLOWED_REASONS
        assert error.message and error.field, "say what is wrong, and which field"
        return error

    # ------------------------------------------------------------ parameters

    def test_offers_the_protocol(self) -> None:
        """All attributes of the protocol are there, with the right types."""
        assert isinstance(self.build(), Scalarizer)
        cls: Any = self.scalarizer
        assert cls.name and cls.name == cls.name.lower() and " " not in cls.name
        assert cls.summary and "\n" not in cls.summary
        assert cls.n_dims >= 1
        assert self.example().values.ndim == cls.n_dims

    def test_is_installed_under_its_name(self) -> None:
        """The entry point of that name is this class."""
        if not self.is_installed:
            pytest.skip("declared as not installed (is_installed = False)")
        assert find(SCALARIZERS, self.scalarizer.name).load() is self.scalarizer  # type: ignore[attr-defined]

    def test_schema_is_sound(self) -> None:
        """The schema is valid JSON Schema, closed, titled, and its defaults and `params` satisfy it."""
        schema: Any = self.scalarizer.params_schema  # type: ignore[attr-defined]
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        params = through_json(self.params)
        validator.validate(params)
        assert not validator.is_valid({**params, "no_such_parameter": 1}), "set additionalProperties to false"
        required = schema.get("required", [])
        for name, entry in schema["properties"].items():
            assert entry.get("title") and entry.get("description"), f"{name} needs a title and a description"
            assert (name in required) != ("default" in entry), f"{name} is either required or has a default"
            if "default" in entry:
                jsonschema.Draft202012Validator(entry).validate(entry["default"])

    def test_defaults_are_those_of_the_schema(self) -> None:
        """Building with the defaults written out gives the same answer as leaving them out."""
        schema: Any = self.scalarizer.params_schema  # type: ignore[attr-defined]
        defaults = {name: entry["default"] for name, entry in schema["properties"].items() if "default" in entry}
        spectrum = self.example()
        assert_same(self.build(**{**defaults, **through_json(self.params)})(spectrum), self.build()(spectrum))

    # ------------------------------------------------------------ results

    def test_answers_the_example(self) -> None:
        """The answer is a finite value, a variance above zero or NaN, and a unit."""
        spectrum = self.example()
        scalar = self.build()(spectrum)
        assert isinstance(scalar, Scalar)
        assert math.isfinite(scalar.value)
        assert math.isnan(scalar.variance) or 0.0 < scalar.variance < math.inf
        assert isinstance(scalar.unit, str)

    def test_is_pure(self) -> None:
        """The same signal gives the same answer and is left as it was."""
        spectrum = self.example()
        before = spectrum.values.copy()
        scalarizer = self.build()
        assert_same(scalarizer(spectrum), scalarizer(spectrum))
        np.testing.assert_array_equal(spectrum.values, before)

    def test_integer_types_do_not_wrap(self) -> None:
        """Small unsigned integers, as detectors send them, give the answer that doubles give."""
        spectrum = self.example()
        values = np.maximum(spectrum.values.astype(float), 0.0)
        small = np.round(values * (255.0 / values.max()))
        as_bytes = dataclasses.replace(spectrum, values=small.astype(np.uint8))
        as_doubles = dataclasses.replace(spectrum, values=small)
        assert_same(self.build()(as_bytes), self.build()(as_doubles))

    def test_variance_is_that_of_repeated_counts(self) -> None:
        """Over Poisson draws the mean variance agrees with the scatter of the values within a factor of two."""
        rates = self.example()
        if rates.kind != ValueKind.COUNTS:
            pytest.skip("the example does not hold counts")
        rng = np.random.default_rng(11)
        scalarizer = self.build()
        drawn = [scalarizer(dataclasses.replace(rates, values=v)) for v in repeat(rates.values, rng)]
        claimed = float(np.mean([s.variance for s in drawn]))
        if math.isnan(claimed):
            pytest.skip("the scalarizer claims no variance")
        scatter = float(np.var([s.value for s in drawn], ddof=1))
        assert 0.5 < claimed / scatter < 2.0, f"claims variance {claimed:g}, repeats scatter with {scatter:g}"

    def test_no_counts_are_not_certain(self) -> None:
        """A signal without a single count is refused or has a variance above zero."""
        spectrum = dataclasses.replace(self.example(), kind=ValueKind.COUNTS)
        empty = dataclasses.replace(spectrum, values=np.zeros_like(spectrum.values))
        try:
            scalar = self.build()(empty)
        except InvalidInput as error:
            assert error.reason in ALLOWED_REASONS
        else:
            assert not scalar.variance <= 0.0, "zero counts are one draw, not certainty: give a variance above zero"

    # ------------------------------------------------------------ refusals

    def test_refuses_another_axis_unit(self) -> None:
        """With `axis_unit` set, an axis in another unit is refused; in that unit it is taken."""
        spectrum = self.example()
        right = in_unit(spectrum, "keV")
        self.build(axis_unit="keV")(right)
        error = self.refusal(in_unit(spectrum, "nm"), axis_unit="keV")
        assert error.reason == Reason.AXIS_UNIT_MISMATCH
        assert error.field == "observation.axes.unit"
        assert "nm" in error.message and "keV" in error.message
        bare = dataclasses.replace(spectrum, axes=())
        assert self.refusal(bare, axis_unit="keV").reason == Reason.AXIS_UNIT_MISMATCH

    def test_refuses_other_shapes(self) -> None:
        """A signal with one dimension more, or with no element, is refused."""
        spectrum = self.example()
        more = dataclasses.replace(spectrum, values=spectrum.values[None], dims=("extra", *spectrum.dims))
        assert self.refusal(more).reason == Reason.SHAPE_MISMATCH
        empty = np.zeros((0,) * spectrum.values.ndim)
        self.refusal(dataclasses.replace(spectrum, values=empty, axes=(), mask=None))

    def test_refuses_an_axis_of_another_length(self) -> None:
        """An axis that does not match the signal is refused."""
        spectrum = self.example()
        axes = tuple(dataclasses.replace(axis, values=axis.values[:-1]) for axis in named_axes(spectrum))
        assert self.refusal(dataclasses.replace(spectrum, axes=axes)).reason == Reason.AXIS_MISMATCH

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_refuses_non_finite_elements(self, bad: float) -> None:
        """Elements that are not finite and not masked are refused, wherever they are."""
        spectrum = self.example()
        values = spectrum.values.astype(float)
        values.flat[0] = bad
        values.flat[-1] = bad
        assert self.refusal(dataclasses.replace(spectrum, values=values)).reason == Reason.NON_FINITE

    def test_refuses_a_wholly_masked_signal(self) -> None:
        """A signal without a valid element is refused."""
        spectrum = self.example()
        mask = np.zeros(spectrum.values.shape, dtype=bool)
        assert self.refusal(dataclasses.replace(spectrum, mask=mask)).reason == Reason.NON_FINITE

    def test_does_not_read_masked_elements(self) -> None:
        """What a masked element holds makes no difference."""
        spectrum = self.example()
        mask = np.ones(spectrum.values.shape, dtype=bool)
        mask.flat[mask.size // 2] = False
        answers = [self._outcome(spectrum, mask, filler) for filler in (0.0, 1e6, math.nan)]
        assert answers[0] == answers[1] == answers[2]

    def _outcome(self, spectrum: Spectrum, mask: NDArray[np.bool_], filler: float) -> str:
        values = np.where(mask, spectrum.values.astype(float), filler)
        try:
            return repr(self.build()(dataclasses.replace(spectrum, values=values, mask=mask)))
        except InvalidInput as error:
            return error.message

    def test_never_fails_otherwise(self) -> None:
        """Whatever comes, the answer is finite or the refusal is an InvalidInput."""
        rng = np.random.default_rng(5)
        scalarizer = self.build()
        for _ in range(N_FUZZ):
            spectrum = any_spectrum(rng)
            try:
                scalar = scalarizer(spectrum)
            except InvalidInput as error:
                assert error.reason in ALLOWED_REASONS
            else:
                assert math.isfinite(scalar.value) and not scalar.variance < 0.0


def through_json(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they arrive over the wire: tuples become lists."""
    result: dict[str, Any] = json.loads(json.dumps(dict(params)))
    return result


def assert_same(a: Scalar, b: Scalar) -> None:
    """Fail unless two scalars are equal, NaN being equal to NaN."""
    np.testing.assert_array_equal([a.value, a.variance], [b.value, b.variance])
    assert a.unit == b.unit


def named_axes(spectrum: Spectrum) -> tuple[Axis, ...]:
    """Return one axis per dimension, an index where the signal names none."""
    return tuple(spectrum.axis(dim) for dim in spectrum.dims)


def in_unit(spectrum: Spectrum, unit: str) -> Spectrum:
    """Return the signal with all axes said to be in a unit."""
    return dataclasses.replace(spectrum, axes=tuple(dataclasses.replace(a, unit=unit) for a in named_axes(spectrum)))


def repeat(rates: NDArray[Any], rng: np.random.Generator) -> list[NDArray[Any]]:
    """Return N_REPEATS Poisson draws, each of the shape of the rates."""
    return list(rng.poisson(rates.astype(float), size=(N_REPEATS, *rates.shape)))


def any_spectrum(rng: np.random.Generator) -> Spectrum:
    """Return a random signal, often an unreasonable one."""
    n_dims = int(rng.integers(1, 4))
    shape = tuple(int(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 12, size=n_dims))
    exponent = float(rng.choice([0.0, 1.0, 5.0, 150.0, 307.0, -300.0]))
    values = rng.normal(size=shape) * 10.0**exponent
    if rng.random() < 0.3:
        values = np.abs(values)
    if rng.random() < 0.2:
        values = np.zeros(shape)
    if values.size and rng.random() < 0.2:
        values.flat[int(rng.integers(values.size))] = float(rng.choice([math.nan, math.inf, -math.inf]))
    dims = tuple(f"d{i}" for i in range(n_dims))
    axes = tuple(
        Axis(
            dim, np.sort(rng.normal(size=n)) * 10.0 ** float(rng.integers(-3, 4)), "energy", str(rng.choice(["", "eV"]))
        )
        for dim, n in zip(dims, shape, strict=True)
        if rng.random() < 0.7
    )
    mask = rng.random(shape) < 0.8 if rng.random() < 0.4 else None
    kind = ValueKind(str(rng.choice([k.value for k in ValueKind])))
    return Spectrum(values, dims, axes, "", kind, mask)
