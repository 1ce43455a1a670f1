"""Simulations as they are asked for: what is cut, checked and kept before a job is in the journal."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probescout.core.errors import InvalidInput, ProbescoutError, Reason, WrongState
from probescout.core.events import FrameAdded
from probescout.core.geometry import Position, window_at
from probescout.core.observations import SignalRecord
from probescout.core.specs import CandidateKind, CandidateSpec, PluginSpec
from probescout.core.spectra import ValueKind
from probescout.core.theory import JobState
from probescout.core.theory_spec import TheorySpec
from probescout.runtime.ledger import load_array
from probescout.runtime.theorizing import Wanted
from probescout.store.blob_names import digest_of

PIXEL_M = 2e-10
CENTRE = Position(0.5, 0.5)
SOMEWHERE = Wanted(position=CENTRE)


class Springs:
    name, summary = "springs", "A chain of springs"
    params_schema: ClassVar[Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"k": {"type": "number", "minimum": 0}},
    }
    quantities: ClassVar[Any] = {"energy": "eV"}
    n_built = 0

    def __init__(self, k: float = 1.0) -> None:
        Springs.n_built += 1


def stored(driver: Any, values: np.ndarray, dims: tuple[str, ...]) -> SignalRecord:
    info = driver.ledger.blobs.put(np.ascontiguousarray(values).tobytes())
    return SignalRecord(values.dtype.name, values.shape, dims, "", ValueKind.UNKNOWN, blob=info.digest)


async def begun(planner: Any, lab: Any, image: np.ndarray | None = None, unit: str = "nm", **more: Any) -> Any:
    """Return a campaign on an image, or without a frame."""
    theory = TheorySpec(PluginSpec("springs"), "energy", window_m=more.pop("window_m", 8 * PIXEL_M))
    desk = await planner.create("c", lab.spec(theory=theory, **more), lab.new_request())
    if image is not None:
        record = stored(desk.driver, image, ("y", "x") if image.ndim == 2 else ("channel", "y", "x"))
        height, width = image.shape[-2:]
        frame = FrameAdded("f1", 0.0, record, height=height, width=width, pixel_size=PIXEL_M * 1e9, pixel_unit=unit)
        await desk.driver.add_frame(frame, lab.ME)
    return desk.driver


async def refusal(call: Any) -> tuple[type, Reason, str]:
    with pytest.raises(ProbescoutError) as caught:
        await call
    return type(caught.value), caught.value.reason, caught.value.field


@pytest.fixture(autouse=True)
def _springs(install: Any) -> None:
    install("springs", Springs)
    Springs.n_built = 0


def test_the_window_around_a_candidate_is_kept_as_it_was(lab: Any, inline: Any) -> None:
    image = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)

    async def work(planner: Any) -> None:
        driver = await begun(planner, lab, image)
        job = await driver.submit_job(Wanted(position=CENTRE), lab.ME)
        patch = job.queued.patch
        np.testing.assert_array_equal(load_array(driver.ledger.blobs, patch), image[6:14, 12:20])
        y, x = driver.state.candidates.position(job.queued.candidate)
        assert job.queued.place == ((y * 20 - 6) / 8, (x * 30 - 12) / 8)
        assert job.queued.pixel_size_m == pytest.approx(PIXEL_M)
        corner = await driver.submit_job(Wanted(position=Position(0.0, 1.0)), lab.ME)
        np.testing.assert_array_equal(load_array(driver.ledger.blobs, corner.queued.patch), image[:8, -8:])
        assert corner.queued.place == (0.5 / 8, 7.5 / 8)
        assert [j.queued.job for j in driver.state.jobs.values()] == ["j1", "j2"]

    inline(work)


def test_of_several_channels_the_first_and_of_given_patches_the_candidates_own(lab: Any, inline: Any) -> None:
    channels = np.random.default_rng(1).random((2, 16, 16)).astype(np.float32)

    async def on_channels(planner: Any) -> None:
        driver = await begun(planner, lab, channels)
        job = await driver.submit_job(Wanted(position=CENTRE), lab.ME)
        np.testing.assert_array_equal(load_array(driver.ledger.blobs, job.queued.patch), channels[0, 4:12, 4:12])

    async def on_patches(planner: Any) -> None:
        driver = await begun(planner, lab, candidates=CandidateSpec(CandidateKind.PATCHES))
        patches = np.random.default_rng(2).random((5, 1, 9, 9)).astype(np.float32)
        at = np.linspace(0.1, 0.9, 5)[:, None] * np.ones(2)
        frame = FrameAdded(
            "f1", 0.0, patches=stored(driver, patches, ("candidate", "channel", "y", "x")),
            positions=stored(driver, at, ("candidate", "axis")), n_candidates=5, pixel_size=20.0, pixel_unit="pm",
        )  # fmt: skip
        await driver.add_frame(frame, lab.ME)
        job = await driver.submit_job(Wanted(position=Position(0.68, 0.72)), lab.ME)
        assert job.queued.candidate == 3 and job.queued.pixel_size_m == pytest.approx(2e-11)
        np.testing.assert_array_equal(load_array(driver.ledger.blobs, job.queued.patch), patches[3, 0])

    inline(on_channels)
    inline(on_patches)


def test_what_shows_no_atoms_is_refused(lab: Any, inline: Any) -> None:
    image = np.ones((16, 16), dtype=np.float32)
    holed = image.copy()
    holed[8, 8] = math.nan

    async def work(planner: Any, image: Any, expected: Any, wanted: Wanted = SOMEWHERE, **more: Any) -> None:
        driver = await begun(planner, lab, image, **more)
        assert await refusal(driver.submit_job(wanted, lab.ME)) == expected
        assert not driver.state.jobs

    cases: list[tuple[Any, Any, dict[str, Any]]] = [
        (None, (WrongState, Reason.NO_FRAME, ""), {}),
        (image, (InvalidInput, Reason.FIELD_MISSING, "job.position"), {"unit": ""}),
        (image, (InvalidInput, Reason.FIELD_INVALID, "spec.theory.window_m"), {"window_m": 4 * PIXEL_M}),
        (image, (InvalidInput, Reason.FIELD_INVALID, "spec.theory.window_m"), {"window_m": 17 * PIXEL_M}),
        (holed, (InvalidInput, Reason.NON_FINITE, "job.position"), {}),
        (image, (InvalidInput, Reason.FIELD_MISSING, "job.position"), {"wanted": Wanted()}),
        (None, (InvalidInput, Reason.FIELD_INVALID, "job.pixel_size"), {"wanted": Wanted(patch=image)}),
        (
            None,
            (InvalidInput, Reason.FIELD_INVALID, "job.structure_json"),
            {"wanted": Wanted(structure={"x": math.inf})},
        ),
    ]
    for picture, expected, more in cases:
        inline(lambda planner, c=(picture, expected, more): work(planner, c[0], c[1], **c[2]))


def test_an_engine_is_looked_at_once_for_the_same_settings(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab)
        declared = Springs.n_built
        for n in range(3):
            await driver.submit_job(Wanted(structure={"n": n}), lab.ME)
        assert Springs.n_built == declared + 1
        await driver.submit_job(Wanted(structure={"n": 0}, engine=PluginSpec("springs", {"k": 2.0})), lab.ME)
        bad = Wanted(structure={"n": 0}, engine=PluginSpec("springs", {"k": -1.0}))
        assert await refusal(driver.submit_job(bad, lab.ME)) == (
            InvalidInput, Reason.PARAM_INVALID, "job.engine.params.k",
        )  # fmt: skip
        assert len({j.queued.digest for j in driver.state.jobs.values()}) == 4
        text = driver.ledger.blobs.get(digest_of(driver.state.jobs["j2"].queued.structure))
        assert text == b'{"n":1}'

    inline(work)


def test_no_executor_is_there_unless_it_is_wanted(lab: Any, inline: Any) -> None:
    async def work(planner: Any) -> None:
        driver = await begun(planner, lab)
        await driver.submit_job(Wanted(structure={"n": 1}), lab.ME)
        await lab.until(lambda: True)
        assert driver.state.jobs["j1"].state is JobState.QUEUED and planner._staff._work is None

    inline(work)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(8, 40), st.integers(8, 40), st.data())
def test_a_window_lies_in_its_frame_and_holds_its_place(y: float, x: float, height: int, width: int, data: Any) -> None:
    edge = data.draw(st.integers(1, min(height, width)))
    top, left, (at_y, at_x) = window_at(y, x, height, width, edge)
    assert 0 <= top <= height - edge and 0 <= left <= width - edge
    assert 0.0 <= at_y <= 1.0 and 0.0 <= at_x <= 1.0
    assert top + at_y * edge == pytest.approx(y * height) and left + at_x * edge == pytest.approx(x * width)
