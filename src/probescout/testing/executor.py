"""The conformance suite for executors: subclass it in your tests, build your executor, and run pytest.

class TestMine(ExecutorConformance):
    def make_executor(self, desk):
        return MyExecutor(desk, allowed=ENGINES, n_slots=self.n_slots, lease_s=self.lease_s, memory=self.memory_bytes)

Jobs must run on this computer: the tests wait until their processes say that they are there, kill them, and see them
go.
"""

from __future__ import annotations

import asyncio
import os
import signal

import numpy as np
import pytest

from probescout.core.theory import Failure, JobState, TheoryPatch
from probescout.testing.bad_engines import ENERGY, ENGINES
from probescout.testing.executor_stage import ExecutorPlay, Stage
from probescout.testing.failing_line import FailingLine
from probescout.testing.lookout import Guest, Lookout
from probescout.testing.recording_desk import RecordingDesk

__all__ = ["ENGINES", "ExecutorConformance", "FailingLine", "Guest", "Lookout", "RecordingDesk", "Stage"]


class ExecutorConformance(ExecutorPlay):
    """What every executor must do; each test is one promise of the protocol `Executor`."""

    # ------------------------------------------------------------ good jobs

    def test_a_good_job_ends_once_with_its_numbers(self) -> None:
        """Value, unit, error, what was simulated, and what it cost; the patch arrives as it was sent."""
        image = np.arange(12, dtype=np.uint16).reshape(3, 4)

        async def scene(stage: Stage) -> None:
            name = stage.submit("behave", patch=TheoryPatch(image, 2e-11, (0.25, 0.75)))
            result = await stage.desk.end_of(name)
            assert result.state is JobState.SUCCEEDED and result.failure is None, result.message
            assert result.quantities == (ENERGY,)
            assert result.structure == {"shape": [3, 4], "sum": 66.0, "pixel_size_m": 2e-11, "place": [0.25, 0.75]}
            assert 0.0 < result.core_hours < 60.0 / 3600.0
            assert result.wall_s > 0.0
            assert len(result.key) == 64 and int(result.key, 16)
            self.end_once(stage, name)
            other = await stage.desk.end_of(stage.submit("behave"))
            assert other.key != result.key, "another structure, another key"

        self.play(scene)

    def test_a_long_job_keeps_its_lease(self) -> None:
        """An engine that says nothing for longer than the lease is not lost; what it said is passed on."""

        async def scene(stage: Stage) -> None:
            name = stage.submit_gated()
            guest = await stage.lookout.next()
            await stage.desk.until(lambda: [e.kind for e in stage.desk.record].count("renewed") >= 4)
            guest.release(2.5)
            result = await stage.desk.end_of(name)
            assert [q.value for q in result.quantities] == [2.5]
            assert stage.desk.of(name) == ["submitted", "leased", "ended"]

        self.play(scene)

    def test_a_flood_of_jobs_waits(self) -> None:
        """Of a hundred jobs no more run, nor are leased, than there are slots."""

        async def scene(stage: Stage) -> None:
            names = [stage.submit_gated() for _ in range(100)]
            here = [await stage.lookout.next() for _ in range(self.n_slots)]
            for value in range(2):
                here.pop(0).release(float(value))
                here.append(await stage.lookout.next())
            assert (stage.lookout.most_here, stage.desk.most_leased) == (self.n_slots, self.n_slots)
            assert [stage.desk.state(n) for n in names].count(JobState.SUCCEEDED) == 2

        self.play(scene)

    def test_starting_and_stopping_without_jobs(self) -> None:
        """Stopping twice, or before starting, is harmless."""

        async def scene(stage: Stage) -> None:
            await stage.executor.start()
            await stage.executor.stop()
            await stage.executor.stop()
            idle = self.make_executor(stage.line)
            await idle.stop()
            name = stage.submit("behave")
            await stage.executor.start()
            assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED

        self.play(scene)

    # ------------------------------------------------------------ processes that die, hang, stay

    def test_a_killed_job_is_tried_again(self) -> None:
        """SIGKILL in mid-job: reported or lost, then done by another attempt, once."""

        async def scene(stage: Stage) -> None:
            name = stage.submit_gated()
            first = await stage.lookout.next()
            os.kill(first.pid, signal.SIGKILL)
            second = await stage.lookout.next()
            second.release(2.0)
            result = await stage.desk.end_of(name)
            assert [q.value for q in result.quantities] == [2.0]
            assert stage.desk.of(name).count("leased") == 2
            self.end_once(stage, name)

        self.play(scene)

    def test_a_crash_is_reported(self) -> None:
        """A process that ends by itself, or an engine that raises, with or without last words."""
        failures = self.failures_of("exit", "segfault", "sys_exit", "raise")
        assert {act: f.failure for act, f in failures.items()} == dict.fromkeys(failures, Failure.CRASHED)

    def test_a_hanging_job_is_killed_at_its_deadline(self) -> None:
        """Also one that is deaf to polite signals; nothing of it is left, and what it spent is accounted for."""

        async def scene(stage: Stage) -> None:
            sound = await stage.desk.end_of(stage.submit("behave"))
            deadline_s = 0.5 + 3.0 * sound.wall_s
            waiting, busy = stage.submit_gated(deadline_s=deadline_s), stage.submit("spin", deadline_s=deadline_s)
            for name in (waiting, busy):
                result = await stage.desk.end_of(name)
                assert (result.state, result.failure) == (JobState.FAILED, Failure.TIMED_OUT)
                assert 0.0 < result.core_hours <= 2.0 * deadline_s / 3600.0
                assert deadline_s <= result.wall_s <= deadline_s + self.patience_s
                assert stage.desk.of(name) == ["submitted", "leased", "ended"]
            assert stage.lookout.most_here > 0
            await stage.lookout.all_gone()

        self.play(scene)

    def test_children_that_a_job_leaves_behind_are_gone(self) -> None:
        """The result counts, and what the engine left running, also out of its group, is ended."""

        async def scene(stage: Stage) -> None:
            name = stage.submit("leave")
            guest = await stage.lookout.next()
            assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED
            await guest.gone()
            self.end_once(stage, name)

        self.play(scene)

    def test_a_memory_hog_is_stopped(self) -> None:
        """It takes no more than it may."""
        assert self.failures_of("hog")["hog"].failure is Failure.OUT_OF_MEMORY

    # ------------------------------------------------------------ results that are none

    def test_garbage_is_no_result(self) -> None:
        """A number needs to be finite, declared, and to have its unit."""
        failures = self.failures_of("nan", "no_unit", "wrong_unit", "undeclared", "rubbish")
        assert {act: f.failure for act, f in failures.items()} == dict.fromkeys(failures, Failure.GARBAGE)

    def test_a_hundred_megabytes_are_no_result(self) -> None:
        """They are not even read."""
        result = self.failures_of("swell", patch=TheoryPatch(np.zeros((2, 2)), 1e-11))["swell"]
        assert result.failure is Failure.GARBAGE
        assert len(result.message) < 10_000 and not result.structure

    def test_an_unconverged_value_is_no_number(self) -> None:
        """Whether the engine says so in time or not."""
        failures = self.failures_of("unconverged", "fail")
        assert {act: f.failure for act, f in failures.items()} == dict.fromkeys(failures, Failure.NOT_CONVERGED)

    def test_what_an_engine_prints_is_no_result(self) -> None:
        """Megabytes on its output, also what looks like a result, change nothing."""

        async def scene(stage: Stage) -> None:
            result = await stage.desk.end_of(stage.submit("print"))
            assert result.quantities == (ENERGY,), result.message

        self.play(scene)

    def test_a_patch_is_refused_with_the_reason(self) -> None:
        """The reason is what the engine says."""
        result = self.failures_of("refuse", patch=TheoryPatch(np.zeros((2, 2)), 1e-11))["refuse"]
        assert result.failure is Failure.REFUSED
        assert result.message == "AMORPHOUS: 12 % of the columns lie on the lattice; at least 70 %"

    def test_a_missing_library_is_named(self) -> None:
        """With the install line."""
        result = self.failures_of("miss")["miss"]
        assert result.failure is Failure.MISSING_EXTRA
        assert 'pip install "nothing[real]"' in result.message

    # ------------------------------------------------------------ leases

    def test_a_lost_reply_changes_nothing(self) -> None:
        """The same result handed in twice counts once."""

        async def scene(stage: Stage) -> None:
            stage.line.n_lost_replies = 1
            name = stage.submit("behave")
            assert (await stage.desk.end_of(name)).quantities == (ENERGY,)
            for _ in range(self.n_slots):
                await stage.desk.end_of(stage.submit("behave"))
            assert stage.line.n_lost_replies == 0
            # Offered again, unless a heartbeat told first that the job has ended.
            assert stage.desk.of(name)[:3] == ["submitted", "leased", "ended"]
            assert stage.desk.of(name)[3:] in ([], ["repeated"])

        self.play(scene)

    def test_a_result_waits_for_a_desk_that_is_away(self) -> None:
        """What was calculated while the service restarted is not lost."""

        async def scene(stage: Stage) -> None:
            name = stage.submit_gated()
            guest = await stage.lookout.next()
            stage.line.is_cut = True
            guest.release(3.0)
            await guest.gone()
            await stage.line.refusals(2)
            stage.restart(is_forgetful=False)
            stage.line.is_cut = False
            assert [q.value for q in (await stage.desk.end_of(name)).quantities] == [3.0]
            assert stage.desk.of(name) == ["submitted", "leased", "ended"]

        self.play(scene)

    def test_a_late_result_is_not_taken(self) -> None:
        """The heartbeat is cut and the lease ends while the job runs: only what the next attempt says counts."""

        async def scene(stage: Stage) -> None:
            name = stage.submit_gated()
            first = await stage.lookout.next()
            stage.line.muted.add(stage.desk.token(name))
            second = await stage.lookout.next()
            first.release(1.0)
            await first.gone()
            if self.is_late_offered:
                await stage.desk.until(lambda: "refused" in stage.desk.of(name))
            second.release(2.0)
            result = await stage.desk.end_of(name)
            assert [q.value for q in result.quantities] == [2.0]
            kinds = [kind for kind in stage.desk.of(name) if kind != "refused"]
            assert kinds == ["submitted", "leased", "expired", "requeued", "leased", "ended"]

        self.play(scene)

    def test_a_cancelled_job_is_stopped(self) -> None:
        """In mid-job: its process ends, nothing is handed in, and the slot is free."""

        async def scene(stage: Stage) -> None:
            name = stage.submit_gated()
            guest = await stage.lookout.next()
            stage.desk.cancel(name)
            await guest.gone()
            await asyncio.gather(*(stage.desk.end_of(stage.submit("behave")) for _ in range(self.n_slots)))
            assert stage.desk.of(name) == ["submitted", "leased", "cancelled"]

        self.play(scene)

    @pytest.mark.parametrize("is_forgetful", [True, False])
    def test_the_service_restarts_in_mid_job(self, is_forgetful: bool) -> None:
        """Every job ends once, whether the new desk knows the leases or not."""

        async def scene(stage: Stage) -> None:
            names = [stage.submit_gated() for _ in range(self.n_slots + 1)]
            here = [await stage.lookout.next() for _ in range(self.n_slots)]
            stage.line.is_cut = True
            stage.restart(is_forgetful=is_forgetful)
            stage.line.is_cut = False
            if is_forgetful:
                for guest in here:
                    await guest.gone()
                here = [await stage.lookout.next() for _ in range(self.n_slots)]
            for guest in here:
                guest.release(1.0)
            (await stage.lookout.next()).release(1.0)
            for name in names:
                assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED
                self.end_once(stage, name)
            assert [e.kind for e in stage.desk.record].count("requeued") == (self.n_slots if is_forgetful else 0)

        self.play(scene)

    def test_stopping_leaves_nothing_and_hands_nothing_in(self) -> None:
        """Jobs that ran go back by their lease, and another executor ends them once."""

        async def scene(stage: Stage) -> None:
            names = [stage.submit_gated() for _ in range(self.n_slots)]
            for _ in names:
                await stage.lookout.next()
            await stage.executor.stop()
            await stage.lookout.all_gone()
            assert all(stage.desk.of(name) == ["submitted", "leased"] for name in names)
            stage.executor = self.make_executor(stage.line)
            await stage.executor.start()
            for _ in names:
                (await stage.lookout.next()).release(1.0)
            for name in names:
                assert (await stage.desk.end_of(name)).state is JobState.SUCCEEDED
                self.end_once(stage, name)

        self.play(scene)
