"""`probescout watch`: follows a live campaign, through a kill of its server, and ends with the right code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probescout_client.wire.v1 import probescout_pb2 as pb


def command(server: Any, campaign: str, *arguments: str) -> list[str]:
    reach = ["--server", server.ready["grpc"], "--token-file", server.ready["token_file"]]
    return [sys.executable, "-m", "probescout.cli", "watch", campaign, *reach, *arguments]


@contextmanager
def watching(server: Any, campaign: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(server, campaign, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], word: str) -> list[str]:
    assert process.stdout is not None and process.stderr is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if word in line:
            return lines
    raise AssertionError(f"'{word}' never came: {lines} {process.stderr.read()}")


def control(server: Any, wire: Any, action: int, reason: str) -> None:
    server.call(
        "ControlCampaign",
        pb.ControlCampaignRequest(request_id=wire.new_id(), name="campaigns/gold", action=action, reason=reason),
    )


def test_one_line_an_event_until_interrupted(make_server: Callable[..., Any], wire: Any, tmp_path: Path) -> None:
    server = make_server()
    campaign = server.campaign("gold", budget=pb.Budget(probes=9))
    copy = tmp_path / "events.jsonl"
    with watching(server, "gold", "--json", str(copy)) as process:
        first = lines_until(process, "FrameAdded")
        assert "gold: band_sum by expected_improvement, 9 probes" in first[0] and "[admin]" in first[0]
        assert "16 x 16 pixels" in first[1]
        # Live from here on.
        [point] = server.suggest(campaign, client_id="titan").suggestions
        [leased] = lines_until(process, "Leased")
        where = f"(y {point.position.y:.4f}, x {point.position.x:.4f})"
        assert where in leased and "from seed design to titan" in leased
        told = wire.observation(campaign, "o-1", point)
        server.call("Tell", pb.TellRequest(request_id=wire.new_id(), campaign=campaign, observation=told))
        [observed, scored] = lines_until(process, "Scored")
        assert f"o-1 {where} complete, answers " in observed
        assert "o-1 = " in scored and " ± " in scored
        control(server, wire, pb.CONTROL_ACTION_PAUSE, "coffee\x1b[2J\nbreak")
        [paused] = lines_until(process, "Controlled")
        assert "pause: coffee" in paused and "\x1b" not in paused
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    rows = [json.loads(line) for line in copy.read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    [paused] = [row for row in rows if row["kind"] == "Controlled"]
    assert rows[0]["kind"] == "Created" and paused["payload"]["reason"] == "coffee\x1b[2J\nbreak"


def test_json_lines_from_a_sequence_number_through_a_kill(make_server: Callable[..., Any], wire: Any) -> None:
    other = make_server("other")
    campaign = other.campaign("gold")
    for _ in range(3):
        other.suggest(campaign)
    assert other.stop() == 0
    server = make_server("data")
    assert server.campaign("gold") == campaign
    server.suggest(campaign)
    with watching(server, campaign, "--json", "--after", "1") as process:
        seen = [json.loads(line) for line in lines_until(process, "Leased")]
        assert [row["seq"] for row in seen] == [2, 3]
        server.kill()
        again = make_server("data", "--listen", server.ready["grpc"])
        again.suggest(campaign)
        assert process.stdout is not None
        row = json.loads(process.stdout.readline())
        assert (row["seq"], row["kind"]) == (4, "Leased")
        again.kill()
        # Another data directory with a campaign of that name is another history.
        make_server("other", "--listen", server.ready["grpc"], "--token-file", server.ready["token_file"])
        rest, errors = process.communicate(timeout=60)
        assert (process.returncode, rest) == (7, "")
        assert "HISTORY_MISMATCH" in errors and "the link is lost" in errors


def exit_of(server: Any, campaign: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        command(server, campaign, *arguments), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def test_exit_codes_say_what_kind_of_failure(server: Any, tmp_path: Path) -> None:
    server.campaign("there")
    wrong, none = tmp_path / "wrong", tmp_path / "none"
    wrong.write_text("not-the-token\n")
    cases = [
        (("there", "--token-file", str(wrong)), 5, "TOKEN_UNKNOWN"),
        (("there", "--token-file", str(none)), 2, "FILE_UNREADABLE (token_file)"),
        (("there", "--server", "127.0.0.1:1"), 4, "UNREACHABLE"),
        (("there", "--after", "10000"), 2, "beyond the newest event"),
        (("there", "--json", str(tmp_path / "no" / "folder")), 2, "cannot be written"),
        (("nowhere",), 1, "CAMPAIGN_NOT_FOUND"),
    ]
    for arguments, code, text in cases:
        found, said = exit_of(server, *arguments)
        assert found == code and text in said and said.startswith("error "), (arguments, found, said)
