"""Campaign files on a real Prefect server: schedules, cancelling, a person's word, and nothing beyond the loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from probescout.campaigns.reading import read_file
from probescout.campaigns.rounds import campaign_id
from probescout.store.journal import Journal

pytestmark = [pytest.mark.usefixtures("slow_tests"), pytest.mark.timeout(590)]
EXAMPLES = Path(__file__).parents[2] / "examples"
T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 120.0) -> T:
    """Return what is found as soon as something is; other processes decide when."""
    look = threading.Event()
    for _ in range(int(seconds / 0.5)):
        found = condition()
        if found:
            return found
        look.wait(0.5)
    pytest.fail(f"it did not come within {seconds:g} s")


@contextmanager
def process(log: Path, env: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("a") as file:
        running = subprocess.Popen([sys.executable, "-m", *command], stdout=file, stderr=file, env=env)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


class Prefect:
    """A Prefect server, spoken to over its HTTP interface."""

    def __init__(self, api: str, env: dict[str, str]) -> None:
        import httpx

        self._client = httpx.Client(base_url=api, trust_env=False, timeout=30.0)
        self._errors = httpx.HTTPError
        self.env = env

    def is_up(self) -> bool:
        try:
            return self._client.get("/health").is_success
        except self._errors:
            return False

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        # 503 says that its database was busy: its own clients send again, too.
        answer = wait_for(lambda: a if (a := self._client.post(path, json=body)).status_code != 503 else None)
        return answer.raise_for_status().json()

    def limit(self, instrument: str) -> str:
        """Return the path of the limit of an instrument."""
        return f"/v2/concurrency_limits/probescout-instrument-{instrument}"

    def forget(self, path: str) -> None:
        self._client.delete(path).raise_for_status()

    def resume(self, run: str, **answer: Any) -> None:
        """Answer what a paused run asks; it is paused a moment before it can be answered."""
        wait_for(lambda: self.post(f"/flow_runs/{run}/resume", run_input=answer)["status"] == "ACCEPT", 30.0)

    def run(self, name: str) -> str:
        """Ask for a run of a deployment; return its id."""
        deployment = self.get(f"/deployments/name/probescout-campaign/{name}")["id"]
        made: str = self.post(f"/deployments/{deployment}/create_flow_run")["id"]
        return made

    def state(self, run: str) -> str:
        state: str = self.get(f"/flow_runs/{run}")["state"]["name"]
        return state

    def ended(self, run: str) -> dict[str, Any] | None:
        """Return a flow run once it is over."""
        found: dict[str, Any] = self.get(f"/flow_runs/{run}")
        return found if found["state"]["type"] in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED") else None


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    if not os.environ.get("PROBESCOUT_TEST_PREFECT"):
        pytest.skip("make test-prefect runs it")
    folder = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        **os.environ,
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    with process(folder / "log", env, "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)):
        server = Prefect(env["PREFECT_API_URL"], env)
        wait_for(server.is_up, 180.0)
        yield server
        server.close()


@pytest.fixture
def serve(prefect: Prefect, text: str, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Serve a campaign file under a name of its own; return its path."""
    with ExitStack() as stack:

        def start(name: str, *arguments: str, more: str = "", latency_s: float = 0.0, has_two: bool = False) -> Path:
            spec = tmp_path / f"{name}.toml"
            changed = text.replace('"try"', f'"{name}"').replace("size = 16", f"size = 16, latency_s = {latency_s}")
            changed = changed.replace('kind = "twin"', f'kind = "twin"\nname = "{name}"')
            if has_two:
                changed = changed.replace("[instrument]", "[[instruments]]")
                one = changed[changed.index("[[instruments]]") : changed.index("[scalarizer]")]
                changed = changed.replace(one, one + one.replace(f'"{name}"', f'"{name}-2"'))
            spec.write_text(changed + more)
            log = tmp_path / f"{name}.log"
            command = ("probescout.cli", "campaign", "schedule", str(spec), *arguments)
            stack.enter_context(process(log, prefect.env, *command))
            wait_for(lambda: "is being served" in log.read_text())
            return spec

        yield start


def observed(spec: Path, region: int, key: str = "") -> list[dict[str, Any]]:
    file = read_file(spec)
    folder = file.data / "campaigns" / campaign_id(file, file.regions[region], key)
    if not (folder / "events.db").exists():
        return []
    return [r.payload["observation"] for r in Journal.salvage(folder) if r.kind == "Observed"]


def test_a_schedule_of_every_minute_fires_twice(prefect: Prefect, serve: Callable[..., Path]) -> None:
    spec = serve("cron", "--cron", "* * * * *")

    def fired() -> list[dict[str, Any]]:
        mine, over = {"name": {"any_": ["cron"]}}, {"state": {"type": {"any_": ["COMPLETED"]}}}
        found: list[dict[str, Any]] = prefect.post("/flow_runs/filter", deployments=mine, flow_runs=over)
        return found if len(found) >= 2 else []

    runs = sorted(wait_for(fired, 300.0), key=lambda run: run["expected_start_time"])
    assert all(run["auto_scheduled"] and run["run_count"] == 1 for run in runs)
    assert all(run["expected_start_time"][17:19] == "00" for run in runs)
    assert runs[0]["expected_start_time"] < runs[1]["expected_start_time"]
    # Each measured anew, as one whose campaigns have all ended begins again.
    assert [len(observed(spec, region, key)) for key in ("", "run.2") for region in (0, 1)] == [5, 5, 5, 5]


def test_cancelling_parks_the_instrument_and_the_next_run_goes_on(prefect: Prefect, serve: Callable[..., Path]) -> None:
    spec = serve("cancel", latency_s=1.0)
    prefect.forget(prefect.limit("cancel"))
    first = prefect.run("cancel")
    wait_for(lambda: len(observed(spec, 0)) >= 2)
    prefect.post(f"/flow_runs/{first}/set_state", state={"type": "CANCELLING", "name": "Cancelling"})
    ended = wait_for(lambda: prefect.ended(first))
    assert ended["state"]["type"] == "CANCELLED"
    assert "is parked: region left is left" in spec.with_suffix(".log").read_text()
    assert prefect.get(prefect.limit("cancel"))["limit"] == 1, "a limit that was lost is made again"
    assert len(observed(spec, 0)) < 5
    again = prefect.run("cancel")
    second = wait_for(lambda: prefect.ended(again))
    assert second["state"]["type"] == "COMPLETED", second["state"]["message"]
    told = [observed(spec, region) for region in (0, 1)]
    assert [len({(o["y"], o["x"]) for o in region}) for region in told] == [len(region) for region in told] == [5, 5]
    artifacts = prefect.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [second["id"]]}})
    assert {a["type"] for a in artifacts} == {"progress", "image", "table", "markdown"}
    assert [a["data"] for a in artifacts if a["type"] == "progress"] == [100.0]


def test_a_run_holds_all_its_instruments_and_they_share_the_points(
    prefect: Prefect, serve: Callable[..., Path]
) -> None:
    spec = serve("pair", has_two=True, latency_s=0.5)
    first = prefect.run("pair")
    wait_for(lambda: len(observed(spec, 0)) >= 1)
    assert [prefect.get(prefect.limit(name))["active_slots"] for name in ("pair", "pair-2")] == [1, 1]
    ended = wait_for(lambda: prefect.ended(first))
    assert ended["state"]["type"] == "COMPLETED", ended["state"]["message"]
    for region in (0, 1):
        told = observed(spec, region)
        assert len(told) == 5 == len({(o["y"], o["x"]) for o in told})
        assert {o["client_id"] for o in told} == {"pair", "pair-2"}


def test_nothing_moves_before_a_person_agrees(prefect: Prefect, serve: Callable[..., Path]) -> None:
    spec = serve("confirm", more="[confirm]\nrequired = true\nquestion = 'Is the beam on?'\n")
    refused = prefect.run("confirm")
    wait_for(lambda: prefect.state(refused) == "Paused")
    prefect.resume(refused, is_ready=False, by="A")
    ended = wait_for(lambda: prefect.ended(refused))
    assert ended["state"]["type"] == "CANCELLED" and "Is the beam on?" in ended["state"]["message"]
    assert observed(spec, 0) == []
    agreed = prefect.run("confirm")
    wait_for(lambda: prefect.state(agreed) == "Paused")
    assert observed(spec, 0) == []
    prefect.resume(agreed, is_ready=True, by="B")
    assert wait_for(lambda: prefect.ended(agreed))["state"]["type"] == "COMPLETED"
    assert len(observed(spec, 0)) == 5


def test_the_demonstration_ends_well_and_stays_on_the_loopback(slow_tests: None, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed; it shows every address that any of the processes calls")
    trace = tmp_path / "calls"
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, str(EXAMPLES / "campaign_demo.py"), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["ok"] and verdict["attempts"] == 2
    calls = trace.read_text(errors="replace")
    called = set(re.findall(r'sin_addr=inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"', calls))
    addresses = {one or other for one, other in called}
    assert "127.0.0.1" in addresses, "the trace shows nothing, so it proves nothing"
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, addresses
