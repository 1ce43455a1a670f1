"""Builds the replies of the measuring loop, the first time and again for a retry."""

from __future__ import annotations

import time

from probescout_client.wire.v1 import probescout_pb2 as pb

from probescout.core.jsonable import from_json
from probescout.core.leasing import StopReport
from probescout.runtime.driver import Handed, Told
from probescout.runtime.once import Done
from probescout.runtime.planner import Desk
from probescout.service.campaign_codec import write_version
from probescout.service.data_codec import write_observation, write_stop, write_suggestion


class Replies:
    """Replies about one campaign."""

    def __init__(self, desk: Desk) -> None:
        """Write about this campaign."""
        self._desk = desk
        self._driver = desk.driver

    def suggestion(self, name: str) -> pb.Suggestion:
        """Return a suggestion as it stands now."""
        state = self._driver.state
        return write_suggestion(state.suggestions[name], state.id, self._driver.leases.left(name))

    def observation(self, name: str) -> pb.Observation:
        """Return an observation as it stands now."""
        state = self._driver.state
        return write_observation(state.observations[name], state.id)

    @property
    def version(self) -> pb.StateVersion:
        """Where the journal stands now."""
        return write_version(self._driver.ledger.head, self._driver.state)

    @property
    def calibration(self) -> pb.Calibration:
        """How honest the model has been: as it says itself, or as the journal last had it; empty before."""
        told = self._driver.modeller.calibration or self._driver.state.calibration
        return pb.Calibration(**vars(told)) if told is not None else pb.Calibration()

    @property
    def advice(self) -> list[pb.StopAdvice]:
        """What the stop rules said when the model last planned."""
        return [pb.StopAdvice(**vars(one)) for one in self._driver.state.advice]

    @property
    def theory(self) -> pb.TheoryInfluence | None:
        """What simulations do to the model; None without any."""
        told = self._driver.modeller.influence
        if told is None:
            return None
        slopes = [pb.TheorySlope(**vars(slope)) for slope in told.slopes]
        return pb.TheoryInfluence(weight=told.weight, skill=told.skill, n_results=told.n_results, slopes=slopes)

    def version_of(self, done: Done) -> pb.StateVersion:
        """Where the journal stood when a repeated call was first made."""
        seq = int(done.facts["seq"])
        return pb.StateVersion(
            event_seq=seq,
            event_hash=self._driver.ledger.hash_at(seq),
            data_version=done.facts["data_version"],
            model_version=done.facts["model_version"],
        )

    def suggested(self, handed: Handed, started: float) -> pb.SuggestReply:
        """Return the reply to Suggest."""
        return pb.SuggestReply(
            suggestions=[self.suggestion(s.id) for s in handed.suggestions],
            stop=write_stop(handed.stop),
            version=self.version,
            calibration=self.calibration,
            degraded_reasons=handed.degraded,
            advice=self.advice,
            theory=self.theory,
            timing=pb.Timing(
                commit_s=handed.commit_s, compute_s=handed.compute_s, total_s=time.perf_counter() - started
            ),
        )

    def suggested_again(self, done: Done) -> pb.SuggestReply:
        """Return the first reply to a Suggest that is repeated; leases count down meanwhile."""
        return pb.SuggestReply(
            suggestions=[self.suggestion(name) for name in done.facts["suggestions"]],
            stop=write_stop(_stop(done)),
            version=self.version_of(done),
            calibration=self.calibration,
            degraded_reasons=done.facts["degraded"],
            advice=self.advice,
            theory=self.theory,
        )

    def told(self, told: Told, started: float) -> pb.TellReply:
        """Return the reply to Tell."""
        return pb.TellReply(
            observation=self.observation(told.observation.id),
            version=self.version,
            calibration=self.calibration,
            timing=pb.Timing(commit_s=told.commit_s, total_s=time.perf_counter() - started),
        )

    def told_again(self, done: Done) -> pb.TellReply:
        """Return the first reply to a Tell that is repeated."""
        return pb.TellReply(
            observation=self.observation(done.facts["observation"]),
            version=self.version_of(done),
            calibration=self.calibration,
        )

    def told_before(self, done: Done) -> Told:
        """Return what an earlier call told."""
        return Told(self._driver.state.observations[done.facts["observation"]], 0.0)

    def stepped(self, told: Told, handed: Handed, started: float) -> pb.StepReply:
        """Return the reply to Step."""
        second = self.suggested(handed, started)
        second.timing.commit_s += told.commit_s
        return pb.StepReply(
            observation=self.observation(told.observation.id),
            suggestions=second.suggestions,
            stop=write_stop(handed.stop),
            version=second.version,
            calibration=second.calibration,
            degraded_reasons=handed.degraded,
            advice=self.advice,
            theory=self.theory,
            timing=second.timing,
        )

    def stepped_again(self, first: Done, second: Done) -> pb.StepReply:
        """Return the first reply to a Step that is repeated."""
        again = self.suggested_again(second)
        return pb.StepReply(
            observation=self.observation(first.facts["observation"]),
            suggestions=again.suggestions,
            stop=write_stop(_stop(second)),
            version=again.version,
            calibration=again.calibration,
            degraded_reasons=again.degraded_reasons,
            advice=again.advice,
        )


def _stop(done: Done) -> StopReport | None:
    told = done.facts["stop"]
    return from_json(StopReport, told) if told is not None else None
