"""How long the texts of a request may be: they are kept in memory and in the journal for good."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from probescout.core.errors import InvalidInput, Reason

MAX_NAME = 128
"""Longest name or id, characters."""
MAX_REFERENCE = 256
"""Longest resource name, characters; two ids and their words fit."""
MAX_NOTE = 256
"""Longest note of an operator's points, characters: GetCampaign shows all that wait in one reply."""
MAX_TEXT = 4 * 1024
"""Longest text for a person, bytes."""
MAX_JSON = 64 * 1024
"""Longest JSON object, bytes."""
ELLIPSIS = "…"
MAX_STRUCTURE = 2 << 20
"""Longest structure of a result, bytes: some ten thousand atoms. Executors of ours stop at 1 MiB."""
_RESULTS = frozenset(("FinishTheoryJobRequest", "ReportTheoryProgressRequest"))
"""Requests of workers whose message is cut: refusing it would lose what was calculated."""
_NAMES = frozenset(
    "request_id client_id worker_id campaign_id frame_id job_id lease_token lease_tokens value_scalarizer engine "
    "engines sha256 etag dims dim quantity update_mask page_token event_hash key members".split()
)
_NAMED = frozenset(("Setting", "StopRule", "ScalarizerSpec", "PolicySpec", "SeedDesign", "Parameter", "Quantity"))
"""Messages whose `name` is no resource name."""
_REFERENCES = frozenset("name names campaign frame suggestion blob upload_id".split())


def check_texts(message: Message) -> None:
    """Refuse a request with a text that is too long.

    Raises:
        InvalidInput: FIELD_INVALID with the field.
    """
    for path, text, allowed, unit in _texts(message, ""):
        size = len(text) if unit == "characters" else len(text.encode())
        if size > allowed:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"{size} {unit}; at most {allowed} are taken: shorten it", field=path
            )


def cut(text: str, n_bytes: int = MAX_TEXT) -> str:
    """Return a text for a person, with an ellipsis where it was longer than it may be."""
    if len(text.encode()) <= n_bytes:
        return text
    return text.encode()[: n_bytes - len(ELLIPSIS.encode())].decode(errors="ignore") + ELLIPSIS


def _texts(message: Message, path: str) -> Iterator[tuple[str, str, int, str]]:
    """Yield (path, text, most, unit) of every text in a message."""
    if not _has_text(message.DESCRIPTOR):
        return
    for field, value in message.ListFields():
        where = f"{path}.{field.name}" if path else field.name
        is_message = field.type == FieldDescriptor.TYPE_MESSAGE
        if not is_message and field.type != FieldDescriptor.TYPE_STRING:
            continue
        many = not isinstance(value, str | Message)
        for i, item in enumerate(value if many else (value,)):
            at = f"{where}[{i}]" if many else where
            if is_message:
                yield from _texts(item, at)
            else:
                yield at, item, *_limit(field)


def _limit(field: Any) -> tuple[int, str]:
    kind = field.containing_type.name
    if field.name.endswith("_json"):
        return MAX_STRUCTURE if kind in _RESULTS else MAX_JSON, "bytes"
    if field.name == "message" and kind in _RESULTS:
        return MAX_STRUCTURE, "bytes"
    if field.name in _NAMES or (field.name == "name" and kind in _NAMED):
        return MAX_NAME, "characters"
    if field.name == "note":
        return MAX_NOTE, "characters"
    return (MAX_REFERENCE, "characters") if field.name in _REFERENCES else (MAX_TEXT, "bytes")


@cache
def _has_text(kind: Descriptor) -> bool:
    """Return whether a message can hold a text; the contract has no message that holds itself."""
    return any(
        f.type == FieldDescriptor.TYPE_STRING or (f.type == FieldDescriptor.TYPE_MESSAGE and _has_text(f.message_type))
        for f in kind.fields
    )
