"""`probescout watch`: the events of a campaign as they happen."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from probescout.cli.json_output import STDOUT, JsonOption
from probescout.cli.remote import (
    FIRST_PATIENCE_S,
    PATIENCE_S,
    CaOption,
    CertOption,
    KeyOption,
    ServerOption,
    TokenOption,
    connection,
)
from probescout.core.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from probescout_client.connection import Connection


def watch(
    campaign: Annotated[str, typer.Argument(help="Its id.", show_default=False)],
    server: ServerOption = "127.0.0.1:50051",
    token_file: TokenOption = None,
    after: Annotated[int, typer.Option(min=0, metavar="SEQ", help="Begin behind this event; 0: the first one.")] = 0,
    ca_file: CaOption = None,
    cert_file: CertOption = None,
    key_file: KeyOption = None,
    json_to: JsonOption = None,
) -> None:
    """Print what happens to a campaign, one line an event, until Ctrl-C (exit code 130).

    With --json every event is a JSON object on a line of its own, appended to PATH. A server that goes away for less
    than half a minute is waited for.
    """
    with connection(server, token_file, ca_file, cert_file, key_file) as link, ExitStack() as stack:
        write = _writer(json_to, stack)
        for event in follow(link, campaign, after):
            write(event)


def follow(link: Connection, campaign: str, after: int) -> Iterator[dict[str, Any]]:
    """Yield the events of a campaign from a sequence number, then live; a lost link is taken up where it broke.

    Raises:
        probescout_client.ProbescoutError: As the server answers; Unavailable when it stays away, HistoryMismatch when
            it comes back with another history.
    """
    from probescout_client.errors import Unavailable
    from probescout_client.specs import to_name
    from probescout_client.wire.v1 import probescout_pb2 as pb

    name = to_name(campaign)
    link.call("GetCampaign", pb.GetCampaignRequest(name=name), FIRST_PATIENCE_S)
    last: pb.Event | None = None
    while True:
        try:
            # The last event seen is asked for again: its hash shows whether the history is still the same.
            behind = after if last is None else last.seq - 1
            for n, event in enumerate(
                link.stream("WatchEvents", pb.WatchEventsRequest(campaign=name, after_seq=behind))
            ):
                if n == 0 and last is not None:
                    _confirm(event.hash == last.hash, last)
                    continue
                last = event
                yield _plain(event)
        except Unavailable as error:
            print(f"the link is lost ({error.message}); waiting up to {PATIENCE_S:g} s", file=sys.stderr)
        found = link.call("GetCampaign", pb.GetCampaignRequest(name=name), PATIENCE_S)
        if last is not None:
            _confirm(found.version.event_seq >= last.seq, last)


def _confirm(is_same: bool, last: Any) -> None:
    from probescout_client.errors import HistoryMismatch

    if not is_same:
        raise HistoryMismatch(
            "HISTORY_MISMATCH",
            f"the server came back with another history: its event {last.seq} is not the one seen here; look at its "
            "data directory with `probescout inspect`",
        )


def _plain(event: Any) -> dict[str, Any]:
    return {
        "seq": int(event.seq),
        "kind": event.kind,
        "time": event.time,
        "principal": event.principal,
        "payload": json.loads(event.payload_json) if event.payload_json else {},
        "hash": event.hash,
    }


def _writer(json_to: str | None, stack: ExitStack) -> Callable[[dict[str, Any]], None]:
    """Return what writes an event: JSON lines where they are wanted, else lines for a person; each is flushed."""
    from probescout.cli.event_lines import event_line

    if json_to == STDOUT:
        return lambda event: print(json.dumps(event, ensure_ascii=False), flush=True)
    if json_to is None:
        file = None
    else:
        try:
            file = stack.enter_context(open(json_to, "a", encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(
                Reason.FILE_UNREADABLE, f"{json_to} cannot be written ({error}); choose another place", field="json"
            ) from error

    def write(event: dict[str, Any]) -> None:
        # The copy first: whoever sees the line on the screen may count on it.
        if file is not None:
            print(json.dumps(event, ensure_ascii=False), file=file, flush=True)
        print(event_line(event["seq"], event["kind"], event["time"], event["principal"], event["payload"]), flush=True)

    return write
