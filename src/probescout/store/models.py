"""The models that a server knows by name and version, in one directory beside its campaigns.

`models/blobs/ab/<sha256>` holds the files, which never change; `models/index.json` says which of them is which version
of what, and which version is current. A file is whole and on the disk before the index names it, and the index is
replaced in one step: whoever is killed between the two leaves the registry as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from probescout.core.errors import HistoryMismatch, NotFound, Reason, Unavailable, WrongState
from probescout.core.jsonable import from_json, to_json
from probescout.core.specs import checked_id
from probescout.store import durable
from probescout.store.blobs import Blobs
from probescout.store.failpoints import passing
from probescout.store.model_files import MAX_BYTES
from probescout.store.model_versions import Act, Entry, Version, parse_reference

FORMAT = 1
INDEX = "index.json"


class Models:
    """The registry of one data directory; any process may use it at any time.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     models = Models(Path(folder))
    ...     _ = models.register("steel", b"a model", {}, now=0.0)
    ...     models.promote("steel", 1, now=0.0)
    ...     models.load("steel")[1]
    b'a model'
    """

    def __init__(self, directory: Path) -> None:
        """Use a directory, which is made when the first model is registered."""
        self._directory = directory
        self._files = Blobs(directory, max_blob_bytes=MAX_BYTES, max_uploads=0)

    # ------------------------------------------------------------ looking

    def entries(self) -> tuple[Entry, ...]:
        """Return all models by name.

        Raises:
            HistoryMismatch: JOURNAL_CORRUPT when the index is damaged.
            Unavailable: STORE_UNAVAILABLE when the disk cannot be read.
        """
        path = self._directory / INDEX
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _refused(error) from error
        try:
            found = json.loads(text)
            if found["format"] != FORMAT:
                raise ValueError(f"format {found['format']!r}, this program reads {FORMAT}")
            if _digest(found["models"]) != found["sha256"]:
                raise ValueError("its content does not match its SHA-256")
            return tuple(from_json(Entry, entry) for entry in found["models"])
        except (ValueError, KeyError, TypeError) as error:
            raise HistoryMismatch(
                Reason.JOURNAL_CORRUPT,
                f"the index of models {path} is damaged ({error}); restore it from a copy. The model files beside it "
                "can be imported into a new data directory",
            ) from error

    def find(self, reference: str, *, field: str = "model") -> tuple[Entry, Version]:
        """Return the version that NAME@VERSION, or the current one that NAME, means.

        Raises:
            InvalidInput: ID_INVALID.
            NotFound: MODEL_NOT_FOUND.
            WrongState: MODEL_NOT_FOUND when no version of it is current.
        """
        name, number = parse_reference(reference, field=field)
        entries = {entry.name: entry for entry in self.entries()}
        if name not in entries:
            known = ", ".join(sorted(entries)) or "none"
            raise NotFound(
                Reason.MODEL_NOT_FOUND,
                f"no model is named '{name}'; registered are: {known}. `probescout model register` makes one of a "
                "campaign",
                field=field,
            )
        entry = entries[name]
        if not number and not entry.current:
            raise WrongState(
                Reason.MODEL_NOT_FOUND,
                f"no version of model '{name}' is current; name one, as in {name}@{len(entry.versions)}, or promote "
                "one with `probescout model promote`",
                field=field,
            )
        return entry, entry.version(number or entry.current)

    def load(self, reference: str, *, field: str = "model") -> tuple[Version, bytes]:
        """Return a version and its file, checked against its hash.

        Raises:
            As `find`.
            HistoryMismatch: DIGEST_MISMATCH when the file is damaged or lost.
            Unavailable: STORE_UNAVAILABLE when the disk cannot be read.
        """
        entry, version = self.find(reference, field=field)
        try:
            return version, self._files.get(version.digest)
        except (NotFound, HistoryMismatch) as error:
            what = "lost" if isinstance(error, NotFound) else "damaged"
            raise HistoryMismatch(
                Reason.DIGEST_MISMATCH,
                f"the file of model {entry.name}@{version.number} is {what}; restore {version.digest} below "
                f"{self._directory / 'blobs'} from a copy, import it again, or roll back to another version",
                field=field,
            ) from error

    def problems(self) -> list[str]:
        """Return what is damaged or lost.

        Raises:
            As `entries`.
        """
        found = []
        for entry in self.entries():
            for version in entry.versions:
                try:
                    self.load(f"{entry.name}@{version.number}")
                except HistoryMismatch as error:
                    found.append(error.message)
        return found

    # ------------------------------------------------------------ changing

    def register(self, name: str, data: bytes, about: Mapping[str, Any], *, now: float, note: str = "") -> Version:
        """Keep a model as the next version of a name; the same file again is the version that it was.

        It does not become current: see `promote`.

        Args:
            name: As `core.specs.checked_id`.
            data: The file.
            about: Schema, lineage and metrics, as JSON values.
            now: Seconds since 1970-01-01 UTC.
            note: For people.

        Raises:
            InvalidInput: ID_INVALID or BLOB_TOO_LARGE.
            Unavailable: STORE_UNAVAILABLE; the registry is as before.
        """
        checked_id(name, field="name")
        with self._changing() as models:
            files = Blobs.open(self._directory, max_blob_bytes=MAX_BYTES)
            digest = files.put(data).digest
            entry = models.get(name, Entry(name, ()))
            known = next((v for v in entry.versions if v.digest == digest), None)
            if known is not None:
                return known
            version = Version(len(entry.versions) + 1, digest, len(data), now, dict(about), note)
            act = Act(now, "register", version.number, note)
            models[name] = replace(entry, versions=(*entry.versions, version), log=(*entry.log, act))
        return version

    def promote(self, name: str, number: int, *, now: float, reason: str = "") -> None:
        """Make a version the current one; its file must be whole.

        Raises:
            As `load`.
        """
        self.load(f"{name}@{number}")
        with self._changing() as models:
            entry = models[name]
            if entry.current != number:
                log = (*entry.log, Act(now, "promote", number, reason))
                models[name] = replace(entry, promoted=(*entry.promoted, number), log=log)

    def roll_back(self, name: str, *, now: float, reason: str = "") -> int:
        """Make the version current that was so before the present one; return its number.

        Raises:
            As `load`.
            WrongState: MODEL_NOT_FOUND when none was current before.
        """
        self.find(f"{name}@1")
        with self._changing() as models:
            entry = models[name]
            if len(entry.promoted) < 2:
                raise WrongState(
                    Reason.MODEL_NOT_FOUND,
                    f"no version of model '{name}' was current before version {entry.current}; promote one instead",
                    field="name",
                )
            number = entry.promoted[-2]
            self.load(f"{name}@{number}")
            log = (*entry.log, Act(now, "rollback", number, reason))
            models[name] = replace(entry, promoted=entry.promoted[:-1], log=log)
        return number

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Entry]]:
        """Give the models by name to change, alone; write them when that went well and something changed."""
        try:
            if not self._directory.is_dir():
                self._directory.mkdir(parents=True, exist_ok=True)
                durable.sync_directory(self._directory.parent)
            descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _refused(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = {entry.name: entry for entry in self.entries()}
            models = dict(before)
            yield models
            if models != before:
                passing("before_index")
                self._write(models)
        except OSError as error:
            raise _refused(error) from error
        finally:
            os.close(descriptor)

    def _write(self, models: Mapping[str, Entry]) -> None:
        listed = [to_json(models[name]) for name in sorted(models)]
        found = {"format": FORMAT, "sha256": _digest(listed), "models": listed}
        data = json.dumps(found, indent=1, allow_nan=False).encode() + b"\n"
        durable.write(self._directory / INDEX, data, scratch=self._directory / "index.writing")
        durable.sync_directory(self._directory)


def _digest(models: Any) -> str:
    return hashlib.sha256(json.dumps(models, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _refused(error: OSError) -> Unavailable:
    return Unavailable(
        Reason.STORE_UNAVAILABLE, f"the disk refuses the models ({error}); free space or mend it, then try again"
    )
