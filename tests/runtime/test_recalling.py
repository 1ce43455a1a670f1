"""A campaign that nobody runs, looked into: what it shows is what it showed when it was left."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import Unavailable, WrongState
from probescout.runtime import recalling
from probescout.runtime.ledger import Ledger
from probescout.runtime.planner import Planner
from probescout.runtime.recalling import recall
from probescout.runtime.settings import Settings
from probescout.store.blobs import Blobs
from probescout.store.journal import Journal


async def left_behind(lab: Any, data: Path) -> dict[str, Any]:
    """Run a campaign with a learnt representation, leave it on disk, and return what its model last showed."""
    planner = Planner(data, Settings(is_inline=True, is_fit_awaited=True))
    await planner.start()
    try:
        driver = await lab.campaign(planner, is_deep_member_disabled=False)
        await lab.warm_up(driver, 7, compute_budget_s=60.0)
        shown = await driver.maps()
        assert "deep" in shown["weights"]
        return {**shown["maps"], "n_observed": driver.modeller.news["n_observed"]}
    finally:
        await planner.close()


def looked_into(directory: Path, clock: Any) -> Any:
    with Journal.open(directory) as journal:
        blobs = Blobs.open(directory)
        ledger = Ledger.recover(journal, blobs, clock)
        before = journal.head
        view = recall(directory, ledger.state, blobs, ledger.hash_at)
        assert journal.head == before
    return view


# A deep kernel is trained on the way: long on a busy machine.
@pytest.mark.timeout(400)
def test_a_model_is_recalled_as_it_was_left(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = asyncio.run(left_behind(lab, tmp_path))
    home = tmp_path / "campaigns" / "c"
    view = looked_into(home, lab.FakeClock())
    assert view.n_observed == shown.pop("n_observed") == 7 and view.comments == ()
    assert set(view.maps) == set(shown)
    for name, values in shown.items():
        np.testing.assert_allclose(view.maps[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    assert view.representation == "deep" and view.latent.shape == (144, 3)
    # What was learnt is in the snapshot alone: without it the other members answer, and that is said.
    shutil.rmtree(home / "snapshots")
    poorer = looked_into(home, lab.FakeClock())
    assert "deep" not in poorer.weights and poorer.representation == "bank"
    assert "member 'deep' took part in the campaign and is left out" in poorer.comments[0]
    assert np.corrcoef(poorer.maps["mean"].ravel(), shown["mean"].ravel())[0, 1] > 0.5

    class Broken:
        def handle(self, message: Any) -> Any:
            raise ZeroDivisionError("of a plug-in")

    monkeypatch.setattr(recalling, "Brain", Broken)
    with pytest.raises(Unavailable, match="'c' failed: ZeroDivisionError"):
        looked_into(home, lab.FakeClock())


def test_without_a_frame_there_is_no_model(lab: Any, tmp_path: Path) -> None:
    async def work() -> None:
        planner = Planner(tmp_path, Settings(is_inline=True))
        await planner.start()
        await planner.create("c", lab.spec(), lab.new_request())
        await planner.close()

    asyncio.run(work())
    with pytest.raises(WrongState, match="no frame"):
        looked_into(tmp_path / "campaigns" / "c", lab.FakeClock())
