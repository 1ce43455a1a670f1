"""Messages between processes come out as they went in."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probescout.runtime.framing import _LENGTH, MAX_FRAME, PREFIX, lengths, pack, read_frames, unpack

arrays = hnp.arrays(
    st.sampled_from(["<f4", "<f8", "<u2", "|u1", "|b1", "<i8", ">i4"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=10) | arrays
keys = st.text(max_size=6) | st.sampled_from(["$array", "$float", "$items", "$"])
messages = st.dictionaries(
    keys,
    st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=3), max_leaves=8),
    max_size=4,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        return isinstance(b, float) and (a == b or (math.isnan(a) and math.isnan(b)))
    return type(a) is type(b) and a == b


@given(st.lists(messages, max_size=3))
def test_a_stream_of_messages_round_trips(sent: list[dict[str, Any]]) -> None:
    got = list(read_frames(io.BytesIO(b"".join(pack(m) for m in sent))))
    assert len(got) == len(sent) and all(same(a, b) for a, b in zip(sent, got, strict=True))


@given(messages)
def test_the_header_is_strict_json(message: dict[str, Any]) -> None:
    frame = pack(message)
    n_header, n_body = lengths(frame[:PREFIX])
    assert len(frame) == PREFIX + n_header + n_body
    json.loads(frame[PREFIX : PREFIX + n_header], parse_constant=pytest.fail)


def test_keys_that_look_like_marks_are_only_keys() -> None:
    """A client's plug-in parameters or metadata may hold any JSON; it must not end the worker that reads it."""
    message = {"params": {"$array": ["<f8", [10**12]], "$float": "x"}, "a": {"$items": 3}}
    assert next(read_frames(io.BytesIO(pack(message)))) == message
    # With marks of our own before and after it.
    both = {"first": np.arange(3), "params": {"$array": ["<f8", [2]], "b": [math.inf]}, "last": np.ones((2, 0))}
    assert same(next(read_frames(io.BytesIO(pack(both)))), both)


def test_numpy_scalars_become_plain_numbers() -> None:
    [got] = read_frames(io.BytesIO(pack({"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": (1, 2)})))
    assert got == {"a": 0.5, "b": 3, "c": True, "d": [1, 2]} and type(got["b"]) is int


def test_arrays_are_views_that_cannot_be_written() -> None:
    [got] = read_frames(io.BytesIO(pack({"a": np.arange(3)})))
    assert not got["a"].flags.writeable


def test_a_stream_out_of_step_is_noticed() -> None:
    with pytest.raises(ValueError, match="out of step"):
        lengths(_LENGTH.pack(MAX_FRAME, 1))
    frame = pack({"a": 1})
    assert unpack(frame[PREFIX:], b"") == {"a": 1}
    with pytest.raises(TypeError):
        pack({"a": object()})
