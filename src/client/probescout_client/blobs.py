"""Arrays that do not fit into a message: resumable upload in chunks, and download."""

from __future__ import annotations

import hashlib
import uuid
from typing import Optional

from probescout_client.connection import Connection
from probescout_client.errors import NotFound, ServerFault, Unavailable
from probescout_client.tensors import INLINE_LIMIT, Array, from_tensor
from probescout_client.wire.v1 import probescout_pb2 as pb

CHUNK_BYTES = 256 * 1024
MAX_RESTARTS = 8
"""Times that an upload is taken up again from where the server stands before its fault is raised."""


def upload(connection: Connection, campaign: str, data: bytes, give_up_after_s: Optional[float] = None) -> str:
    """Send bytes and return their name, blobs/sha256-{hex}; what the server already has is not sent again.

    A chunk is never repeated blindly: after a fault the server is asked how much it has.

    Raises:
        ProbescoutError: As the server refuses; Unavailable when given up.
    """
    digest = hashlib.sha256(data).hexdigest()
    for attempt in range(MAX_RESTARTS + 1):
        try:
            return _upload_once(connection, campaign, data, digest, give_up_after_s)
        except (Unavailable, NotFound) as error:
            is_lost_upload = isinstance(error, NotFound) and error.reason == "UPLOAD_NOT_FOUND"
            is_lost_link = isinstance(error, Unavailable) and not connection.closing.is_set()
            if attempt == MAX_RESTARTS or not (is_lost_upload or is_lost_link):
                raise
    raise AssertionError("unreachable")


def _upload_once(
    connection: Connection, campaign: str, data: bytes, digest: str, give_up_after_s: Optional[float]
) -> str:
    begin = pb.BeginBlobRequest(request_id=str(uuid.uuid4()), campaign=campaign, size=len(data), sha256=digest)
    begun = connection.call("BeginBlob", begin, give_up_after_s)
    if begun.is_complete:
        return str(begun.name)
    offset = int(begun.received)
    chunk = min(begun.chunk_size or CHUNK_BYTES, CHUNK_BYTES)
    while offset < len(data):
        write = pb.WriteBlobRequest(upload_id=begun.upload_id, offset=offset, data=data[offset : offset + chunk])
        received = int(connection.call("WriteBlob", write, give_up_after_s=0.0).received)
        if received <= offset:
            raise ServerFault(
                "UNEXPECTED", "the server took no byte of the chunk at {}; report this".format(offset), "offset"
            )
        offset = received
    finish = pb.FinishBlobRequest(request_id=str(uuid.uuid4()), upload_id=begun.upload_id)
    return str(connection.call("FinishBlob", finish, give_up_after_s).name)


def with_blob(connection: Connection, campaign: str, tensor: pb.Tensor, give_up_after_s: Optional[float]) -> None:
    """Move the bytes of a tensor that is too large for a message to a blob, in place."""
    if len(tensor.data) > INLINE_LIMIT:
        tensor.blob = upload(connection, campaign, tensor.data, give_up_after_s)
        tensor.ClearField("data")


def fetch(connection: Connection, campaign: str, tensor: pb.Tensor) -> Array:
    """Return the array of a tensor, its blob read first where it has one.

    Raises:
        ServerFault: DIGEST_MISMATCH when the bytes are not those that the blob's name promises.
    """
    if not tensor.blob:
        return from_tensor(tensor)
    parts = []
    for chunk in connection.stream("ReadBlob", pb.ReadBlobRequest(campaign=campaign, name=tensor.blob)):
        parts.append(chunk.data)
    data = b"".join(parts)
    if tensor.blob != "blobs/sha256-" + hashlib.sha256(data).hexdigest():
        raise ServerFault("DIGEST_MISMATCH", "{} arrived damaged; read it again".format(tensor.blob), "blob")
    whole = pb.Tensor()
    whole.CopyFrom(tensor)
    whole.data = data
    return from_tensor(whole)
