"""Every error that Probescout raises on purpose, in families by what the caller can do.

ProbescoutError
 ├─ InvalidInput       mend the named field and call again
 ├─ NotFound           the named thing does not exist
 ├─ AlreadyExists      choose another id
 ├─ WrongState         valid, but not now: look at the state first
 ├─ Unauthenticated    send a token that this server knows
 ├─ Denied             ask for a wider token
 ├─ Overloaded         wait, then call again
 ├─ Unavailable        a passing fault: retry
 ├─ HistoryMismatch    the history differs from what the caller saw, or is damaged: call a person
 ├─ NotBuilt           this server does not have that call
 └─ MissingExtra       install the named extra
"""

from __future__ import annotations

from enum import StrEnum

DOMAIN = "probescout"


class Reason(StrEnum):
    """The closed list of reasons that an error may carry; each has a page in docs/errors."""

    AXIS_MISMATCH = "AXIS_MISMATCH"
    AXIS_UNIT_MISMATCH = "AXIS_UNIT_MISMATCH"
    BLOB_INCOMPLETE = "BLOB_INCOMPLETE"
    BLOB_NOT_FOUND = "BLOB_NOT_FOUND"
    BLOB_TOO_LARGE = "BLOB_TOO_LARGE"
    BUDGET_SPENT = "BUDGET_SPENT"
    CALL_NOT_BUILT = "CALL_NOT_BUILT"
    CAMPAIGN_ENDED = "CAMPAIGN_ENDED"
    CAMPAIGN_EXISTS = "CAMPAIGN_EXISTS"
    CAMPAIGN_NOT_FOUND = "CAMPAIGN_NOT_FOUND"
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    DTYPE_MISMATCH = "DTYPE_MISMATCH"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    FIELD_INVALID = "FIELD_INVALID"
    FIELD_MISSING = "FIELD_MISSING"
    FILE_UNREADABLE = "FILE_UNREADABLE"
    FRAME_EXISTS = "FRAME_EXISTS"
    FRAME_NOT_FOUND = "FRAME_NOT_FOUND"
    HISTORY_MISMATCH = "HISTORY_MISMATCH"
    ID_INVALID = "ID_INVALID"
    INSTRUMENT_HELD = "INSTRUMENT_HELD"
    JOB_EXISTS = "JOB_EXISTS"
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    JOB_STATE_MISMATCH = "JOB_STATE_MISMATCH"
    JOURNAL_CORRUPT = "JOURNAL_CORRUPT"
    JOURNAL_LOCKED = "JOURNAL_LOCKED"
    LEASE_STALE = "LEASE_STALE"
    MISSING_EXTRA = "MISSING_EXTRA"
    MODEL_INCOMPATIBLE = "MODEL_INCOMPATIBLE"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    NO_FRAME = "NO_FRAME"
    NON_FINITE = "NON_FINITE"
    OBSERVATION_EXISTS = "OBSERVATION_EXISTS"
    OBSERVATION_NOT_FOUND = "OBSERVATION_NOT_FOUND"
    PARAM_INVALID = "PARAM_INVALID"
    PLUGIN_BROKEN = "PLUGIN_BROKEN"
    PLUGIN_UNKNOWN = "PLUGIN_UNKNOWN"
    POINT_NOT_FOUND = "POINT_NOT_FOUND"
    QUEUE_FULL = "QUEUE_FULL"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    SERVER_DRAINING = "SERVER_DRAINING"
    SHAPE_MISMATCH = "SHAPE_MISMATCH"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    SUGGESTION_NOT_FOUND = "SUGGESTION_NOT_FOUND"
    TOKEN_MISSING = "TOKEN_MISSING"
    TOKEN_SCOPE = "TOKEN_SCOPE"
    TOKEN_UNKNOWN = "TOKEN_UNKNOWN"
    UPLOAD_NOT_FOUND = "UPLOAD_NOT_FOUND"
    WORKER_UNAVAILABLE = "WORKER_UNAVAILABLE"


class ProbescoutError(Exception):
    """Root of the tree: a message for a person, a reason for a program.

    The message says what is wrong, which value, what is allowed, and what to do next.
    """

    def __init__(self, reason: Reason, message: str, *, field: str = "") -> None:
        """Keep what is wrong.

        Args:
            reason: One of the closed list.
            message: What, which value, what to do next.
            field: Path of the offending field, for example "observation.spectrum.shape"; empty if none.
        """
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field


class InvalidInput(ProbescoutError):  # noqa: N818 (the tree reads as states of affairs)
    """The request can never succeed as it is; mend the named field."""


class NotFound(ProbescoutError):  # noqa: N818
    """The named thing does not exist."""


class AlreadyExists(ProbescoutError):  # noqa: N818
    """The id is taken by something else."""


class WrongState(ProbescoutError):  # noqa: N818
    """The request is valid, but the campaign, lease or file is not in a state for it."""


class Unauthenticated(ProbescoutError):  # noqa: N818
    """No token, or one that the server does not know."""


class Denied(ProbescoutError):  # noqa: N818
    """The token is known and does not allow this."""


class Overloaded(ProbescoutError):  # noqa: N818
    """A bounded queue is full; wait and call again."""


class Unavailable(ProbescoutError):  # noqa: N818
    """A passing fault; a retry is safe."""


class HistoryMismatch(ProbescoutError):  # noqa: N818
    """Recorded history is damaged or differs from what the caller saw; a person must look."""


class NotBuilt(ProbescoutError):  # noqa: N818
    """The contract has this call and this server does not."""


class MissingExtra(ProbescoutError):  # noqa: N818
    """An optional package is needed; the message names the install line."""
