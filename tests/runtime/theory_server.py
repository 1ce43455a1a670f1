"""A process that looks after the theory jobs of a campaign on disk until it is killed: `theory_server.py DIRECTORY`.

Says "submitted" once four jobs are in the journal, "N running" as they start, and "ended" when all have.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from probescout.core.clock import SystemClock
from probescout.core.events import Created
from probescout.core.ports import Receipt
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.core.theory_events import TheoryQueued
from probescout.core.theory_spec import TheorySpec
from probescout.runtime.ledger import Ledger
from probescout.runtime.theory_broker import TheoryBroker
from probescout.runtime.theory_local import LocalExecutor
from probescout.store.blob_names import blob_name
from probescout.store.blobs import Blobs
from probescout.store.journal import Journal
from probescout.testing.bad_engines import MISBEHAVING

N_JOBS = 4


def opened(directory: Path) -> Ledger:
    """Open the journal, or begin it."""
    journal, blobs = Journal.open(directory), Blobs.open(directory)
    if journal.head.seq:
        return Ledger.recover(journal, blobs, SystemClock())
    theory = TheorySpec(PluginSpec(MISBEHAVING), "energy", max_running=N_JOBS, lease_s=1.0, max_attempts=9)
    spec = CampaignSpec(PluginSpec("given"), theory=theory)
    return Ledger.begin(
        journal,
        blobs,
        Created("c", spec, 1.0),
        SystemClock(),
        principal="me",
        receipt=lambda seq, state: Receipt("r", "d", b""),
    )


async def main() -> None:
    """Submit what is not there yet, and run jobs until all have ended."""
    ledger = opened(Path(sys.argv[1]))
    broker = TheoryBroker(SystemClock())
    broker.add(ledger)
    for i in range(N_JOBS):
        structure = blob_name(ledger.blobs.put(b'{"n": %d}' % i).digest)
        engine = PluginSpec(MISBEHAVING, {"act": "behave"})
        job = TheoryQueued(f"j{i}", engine, f"digest {i}", 60.0, 9, 1.0, candidate=i, structure=structure)
        await broker.submit("c", job, "me")
    print("submitted", flush=True)
    executor = LocalExecutor(broker, engines=[], allowed=[MISBEHAVING], n_slots=N_JOBS, lease_s=1.0)
    await executor.start()
    seen = 0
    while ledger.state.open_jobs:
        at_work = sum(ledger.state.open_jobs.values())
        if at_work > seen:
            seen = at_work
            print(f"{seen} running", flush=True)
        await ledger.moved.wait()
    await executor.stop()
    broker.close()
    ledger.close()
    print("ended", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
