"""The folder that remembers finished runs: one JSON file for each, whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from probescout.core.errors import InvalidInput, Reason, Unavailable
from probescout.store import durable


class RunFolder:
    """Results by key.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     RunFolder(Path(folder)).keep("one.json", {"rmse": 0.5})
        ...     RunFolder(Path(folder)).find("one.json"), RunFolder(Path(folder)).find("two.json")
        ({'rmse': 0.5}, None)
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first result is kept."""
        self.folder = folder

    def find(self, key: str) -> dict[str, Any] | None:
        """Return the result of a run; None when it was not done yet.

        Raises:
            InvalidInput: FILE_UNREADABLE when the file holds something else.
        """
        path = self.folder / key
        if not path.exists():
            return None
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(
                Reason.FILE_UNREADABLE,
                f"{path} is not the result of a run ({error}); remove it, and the run is done again",
                field="outputs",
            ) from error
        return found

    def keep(self, key: str, result: dict[str, Any]) -> None:
        """Keep the result of a run, synced before it takes its name.

        Raises:
            Unavailable: STORE_UNAVAILABLE when the disk refuses.
        """
        data = json.dumps(result, sort_keys=True).encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Two commands may work on one folder; each writes its own part.
            durable.write(self.folder / key, data, scratch=self.folder / f".{key}.{os.getpid()}")
        except OSError as error:
            raise Unavailable(
                Reason.STORE_UNAVAILABLE,
                f"{self.folder / key} cannot be written ({error}); make room, then run again to go on",
                field="outputs",
            ) from error
