"""A night with Prefect, in minutes: two regions on the simulated microscope, killed twice, finished all the same.

`make demo-campaign` runs it. A Prefect server, a planner server and whoever serves the deployment run as processes of
their own on this computer. The first run is killed in the first region, together with the process that serves it. The
next run takes the campaign up; in the second region the planner is killed under it, and Prefect's retry goes on once
the planner is back. At the end the journals tell that no point was lost or measured twice. One line of JSON on standard
output is the result; what happens is told on standard error.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_RUNNER_POLL_FREQUENCY": "2",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
PATIENCE_S = 180.0
SPEC = Path(__file__).with_name("campaign.toml")
began = time.monotonic()


def say(text):
    """Tell what happens, and when."""
    print(f"[{time.monotonic() - began:5.1f} s] {text}", file=sys.stderr, flush=True)


def wait_for(what, condition):
    """Return what `condition` finds as soon as it finds something; other processes decide when that is."""
    until, look = time.monotonic() + PATIENCE_S, threading.Event()
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        look.wait(0.25)
    raise SystemExit(f"{what} did not come within {PATIENCE_S:g} s; the logs are beside the results")


def free_port():
    """Return a port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stage:
    """The processes of the demonstration, each with a log of its own."""

    def __init__(self, folder):
        """Begin with an empty stage."""
        self.folder = folder
        self.running = {}

    def start(self, name, *command):
        """Start a process under a name."""
        with open(self.folder / f"{name}.log", "a") as log:
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def kill(self, name):
        """SIGKILL a process and everything that it has started; return how many those were."""
        process = self.running.pop(name)
        family = [process.pid]
        for pid in family:
            for task in Path(f"/proc/{pid}/task").iterdir():
                family += [int(child) for child in (task / "children").read_text().split()]
        for pid in family:
            # A child that is tied to its parent may be gone with it already.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        return len(family) - 1

    def end(self):
        """End what still runs, the last first: whoever serves the deployment says goodbye to Prefect."""
        for process in reversed(self.running.values()):
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def healthy(api):
    """Return whether Prefect's server answers."""
    import httpx

    try:
        return httpx.get(f"{api}/health", timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def serve_planner(stage, address, data):
    """Start the planner server on an address."""
    log = stage.folder / "planner.log"
    n_ready = log.read_text().count('"ready"') if log.exists() else 0
    stage.start("planner", sys.executable, "-m", "probescout.cli", "serve", "--listen", address, "--data", str(data))
    wait_for("the planner", lambda: log.read_text().count('"ready"') > n_ready)


def serve_deployment(stage, spec, address, data):
    """Start what serves the deployment."""
    log = stage.folder / "schedule.log"
    n_served = log.read_text().count("is being served") if log.exists() else 0
    stage.start(
        "schedule", sys.executable, "-m", "probescout.cli", "campaign", "schedule", str(spec), "--server", address,
        "--token-file", str(data / "token"),
    )  # fmt: skip
    wait_for("the deployment", lambda: log.read_text().count("is being served") > n_served)


def journal(data, campaign):
    """Return what the journal of a campaign holds about its observations, and whether it is sound."""
    from probescout.store.journal import Journal
    from probescout.store.verify import verify

    directory = data / "campaigns" / campaign
    told = [record.payload["observation"] for record in Journal.salvage(directory) if record.kind == "Observed"]
    return {
        "campaign": campaign,
        "observations": len(told),
        "places": len({(o["y"], o["x"]) for o in told}),
        "suggestions": len({o["suggestion"] for o in told}),
        "is_sound": not verify(directory).problems,
    }


def measured(planner, campaign):
    """Return how many points of a campaign the planner holds; 0 before it begins."""
    import probescout_client as ps

    try:
        return int(planner.get(campaign).n_observations)
    except (ps.NotFound, ps.Unavailable):
        return 0


def play(stage, spec, data):
    """Run the demonstration; return the ids of the campaigns, the second flow run, and what its artifacts are."""
    import probescout_client as ps
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
    from prefect.deployments import run_deployment

    from probescout.campaigns.reading import read_file
    from probescout.campaigns.rounds import campaign_id

    file = read_file(spec)
    left, right = (campaign_id(file, region) for region in file.regions)
    address = f"127.0.0.1:{free_port()}"
    serve_planner(stage, address, data)
    say(f"a planner serves at {address}")
    serve_deployment(stage, spec, address, data)
    say("the deployment 'probescout-campaign/night-survey' is served; run 1 is asked for")
    planner = ps.connect(address, token_file=str(data / "token"), outbox=str(stage.folder / "looker"), patience_s=1.0)
    name = f"probescout-campaign/{file.campaign.name}"
    with planner, get_client(sync_client=True) as prefect:

        def state(run):
            return prefect.read_flow_run(run.id).state

        first = run_deployment(name, timeout=0)
        wait_for("point 10 of the first region", lambda: measured(planner, left) >= 10)
        n_killed = stage.kill("schedule")
        say(f"{measured(planner, left)} points are in; SIGKILL: the server of the deployment and {n_killed} children")
        serve_deployment(stage, spec, address, data)
        second = run_deployment(name, timeout=0)
        say(f"served again; run 2 is asked for. Prefect still takes run 1 for {state(first).name!r}: run 2 waits until")
        say("the dead run's hold on the instrument lapses, 60 s at most")
        wait_for("point 6 of the second region", lambda: measured(planner, right) >= 6)
        say(f"run 2 took up {left} and finished it; {measured(planner, right)} points of the second region are in")
        stage.kill("planner")
        say("SIGKILL: the planner")
        wait_for("the retry", lambda: state(second).name in ("AwaitingRetry", "Retrying"))
        say("run 2 has given up on it and waits for its retry")
        serve_planner(stage, address, data)
        say("the planner is back, from its journals")
        wait_for("the end", lambda: state(second).is_final())
        now = prefect.read_flow_run(second.id)
        say(f"run 2 is {now.state.name}: {now.state.message} (attempts: {now.run_count})")
        mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[second.id]))
        # Prefect's record of the error of the first attempt has no kind.
        artifacts = [(a.type, a.key, a.data) for a in prefect.read_artifacts(artifact_filter=mine) if a.type]
    return (left, right), now, artifacts


def main():
    """Set the stage, play, and judge."""
    from probescout.campaigns.reading import read_file

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/demo-campaign"), help="emptied first")
    folder = parser.parse_args().out.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    spec, data = folder / "campaign.toml", folder / "data"
    spec.write_text(SPEC.read_text().replace('directory = "../out/campaign"', 'directory = "result"'))
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    # Set before Prefect is imported, here and in every process started from here.
    os.environ.update(QUIET, PREFECT_HOME=str(folder / "prefect"), PREFECT_API_URL=api)
    stage = Stage(folder)
    try:
        say("a Prefect server starts, with a fresh database; this takes longest")
        stage.start(
            "prefect", sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)
        )
        wait_for("Prefect's server", lambda: healthy(api))
        say(f"Prefect serves at {api}")
        campaigns, run, artifacts = play(stage, spec, data)
    finally:
        stage.end()
    budget = read_file(spec).budget.probes
    books = [journal(data, campaign) for campaign in campaigns]
    for book in books:
        say(f"journal of {book['campaign']}: {book['observations']} observations of {book['places']} places")
    kinds = sorted(kind for kind, _, _ in artifacts)
    say(f"artifacts of run 2: {', '.join(kinds)}")
    is_once = all(b["observations"] == b["places"] == b["suggestions"] == budget and b["is_sound"] for b in books)
    progress = [data for kind, _, data in artifacts if kind == "progress"]
    is_shown = {"image", "markdown", "progress", "table"} <= set(kinds) and 100.0 in progress
    verdict = {
        "ok": is_once and is_shown and run.state.is_completed(),
        "every_observation_once": is_once,
        "journals": books,
        "flow_run": run.state.name,
        "attempts": run.run_count,
        "artifacts": kinds,
        "seconds": round(time.monotonic() - began, 1),
        "folder": str(folder),
    }
    print(json.dumps(verdict), flush=True)
    sys.exit(0 if verdict["ok"] else 1)


if __name__ == "__main__":
    main()
