"""TLS, mutual TLS and unix sockets."""

import shutil
import subprocess
from pathlib import Path

import grpc
import probescout_client as ps
import pytest
from honest_server import TOKEN, HonestServer


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Return the folder with ca.pem, server.pem, server.key, client.pem and client.key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificates of this test")
    folder = tmp_path_factory.mktemp("pem")

    def openssl(*words):
        subprocess.run(("openssl",) + words, cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl(
            *("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", name + ".pem", "-days", "2", "-extfile", "ext"),
        )
    return folder


def names(planner):
    return [campaign.name for campaign in planner.campaigns()]


@pytest.mark.parametrize("is_mutual", [False, True])
def test_tls(pem, is_mutual):
    pair = [((pem / "server.key").read_bytes(), (pem / "server.pem").read_bytes())]
    ca = (pem / "ca.pem").read_bytes()
    server = HonestServer(credentials=grpc.ssl_server_credentials(pair, ca if is_mutual else None, is_mutual))
    ours = {"token": TOKEN, "ca_file": str(pem / "ca.pem"), "timeout_s": 3.0, "patience_s": 0.5}
    if is_mutual:
        with ps.connect(server.target, **ours) as planner, pytest.raises(ps.Unavailable):
            names(planner)
        ours.update(cert_file=str(pem / "client.pem"), key_file=str(pem / "client.key"))
    with ps.connect(server.target, **ours) as planner:
        assert names(planner) == []
        assert planner.start([[1, 2], [3, 4]], scalarizer="given").url.startswith("grpcs://")
    # Neither plaintext nor a server that the authority does not vouch for.
    with ps.connect(server.target, token=TOKEN, timeout_s=3.0, patience_s=0.5) as planner:
        with pytest.raises(ps.Unavailable):
            names(planner)
    server.stop()


def test_unix_socket(tmp_path):
    server = HonestServer("unix:" + str(tmp_path / "s"))
    with ps.connect(server.target, token=TOKEN) as planner:
        assert names(planner) == []
        assert planner._connection.is_plaintext and Path(tmp_path / "s").exists()
    server.stop()
