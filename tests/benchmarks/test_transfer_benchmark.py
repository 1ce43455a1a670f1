"""The benchmark of earlier models, small: three arms from the same initial points, and what is made of them."""

import pytest

from benchmarks import transfer


def test_the_arms_are_paired(monkeypatch):
    for name, value in (("SIZE", 16), ("N_EARLIER", 10), ("STEPS", (6, 8))):
        monkeypatch.setattr(transfer, name, value)
    row = transfer.one_seed(("lattice", 3))
    assert row == transfer.one_seed(("lattice", 3))
    assert row["without"]["8"]["weight"] == 0.0
    assert all(0.0 < row[arm]["8"]["weight"] < 1.0 for arm in ("similar", "shuffled"))
    other = {**row, "seed": 4, "similar": {**row["similar"], "path": row["similar"]["path"] + 1.0}}
    found = transfer.summary([row, other])
    difference = row["similar"]["path"] - row["without"]["path"] + 0.5
    assert found["differences"]["similar"]["path"][0] == pytest.approx(difference, abs=1e-4)
    assert found["arms"]["without"]["8"]["hits"] == row["without"]["8"]["hits"]
    assert set(found["differences"]) == {"similar", "shuffled"}
