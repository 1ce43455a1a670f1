"""Raw signals in replies: inline when small, otherwise by the name of their blob."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.observations import INLINE_LIMIT, AxisRecord, Observation, SignalRecord
from probescout.core.ports import BlobStore
from probescout.runtime.ledger import Ledger
from probescout.service.tensors import DTYPES, KINDS, write_tensor
from probescout.store.blob_names import blob_name


async def write_signal(message: pb.Observation, o: Observation, ledger: Ledger) -> None:
    """Fill in spectrum, axes and mask of an observation that has a signal.

    Raises:
        NotFound: BLOB_NOT_FOUND.
        HistoryMismatch: JOURNAL_CORRUPT or DIGEST_MISMATCH.
        Unavailable: STORE_UNAVAILABLE.
    """
    signal = o.signal
    assert signal is not None
    message.axes.extend(_axis(a) for a in signal.axes)
    if signal.blob and not signal.has_mask:
        message.spectrum.CopyFrom(_named(signal, signal.dtype, signal.blob))
    else:
        data = await ledger.raw(o)
        assert data is not None
        spectrum = signal.spectrum(data)
        message.spectrum.CopyFrom(_written(spectrum.values, signal, ledger.blobs))
        if spectrum.mask is not None:
            message.mask.CopyFrom(_written(spectrum.mask, signal, ledger.blobs))
            message.mask.unit = ""
    message.spectrum.value_kind = next(k for k, v in KINDS.items() if v is signal.kind)


def _axis(record: AxisRecord) -> pb.Axis:
    """Return an axis by its values, or by start and step where those would not fit into a message."""
    axis = pb.Axis(dim=record.dim, quantity=record.quantity, unit=record.unit)
    if record.values or 8 * record.size <= INLINE_LIMIT:
        axis.values.extend(record.axis().values)
    else:
        axis.start, axis.step = record.start, record.step
    return axis


def _written(values: np.ndarray[Any, Any], signal: SignalRecord, blobs: BlobStore) -> pb.Tensor:
    """Return an array beside its mask: their bytes are kept together, and apart as the client uploaded them."""
    tensor = write_tensor(values, signal.dims, signal.unit)
    if len(tensor.data) > INLINE_LIMIT:
        digest = hashlib.sha256(tensor.data).hexdigest()
        if blobs.has(digest):
            return _named(signal, values.dtype.name, digest)
    return tensor


def _named(signal: SignalRecord, dtype: str, digest: str) -> pb.Tensor:
    code = next(k for k, v in DTYPES.items() if v == np.dtype(dtype))
    return pb.Tensor(dtype=code, shape=signal.shape, dims=signal.dims, unit=signal.unit, blob=blob_name(digest))  # type: ignore[arg-type]
