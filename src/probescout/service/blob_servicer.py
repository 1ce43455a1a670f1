"""BlobService: content-addressed arrays in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import grpc
from probescout_client.wire.v1 import probescout_pb2 as pb
from probescout_client.wire.v1 import probescout_pb2_grpc as rpc

from probescout.core.errors import InvalidInput, NotFound, Reason
from probescout.runtime.once import checked_request_id
from probescout.runtime.planner import Planner
from probescout.service.names import campaign_id
from probescout.store.blob_names import blob_name, digest_of
from probescout.store.blobs import Blobs

CHUNK = 256 * 1024
"""Largest chunk taken or sent, bytes."""
T = TypeVar("T")


async def _aside(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)


class BlobServicer(rpc.BlobServiceServicer):
    """Moves arrays that do not fit into a message."""

    def __init__(self, planner: Planner) -> None:
        """Serve the blobs of a started planner's campaigns."""
        self._planner = planner

    def _blobs(self, campaign: str, *, field: str) -> Blobs:
        blobs = self._planner.desk(campaign, field=field).driver.ledger.blobs
        assert isinstance(blobs, Blobs)
        return blobs

    def _upload(self, upload_id: str) -> tuple[Blobs, str]:
        campaign, _, own = upload_id.partition("/")
        if not own:
            raise NotFound(
                Reason.UPLOAD_NOT_FOUND, f"'{upload_id[:80]}' is no upload id of BeginBlob", field="upload_id"
            )
        return self._blobs(campaign, field="upload_id"), own

    async def BeginBlob(self, request: pb.BeginBlobRequest, context: grpc.aio.ServicerContext) -> pb.BeginBlobReply:
        """Start or resume an upload. Content-addressed, so a retry is harmless by itself."""
        checked_request_id(request.request_id)
        campaign = campaign_id(request.campaign)
        blobs = self._blobs(campaign, field="campaign")
        upload = await _aside(lambda: blobs.begin(request.size, request.sha256))
        return pb.BeginBlobReply(
            upload_id=f"{campaign}/{upload.upload_id}",
            received=upload.received,
            is_complete=upload.is_complete,
            name=blob_name(request.sha256),
            chunk_size=CHUNK,
        )

    async def WriteBlob(self, request: pb.WriteBlobRequest, context: grpc.aio.ServicerContext) -> pb.WriteBlobReply:
        """Take one chunk."""
        if len(request.data) > CHUNK:
            raise InvalidInput(
                Reason.BLOB_TOO_LARGE, f"a chunk of {len(request.data)} bytes; send at most {CHUNK}", field="data"
            )
        blobs, own = self._upload(request.upload_id)
        return pb.WriteBlobReply(received=await _aside(lambda: blobs.write(own, request.offset, request.data)))

    async def FinishBlob(self, request: pb.FinishBlobRequest, context: grpc.aio.ServicerContext) -> pb.FinishBlobReply:
        """Check the digest and keep the blob."""
        checked_request_id(request.request_id)
        blobs, own = self._upload(request.upload_id)
        info = await _aside(lambda: blobs.finish(own))
        return pb.FinishBlobReply(name=blob_name(info.digest))

    async def ReadBlob(
        self, request: pb.ReadBlobRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.BlobChunk]:
        """Yield the blob in chunks."""
        blobs = self._blobs(campaign_id(request.campaign), field="campaign")
        digest = digest_of(request.name, field="name")
        data = await _aside(lambda: blobs.get(digest))
        for offset in range(0, len(data), CHUNK):
            yield pb.BlobChunk(offset=offset, data=data[offset : offset + CHUNK])
