"""Named places where a test makes this process kill itself.

Set `PROBESCOUT_FAILPOINT=after_commit:3` and the process sends itself SIGKILL the third time it passes `after_commit`;
without `:n`, the first time. The variable is read once, at import: unset, a passage is a call of an empty function.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable

VARIABLE = "PROBESCOUT_FAILPOINT"
NAMES = ("before_append", "after_append", "before_commit", "after_commit", "before_reply", "before_index")
"""In the order in which a mutating call passes them; the last but one is the service's, the last that of `models`."""


def armed(setting: str) -> Callable[[str], None]:
    """Return the function that a passage calls.

    Args:
        setting: `NAME` or `NAME:n` with n from 1; empty for none.

    Raises:
        ValueError: When the setting names no failpoint or n is not a positive integer.
    """
    if not setting:
        return _nothing
    name, _, count = setting.partition(":")
    if name not in NAMES or not (count or "1").isdigit() or int(count or "1") < 1:
        raise ValueError(f"{VARIABLE}={setting!r} is no failpoint; give one of {', '.join(NAMES)}, then :n if you like")
    passages = itertools.count(1)
    last = int(count or "1")

    def passing(passed: str) -> None:
        if passed == name and next(passages) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return passing


def _nothing(name: str) -> None:
    """Pass a failpoint that is not armed."""


passing = armed(os.environ.get(VARIABLE, ""))
"""Called with the name of a failpoint each time one is passed."""
