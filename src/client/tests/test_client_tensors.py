import array
import random
import struct

import numpy as np
import pytest
from probescout_client import InvalidInput, from_tensor, to_tensor
from probescout_client.axes import to_axis
from probescout_client.tensors import to_mask
from probescout_client.wire.v1 import probescout_pb2 as pb

DTYPES = ["uint8", "uint16", "uint32", "int16", "int32", "int64", "float32", "float64", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_numpy_arrays_of_any_layout_come_back_equal(dtype, order):
    rng = np.random.default_rng(1)
    base = (rng.random((5, 7, 4)) * 100).astype(dtype)
    layouts = [base, np.asfortranarray(base), base[::2, ::-1, 1:], base.transpose(2, 0, 1)]
    for values in layouts:
        swapped = values.astype(np.dtype(dtype).newbyteorder(order))
        tensor = to_tensor(swapped, ("a", "b", "c"), unit="V")
        assert tensor.data == np.ascontiguousarray(values).astype(np.dtype(dtype).newbyteorder("<")).tobytes()
        back = from_tensor(tensor)
        assert (back.shape, back.dims, back.unit) == (values.shape, ("a", "b", "c"), "V")
        assert np.array_equal(np.asarray(back), values)
        assert np.asarray(back).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("dtype", "sent"), [("int8", pb.D_TYPE_INT16), ("uint64", pb.D_TYPE_INT64), ("float16", pb.D_TYPE_FLOAT32)]
)
def test_types_that_the_contract_lacks_are_widened_without_loss(dtype, sent):
    values = np.array([0, 1, 2.5, 100], dtype=dtype)
    tensor = to_tensor(values, ("channel",))
    assert tensor.dtype == sent
    assert np.array_equal(np.asarray(from_tensor(tensor)), values)


def test_nested_lists():
    assert from_tensor(to_tensor([[1, 2], [3, 4]], ("y", "x"))).tolist() == [[1, 2], [3, 4]]
    assert to_tensor([[1, 2], [3, 4]], ("y", "x")).dtype == pb.D_TYPE_INT64
    assert to_tensor([1, 2.5], ("channel",)).dtype == pb.D_TYPE_FLOAT64
    assert to_tensor([True, False], ("channel",)).dtype == pb.D_TYPE_BOOL
    rows = [np.float32([1, 2]), np.float32([3, 4])]
    assert from_tensor(to_tensor(rows, ("y", "x"))).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_buffers_without_numpy():
    assert from_tensor(to_tensor(array.array("H", [1, 65535]), ("channel",))).tolist() == [1, 65535]
    assert from_tensor(to_tensor(b"\x01\xff", ("channel",))).tolist() == [1, 255]
    image = memoryview(bytes(range(6))).cast("B", (2, 3))
    assert from_tensor(to_tensor(image, ("y", "x"))).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_things_with_only_the_array_method():
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3.0)

    assert from_tensor(to_tensor(Wrapped(), ("channel",))).tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "dims", "reason"),
    [
        ([[1, 2], [3]], ("y", "x"), "SHAPE_MISMATCH"),
        ([1, 2], ("y", "x"), "SHAPE_MISMATCH"),
        (np.array([1 + 2j]), ("channel",), "DTYPE_MISMATCH"),
        (["a", "b"], ("channel",), "DTYPE_MISMATCH"),
        (np.array([2**63], dtype="uint64"), ("channel",), "DTYPE_MISMATCH"),
        (np.array(["2020"], dtype="datetime64[D]"), ("channel",), "DTYPE_MISMATCH"),
        (7.0, (), "DTYPE_MISMATCH"),
    ],
)
def test_what_cannot_be_sent_is_refused(values, dims, reason):
    with pytest.raises(InvalidInput) as caught:
        to_tensor(values, dims)
    assert caught.value.reason == reason


def test_declared_shape_is_checked_against_the_bytes():
    tensor = pb.Tensor(dtype=pb.D_TYPE_FLOAT32, shape=[3], data=struct.pack("<2f", 1, 2))
    with pytest.raises(InvalidInput, match="8 bytes"):
        from_tensor(tensor)


def test_empty_array():
    assert from_tensor(to_tensor(np.zeros((0,), "float32"), ("channel",))).shape == (0,)


def test_mask_of_any_integers():
    for values in (np.array([[1, 0], [0, 7]]), [[1, 0], [0, 1]], [[True, False], [False, True]]):
        tensor = to_mask(values, ("y", "x"))
        assert (tensor.dtype, tensor.data) == (pb.D_TYPE_BOOL, b"\x01\x00\x00\x01")
    with pytest.raises(InvalidInput):
        to_mask([0.5, 1.0], ("channel",))


def test_even_axis_is_start_and_step_only_when_it_gives_the_same_numbers():
    rng = random.Random(2)
    for _ in range(50):
        start, step, n = rng.uniform(-500, 500), rng.uniform(1e-3, 3), rng.randrange(3, 2000)
        exact = [start + i * step for i in range(n)]
        axis = to_axis("channel", exact, "eV")
        if axis.values:
            assert list(axis.values) == exact
        else:
            assert max(abs(axis.start + i * axis.step - v) for i, v in enumerate(exact)) <= 1e-9 * abs(axis.step)
    assert not to_axis("channel", np.linspace(0, 50, 1024), "eV").values
    bent = [float(i) for i in range(100)]
    bent[50] += 1e-7
    assert list(to_axis("channel", bent, "eV").values) == bent
    single = np.linspace(0.1, 50, 1024).astype("float32")
    assert list(to_axis("channel", single, "eV").values) == [float(v) for v in single]
    assert list(to_axis("channel", [3.0, 3.0, 3.0]).values) == [3.0, 3.0, 3.0]
