"""Where the campaigns of an experiment run: on a real server of their own, or in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from probescout.replay.session import Declaration, Session


@contextmanager
def open_campaigns(*, in_process: bool = False, data: Path | None = None) -> Iterator[Callable[[Declaration], Session]]:
    """Yield what starts a campaign; everything ends with the context.

    Args:
        in_process: Use the planner as a library, without server or network.
        data: Directory in which the server keeps its campaigns; None: a temporary one.

    Raises:
        Unavailable: The server does not come up.
    """
    if in_process:
        from probescout.replay.library_session import Library

        with Library() as library:
            yield library.open
        return
    from probescout.replay.server_process import ServerProcess

    with ServerProcess(data) as server:
        # grpc is loaded after the server has been started: its threads do not survive a fork.
        import probescout_client as ps

        from probescout.replay.wire_session import GIVE_UP_AFTER_S, WireSession

        planner = ps.connect(
            server.grpc,
            token_file=server.token_file,
            client_id="replay",
            outbox=str(server.data / "replay-outbox"),
            timeout_s=30.0,
            patience_s=GIVE_UP_AFTER_S,
        )
        with planner:
            yield lambda declared: WireSession(planner, declared)
