"""Servers to run the client against: one with honest state in this process, and the real one once it can be served."""

import json
import os
import shutil
import subprocess
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import probescout_client as ps  # noqa: E402
from cutting_proxy import CuttingProxy  # noqa: E402
from honest_server import TOKEN, HonestServer  # noqa: E402
from probescout_client.wire.v1 import probescout_pb2 as pb  # noqa: E402


class Server:
    """Where to connect, whatever answers there."""

    def __init__(self, target, token, outbox):
        self.target, self.token, self.outbox = target, token, outbox

    def connect(self, target=None, **options):
        options.setdefault("timeout_s", 10.0)
        return ps.connect(target or self.target, token=self.token, outbox=self.outbox, **options)


@pytest.fixture(autouse=True)
def _own_outbox(tmp_path, monkeypatch):
    """Keep the home directory of whoever runs the tests out of them."""
    monkeypatch.setenv("PROBESCOUT_OUTBOX", str(tmp_path / "default-outbox"))


@pytest.fixture
def honest():
    server = HonestServer()
    yield server
    server.stop()


@pytest.fixture
def fake(honest, tmp_path):
    return Server(honest.target, TOKEN, str(tmp_path / "outbox"))


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """Return (target, token) of one real server for all tests."""
    command = os.path.join(os.path.dirname(sys.executable), "probescout")
    command = command if os.path.exists(command) else shutil.which("probescout")
    if command is None:
        pytest.skip("the probescout command is not installed")
    data = tmp_path_factory.mktemp("served")
    process = subprocess.Popen(
        [command, "serve", "--listen", "127.0.0.1:0", "--data", str(data)], stdout=subprocess.PIPE, text=True
    )
    with process, process.stdout as stdout:
        line = stdout.readline()
        if not line:
            pytest.skip("this build has no working `probescout serve` (exit code {})".format(process.wait()))
        ready = json.loads(line)
        with open(ready["token_file"]) as file:
            token = file.read().strip()
        yield ready["grpc"], token
        process.terminate()
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@pytest.fixture(params=["honest", "served"])
def server(request, tmp_path, campaign):
    """Where the same tests run: the honest server in this process and the real one."""
    outbox = str(tmp_path / "outbox")
    if request.param == "honest":
        yield Server(request.getfixturevalue("honest").target, TOKEN, outbox)
        return
    target, token = request.getfixturevalue("served")
    yield Server(target, token, outbox)
    # A campaign left running keeps one of the few workers of the real server.
    with ps.connect(target, token=token) as planner:
        if any(found.name == "campaigns/" + campaign for found in planner.campaigns()):
            planner.call(
                "ControlCampaign",
                pb.ControlCampaignRequest(
                    request_id=str(uuid.uuid4()),
                    name="campaigns/" + campaign,
                    action=pb.CONTROL_ACTION_STOP,
                    reason="the test is over",
                ),
            )


@pytest.fixture
def proxy(server):
    proxy = CuttingProxy(server.target)
    yield proxy
    proxy.close()


@pytest.fixture
def campaign():
    return "test-" + uuid.uuid4().hex[:12]


@pytest.fixture
def image():
    return [[(7 * row + 3 * column) % 11 / 10.0 for column in range(12)] for row in range(10)]
