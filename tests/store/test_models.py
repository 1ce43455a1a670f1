"""The registry of models: versions, promotion, damage, and a process that is killed half-way."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from probescout.core.errors import HistoryMismatch, InvalidInput, NotFound, Reason, WrongState
from probescout.store import failpoints
from probescout.store.model_files import pack, unpack
from probescout.store.models import INDEX, Models

ABOUT = {"metrics": {"rmse": 0.5}}


@pytest.fixture
def models(tmp_path):
    """A registry with two versions of steel, of which none is current."""
    models = Models(tmp_path / "models")
    models.register("steel", b"one", ABOUT, now=1.0)
    models.register("steel", b"two", ABOUT, now=2.0, note="more data")
    return models


def file_of(models, digest):
    return models._directory / "blobs" / digest[:2] / digest


def test_versions_count_up_and_stay(models):
    [entry] = models.entries()
    assert [v.number for v in entry.versions] == [1, 2] and entry.versions[1].note == "more data"
    assert models.load("steel@1")[1] == b"one" and models.load("steel@2")[1] == b"two"
    # The same file again is the version that it was.
    assert models.register("steel", b"one", ABOUT, now=9.0).number == 1
    assert models.register("gold", b"one", ABOUT, now=3.0).number == 1
    assert [e.name for e in Models(models._directory).entries()] == ["gold", "steel"]
    assert models.find("steel@1")[1].about == ABOUT


def test_promotion_and_roll_back(models):
    with pytest.raises(WrongState, match="no version of model 'steel' is current") as caught:
        models.load("steel")
    assert caught.value.reason is Reason.MODEL_NOT_FOUND
    models.promote("steel", 2, now=3.0, reason="better")
    models.promote("steel", 1, now=4.0)
    assert models.load("steel")[1] == b"one"
    assert models.roll_back("steel", now=5.0, reason="worse") == 2
    assert models.load("steel")[1] == b"two"
    with pytest.raises(WrongState, match="no version of model 'steel' was current before version 2"):
        models.roll_back("steel", now=6.0)
    [entry] = models.entries()
    told = [(act.what, act.version, act.reason) for act in entry.log]
    assert told[2:] == [("promote", 2, "better"), ("promote", 1, ""), ("rollback", 2, "worse")]


@pytest.mark.parametrize("reference", ["steel@0", "steel@", "steel@x", "@1", "../steel", "steel@1@2", "a b"])
def test_what_names_no_model(models, reference):
    with pytest.raises(InvalidInput) as caught:
        models.find(reference)
    assert caught.value.reason is Reason.ID_INVALID


def test_what_is_not_there(models, tmp_path):
    for reference, words in (("iron", "registered are: steel"), ("steel@3", "versions 1 to 2, not 3")):
        with pytest.raises(NotFound, match=words) as caught:
            models.find(reference)
        assert caught.value.reason is Reason.MODEL_NOT_FOUND
    with pytest.raises(NotFound, match="registered are: none"):
        Models(tmp_path / "nowhere").find("steel")
    with pytest.raises(NotFound):
        models.promote("steel", 3, now=1.0)
    with pytest.raises(NotFound):
        models.roll_back("iron", now=1.0)


def test_a_damaged_file_is_named_and_mended_by_the_same_bytes(models):
    path = file_of(models, models.find("steel@2")[1].digest)
    path.write_bytes(b"tow")
    with pytest.raises(HistoryMismatch, match="steel@2 is damaged") as caught:
        models.load("steel@2")
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    with pytest.raises(HistoryMismatch):
        models.promote("steel", 2, now=3.0)
    assert len(models.problems()) == 1 and models.load("steel@1")[1] == b"one"
    path.unlink()
    assert "steel@2 is lost" in models.problems()[0]
    models.register("steel", b"two", ABOUT, now=4.0)
    assert models.problems() == [] and models.load("steel@2")[1] == b"two"


def test_a_damaged_index_is_refused(models):
    path = models._directory / INDEX
    sound = path.read_text()
    for text in (sound[:-20], sound.replace("more data", "less data"), sound.replace('"format": 1', '"format": 2')):
        path.write_text(text)
        with pytest.raises(HistoryMismatch, match="the index of models") as caught:
            models.register("steel", b"three", ABOUT, now=3.0)
        assert caught.value.reason is Reason.JOURNAL_CORRUPT
        assert path.read_text() == text
    path.write_text(sound)
    assert models.load("steel@1")[1] == b"one"


def test_whoever_is_killed_between_file_and_index_leaves_the_old_state(models):
    before = (models._directory / INDEX).read_bytes()
    code = (
        "import sys; from pathlib import Path; from probescout.store.models import Models; "
        "Models(Path(sys.argv[1])).register('steel', b'three', {}, now=3.0)"
    )
    command = [sys.executable, "-c", code, str(models._directory)]
    killed = subprocess.run(command, env={**os.environ, failpoints.VARIABLE: "before_index"}, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert (models._directory / INDEX).read_bytes() == before
    assert models.problems() == [] and len(models.entries()[0].versions) == 2
    # The lock died with it, and the same again goes through.
    subprocess.run(command, check=True, timeout=60)
    assert models.load("steel@3")[1] == b"three"


def test_a_model_file_holds_its_content_and_nothing_that_runs(tmp_path):
    file = pack({"a": [1, 2.5]}, {"x": np.arange(3.0), "b": np.eye(2, dtype=np.float32)})
    assert file == pack({"a": [1, 2.5]}, {"b": np.eye(2, dtype=np.float32), "x": np.arange(3.0)})
    header, arrays = unpack(file)
    assert header["a"] == [1, 2.5] and sorted(arrays) == ["b", "x"]
    assert arrays["b"].dtype == np.float32 and arrays["x"].tolist() == [0, 1, 2]
    np.savez(tmp_path / "pickle.npz", header=np.array([{}], dtype=object))
    other = tmp_path / "format.npz"
    np.savez(other, header=np.frombuffer(json.dumps({"format": 9}).encode(), np.uint8))
    for bad in (b"", b"PK", file[:-30], (tmp_path / "pickle.npz").read_bytes(), other.read_bytes()):
        with pytest.raises(InvalidInput) as caught:
            unpack(bad)
        assert caught.value.reason is Reason.MODEL_INCOMPATIBLE
