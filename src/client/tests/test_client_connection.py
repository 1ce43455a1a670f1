import threading
import time

import grpc
import probescout_client as ps
import pytest
from probescout_client.connection import is_local
from probescout_client.errors import FAMILIES
from probescout_client.wire.v1 import probescout_pb2 as pb


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("localhost:1", True),
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("unix:/tmp/x", True),
        ("planner.lab:50051", False),
        ("10.0.0.1:1", False),
        ("localhost.evil.org:1", False),
        ("0.0.0.0:1", False),
    ],
)
def test_plaintext_only_where_it_leaves_no_machine(target, local):
    assert is_local(target) is local
    with ps.connect(target) as planner:
        assert planner._connection.is_plaintext is local
    with ps.connect(target, insecure=True) as planner:
        assert planner._connection.is_plaintext


def test_every_status_has_a_family():
    assert set(FAMILIES) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


def test_reason_and_field_come_from_the_trailer(server):
    with server.connect() as planner:
        with pytest.raises(ps.NotFound) as caught:
            planner.get("no-such-campaign")
        assert caught.value.reason == "CAMPAIGN_NOT_FOUND"
        with pytest.raises(ps.InvalidInput) as caught:
            planner.call("CreateCampaign", pb.CreateCampaignRequest(request_id="00000000-0000-4000-8000-000000000001"))
        assert caught.value.field.startswith("spec.scalarizer")
    with ps.connect(server.target, token="wrong") as planner, pytest.raises(ps.Unauthenticated):
        list(planner.campaigns())


def test_token_file(server, tmp_path):
    path = tmp_path / "token"
    path.write_text("# of the microscope\n\n" + server.token + "\n")
    with ps.connect(server.target, token_file=str(path)) as planner:
        list(planner.campaigns())
    path.write_text('{"token": "%s", "name": "titan", "scopes": ["admin"]}\n' % server.token)
    with ps.connect(server.target, token_file=str(path)) as planner:
        list(planner.campaigns())
    path.write_text("\n")
    with pytest.raises(ps.InvalidInput, match="empty"):
        ps.connect(server.target, token_file=str(path))
    with pytest.raises(ps.InvalidInput, match="cannot be read"):
        ps.connect(server.target, token_file=str(tmp_path / "none"))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_passing_faults_are_retried_with_the_same_request(honest, fake, when, code, image, campaign):
    honest.state.faults += [("CreateCampaign", when, code)] * 2
    with fake.connect() as planner:
        planner.start(image, scalarizer="given", campaign=campaign)
    sent = [request for name, request in honest.state.calls if name == "CreateCampaign"]
    assert len(sent) == 3 and sent[0] == sent[1] == sent[2]
    assert len(honest.state.campaigns) == 1


def test_other_faults_are_not_retried(honest, fake):
    honest.state.faults.append(("ListCampaigns", "before", grpc.StatusCode.INTERNAL))
    with fake.connect() as planner, pytest.raises(ps.ServerFault):
        list(planner.campaigns())
    assert honest.count("ListCampaigns") == 1


def test_no_server_is_said_after_the_patience_and_closing_ends_the_wait(tmp_path):
    with ps.connect("127.0.0.1:1", outbox=str(tmp_path), patience_s=0.3) as planner:
        began = time.monotonic()
        with pytest.raises(ps.Unavailable, match="check that the server runs"):
            list(planner.campaigns())
        assert 0.05 < time.monotonic() - began < 5.0
    planner = ps.connect("127.0.0.1:1", outbox=str(tmp_path), patience_s=600.0)
    caught = []

    def wait():
        try:
            list(planner.campaigns())
        except ps.Unavailable as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    planner.close()
    thread.join(5.0)
    assert not thread.is_alive() and caught


def test_contradicting_arguments():
    for options in ({"token": "a", "token_file": "b"}, {"cert_file": "a"}, {"insecure": True, "ca_file": "a"}):
        with pytest.raises(ps.InvalidInput):
            ps.connect("localhost:1", **options)
