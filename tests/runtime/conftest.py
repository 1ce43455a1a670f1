"""Campaigns in this process, a clock turned by hand, a store that fails on command."""

from __future__ import annotations

import asyncio
import json
import sys
import types
import uuid
from collections.abc import Callable, Coroutine, Iterator
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

import numpy as np
import pytest

from probescout.core import registry
from probescout.core.errors import Reason, Unavailable
from probescout.core.events import FrameAdded
from probescout.core.geometry import pixel_centers
from probescout.core.jsonable import to_json
from probescout.core.leasing import seed_candidates
from probescout.core.observations import Observation, SignalRecord
from probescout.core.registry import PLANNERS, SCALARIZERS, THEORY
from probescout.core.specs import CampaignSpec, PluginSpec, SeedDesign
from probescout.core.spectra import Axis, Spectrum, ValueKind
from probescout.core.suggestions import Suggestion
from probescout.runtime.driver import Ask, CampaignDriver
from probescout.runtime.once import Request
from probescout.runtime.planner import Planner
from probescout.runtime.settings import Settings
from probescout.runtime.works import Caller
from probescout.store.memory import MemoryJournal

ME = Caller("me")
ENERGY = Axis("channel", np.arange(10.0), "energy", "eV")


class FakeClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


class FailingJournal(MemoryJournal):
    """A journal in memory whose disk refuses on command, and that can be made slow."""

    def __init__(self) -> None:
        super().__init__()
        self.refused_kinds: set[str] = set()
        self.n_refused = 0

    def append(self, events: Any, **more: Any) -> Any:
        if self.refused_kinds & {e.kind for e in events}:
            self.n_refused += 1
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the disk refuses")
        return super().append(events, **more)


def new_request(principal: str = "me") -> Request:
    return Request(str(uuid.uuid4()), "0" * 64, principal)


def truth(y: float, x: float) -> float:
    """Return the mean counts of a channel at a position."""
    return float(np.exp(1.0 + np.sin(7 * y + 2) * np.cos(5 * x)))


def spectrum(y: float, x: float, seed: int = 0) -> Spectrum:
    counts = np.random.default_rng(seed).poisson(20 * truth(y, x), 10).astype(np.uint16)
    return Spectrum(counts, ("channel",), (ENERGY,), "counts", ValueKind.COUNTS)


def draft(name: str, at: Suggestion | tuple[float, float], **more: Any) -> Observation:
    if isinstance(at, Suggestion):
        return Observation(name, "", at.y, at.x, 0, at.id, **{"dwell_s": 0.1, **more})
    return Observation(name, "", *at, 0, **{"dwell_s": 0.1, **more})


def spec(**more: Any) -> CampaignSpec:
    fields: dict[str, Any] = {
        "scalarizer": PluginSpec("band_sum", {"low": 0.0, "high": 9.0}),
        "policy": PluginSpec("ucb"),
        "seed_design": SeedDesign(count=3),
        "is_deep_member_disabled": True,
    }
    return CampaignSpec(**{**fields, **more})


async def add_frame(driver: CampaignDriver, size: int = 12, mask: np.ndarray | None = None) -> None:
    y, x = np.mgrid[0:size, 0:size] / size
    image = (np.sin(7 * y + 2) * np.cos(5 * x) + 0.1 * np.sin(19 * x * y)).astype(np.float32)

    def stored(values: np.ndarray) -> SignalRecord:
        info = driver.ledger.blobs.put(np.ascontiguousarray(values).tobytes())
        return SignalRecord(values.dtype.name, values.shape, ("y", "x"), "", ValueKind.UNKNOWN, blob=info.digest)

    seeds = seed_candidates(driver.state.spec, pixel_centers(size, size), mask)
    masked = stored(mask.astype(np.uint8)) if mask is not None else None
    await driver.add_frame(FrameAdded("f1", 0.0, stored(image), masked, height=size, width=size, seeds=seeds), ME)


async def measure(driver: CampaignDriver, s: Suggestion, name: str = "", **ask: Any) -> Any:
    """Step with a spectrum from where the suggestion is; return (told, handed)."""
    name = name or f"o-{s.id}"
    seen = spectrum(s.y, s.x, s.ordinal)
    return await driver.step(draft(name, s), seen, s.token, Ask(**ask), ME, ME)


async def warm_up(driver: CampaignDriver, n: int = 6, **ask: Any) -> Suggestion:
    """Measure n points; return the next suggestion."""
    handed = await driver.suggest(Ask(**ask), ME)
    for _ in range(n):
        _, handed = await measure(driver, handed.suggestions[0], **ask)
    return handed.suggestions[0]


class NoFits:
    """A fit pool whose fits never end."""

    pid = 0

    async def warm(self) -> None:
        pass

    async def fit(self, request: Any) -> Any:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def lab() -> Any:
    """The helpers of this file."""
    return sys.modules[__name__]


@pytest.fixture
def inline() -> Callable[..., Any]:
    """Run a test's coroutine with an inline planner whose campaigns are in memory."""

    def run(
        work: Callable[[Planner], Coroutine[Any, Any, None]], clock: Any = None, fits: Any = None, **settings: Any
    ) -> None:
        async def main() -> None:
            planner = Planner(None, Settings(is_inline=True, **settings), clock)
            planner.pool = fits or NoFits()
            await planner.start()
            try:
                await asyncio.wait_for(work(planner), 60)
            finally:
                await planner.close()

        asyncio.run(main())

    return run


async def campaign(planner: Planner, name: str = "c", size: int = 12, mask: Any = None, **more: Any) -> CampaignDriver:
    desk = await planner.create(name, spec(**more), new_request())
    await add_frame(desk.driver, size, mask)
    await desk.driver.modeller.wake()
    return desk.driver


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until a condition holds that no event tells of."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, type], None]]:
    """Install a plug-in for the length of a test."""
    extra: list[EntryPoint] = []
    real = entry_points

    def listed(*, group: str) -> EntryPoints:
        return EntryPoints([*real(group=group), *(e for e in extra if e.group == group)])

    monkeypatch.setattr(registry, "entry_points", listed)

    def add(name: str, kind: type) -> None:
        module = types.ModuleType(f"plugin_{name}")
        module.Plugin = kind  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        group = PLANNERS if hasattr(kind, "needs_model") else SCALARIZERS
        group = THEORY if hasattr(kind, "quantities") else group
        extra.append(EntryPoint(name, f"{module.__name__}:Plugin", group))

    return add


def model_rows(driver: Any) -> list[list[float]]:
    """Return what the model was taught, as it says itself."""
    return sorted(driver.modeller.ask("state").result()["taught"])


def journal_rows(driver: Any) -> list[list[float]]:
    return sorted([o.candidate, o.target, o.target_variance] for o in driver.state.observations.values() if o.is_taught)


def written(state: Any) -> str:
    """Return a whole state as text, in which NaN equals itself and the order of parameters does not count."""
    return json.dumps(to_json(state), sort_keys=True, default=sorted)


def assert_model_knows_the_journal(driver: Any) -> None:
    np.testing.assert_array_equal(np.array(model_rows(driver)), np.array(journal_rows(driver)))


async def settled(driver: Any) -> None:
    """Wait until nothing but a (never-ending) fit is under way."""
    work = driver.modeller

    def is_settled() -> bool:
        return work.is_ready and work._tasks <= {work._fitting} and work._mind.n_waiting == 0

    await until(is_settled)


def rows(driver: Any) -> tuple[list, list]:
    """Return what the model was taught and what the journal holds."""
    known = sorted(driver.modeller.ask("state").result()["taught"])
    held = [[o.candidate, o.target, o.target_variance] for o in driver.state.observations.values() if o.is_taught]
    return known, sorted(held)
