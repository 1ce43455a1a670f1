"""Bearer tokens from a file, checked on every call; nothing is open by default."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from probescout.core.errors import Denied, InvalidInput, Reason, Unauthenticated

SCOPES = ("view", "operate", "measure", "theory", "admin")
"""What a token may allow; admin allows everything."""

POLICY: dict[str, str] = {
    "/probescout.v1.PlannerService/CreateCampaign": "operate",
    "/probescout.v1.PlannerService/GetCampaign": "view",
    "/probescout.v1.PlannerService/ListCampaigns": "view",
    "/probescout.v1.PlannerService/UpdateCampaign": "operate",
    "/probescout.v1.PlannerService/ControlCampaign": "operate",
    "/probescout.v1.PlannerService/AddFrame": "measure",
    "/probescout.v1.PlannerService/UpdateFrame": "measure",
    "/probescout.v1.PlannerService/Suggest": "measure",
    "/probescout.v1.PlannerService/Tell": "measure",
    "/probescout.v1.PlannerService/Step": "measure",
    "/probescout.v1.PlannerService/RenewLeases": "measure",
    "/probescout.v1.PlannerService/ReleaseSuggestions": "measure",
    "/probescout.v1.PlannerService/ProposePoints": "operate",
    "/probescout.v1.PlannerService/WithdrawPoints": "operate",
    "/probescout.v1.PlannerService/AmendObservation": "operate",
    "/probescout.v1.PlannerService/RetractObservation": "operate",
    "/probescout.v1.PlannerService/Preview": "view",
    "/probescout.v1.PlannerService/Explain": "view",
    "/probescout.v1.PlannerService/GetMaps": "view",
    "/probescout.v1.PlannerService/GetParetoFront": "view",
    "/probescout.v1.PlannerService/WatchEvents": "view",
    "/probescout.v1.PlannerService/ListObservations": "view",
    "/probescout.v1.PlannerService/ListSuggestions": "view",
    "/probescout.v1.PlannerService/ExportCampaign": "view",
    "/probescout.v1.PlannerService/VerifyCampaign": "view",
    "/probescout.v1.PlannerService/ListPlugins": "view",
    "/probescout.v1.BlobService/BeginBlob": "measure",
    "/probescout.v1.BlobService/WriteBlob": "measure",
    "/probescout.v1.BlobService/FinishBlob": "measure",
    "/probescout.v1.BlobService/ReadBlob": "view",
    "/probescout.v1.TheoryService/SubmitTheoryJob": "operate",
    "/probescout.v1.TheoryService/AcquireTheoryJobs": "theory",
    "/probescout.v1.TheoryService/ReportTheoryProgress": "theory",
    "/probescout.v1.TheoryService/FinishTheoryJob": "theory",
    "/probescout.v1.TheoryService/ListTheoryJobs": "view",
    "/probescout.v1.TheoryService/CancelTheoryJob": "operate",
    "/probescout.v1.TheoryService/SetEvidenceState": "operate",
    "/grpc.health.v1.Health/Check": "",
    "/grpc.health.v1.Health/Watch": "",
    "/grpc.health.v1.Health/List": "",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "view",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": "view",
}
"""Scope that each call needs; empty: anybody. A call that is not here is refused."""


@dataclass(frozen=True)
class Principal:
    """Who calls."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class _Entry:
    digest: bytes
    principal: Principal


class Tokens:
    """The tokens that this server knows, held as hashes."""

    def __init__(self, entries: list[tuple[str, Principal]]) -> None:
        """Keep the hashes of (token, principal) pairs."""
        self._entries = [_Entry(_digest(token), principal) for token, principal in entries]

    @classmethod
    def load(cls, path: Path) -> Tokens:
        """Return the tokens of a file, which is made with one new admin token when it does not exist.

        A line is a token, or a JSON object {"token", "name", "scopes"}; lines that start with # are skipped.

        Raises:
            InvalidInput: FILE_UNREADABLE when others may read the file, or a line is not understood.
        """
        if not path.exists():
            _create(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InvalidInput(
                Reason.FILE_UNREADABLE,
                f"token file {path} can be read by others; run: chmod 600 {path}",
                field="--token-file",
            )
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [(n, text.strip()) for n, text in enumerate(lines, 1)]
        entries = [_parse(path, n, text) for n, text in rows if text and not text.startswith("#")]
        if not entries:
            raise InvalidInput(Reason.FILE_UNREADABLE, f"token file {path} holds no token", field="--token-file")
        return cls(entries)

    def check(self, method: str, header: str) -> Principal:
        """Return who sent an authorization header, if they may call the method.

        Raises:
            Unauthenticated: TOKEN_MISSING or TOKEN_UNKNOWN.
            Denied: TOKEN_SCOPE.
        """
        needed = POLICY.get(method)
        if needed is None:
            raise Denied(Reason.TOKEN_SCOPE, f"nobody may call {method[:200]}")
        if needed == "":
            return Principal("anybody", frozenset())
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Unauthenticated(
                Reason.TOKEN_MISSING,
                "send the metadata 'authorization: Bearer TOKEN'; the server printed the path of its token file when "
                "it started",
            )
        digest = _digest(token.strip())
        found = None
        for entry in self._entries:
            # No early exit: the time must not tell which token came close.
            if hmac.compare_digest(entry.digest, digest):
                found = entry.principal
        if found is None:
            raise Unauthenticated(Reason.TOKEN_UNKNOWN, "this server does not know that token; read its token file")
        if needed not in found.scopes and "admin" not in found.scopes:
            raise Denied(
                Reason.TOKEN_SCOPE,
                f"{method} needs scope '{needed}'; the token of '{found.name}' has "
                f"{', '.join(sorted(found.scopes)) or 'none'}",
            )
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32) + "\n")


def _parse(path: Path, n: int, text: str) -> tuple[str, Principal]:
    if not text.startswith("{"):
        return text, Principal("admin", frozenset({"admin"}))
    try:
        row = json.loads(text)
        scopes = frozenset(row["scopes"])
        if not scopes <= set(SCOPES):
            raise ValueError(f"unknown scopes {sorted(scopes - set(SCOPES))}; known: {', '.join(SCOPES)}")
        return str(row["token"]), Principal(str(row["name"]), scopes)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"token file {path}, line {n}: {error}", field="--token-file"
        ) from error
