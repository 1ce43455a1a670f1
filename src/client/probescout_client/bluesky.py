"""A campaign as an optimizer of bluesky-adaptive (1.0 or newer): its plans move and measure, the campaign says where.

It satisfies the protocols of `bluesky_adaptive.protocols` by its methods, and imports neither that package nor bluesky.
"""

from __future__ import annotations

import math
import re
import threading
import uuid
from collections import deque
from dataclasses import replace
from typing import Any, Deque, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from probescout_client.errors import InvalidInput, NotFound, ProbescoutError, WrongState
from probescout_client.motors import ID, Motor, OutcomeKeys
from probescout_client.points import Point, to_point
from probescout_client.run import Run
from probescout_client.wire.v1 import probescout_pb2 as pb

MANUAL = "manual-"
"""Begins the ids of points that no campaign suggested."""
_MANUAL = re.compile(MANUAL + "[0-9a-f]{32}")
MEASURED = (pb.OBSERVATION_STATUS_COMPLETE, pb.OBSERVATION_STATUS_PARTIAL)


class CampaignOptimizer:
    """Suggests and ingests points of a campaign; each measurement counts once, whatever a plan repeats or gives up.

    A campaign that is paused keeps `suggest` and `should_stop` waiting, and other threads with them; `close` ends the
    wait.
    Points that were suggested and not ingested stay leased: others do not get them, and a second `suggest` gives new
    ones. `close`, or the end of the process, gives them back.
    """

    def __init__(
        self,
        run: Run,
        y: Motor,
        x: Motor,
        keys: OutcomeKeys = OutcomeKeys(),  # noqa: B008 (frozen)
        **signal: Any,
    ) -> None:
        """Take part in a campaign.

        Args:
            run: As `Planner.start` or `Planner.resume` returned it.
            y: Moves along y of the frame, from the top.
            x: Moves along x, from the left.
            keys: Names in the outcomes of the evaluation function.
            **signal: What `Run.tell` is to know of every raw signal: axis, axes, dims, unit, counts.

        Raises:
            InvalidInput: FIELD_INVALID for motors that cannot span a frame.
        """
        if y.name == x.name or any(m.first == m.last or not math.isfinite(m.last - m.first) for m in (y, x)):
            raise InvalidInput("FIELD_INVALID", "{} and {} span no frame; give two motors and their ends".format(y, x))
        self.run = run
        self._motors = (y, x)
        self._keys = keys
        self._signal = signal
        self._ready: Deque[Point] = deque()
        self._open: Dict[str, Point] = {}
        self._told: Set[str] = set()
        self._failed: Dict[str, Point] = {}
        self._lock = threading.RLock()

    def suggest(self, num_points: Optional[int] = None) -> List[Dict[str, Any]]:
        """Lease points and return {"_id", motor: position} each; fewer where the campaign has no more.

        Raises:
            WrongState: CAMPAIGN_ENDED when there is none at all; `should_stop` says so before.
            SafetyError: A point lies outside the limits; it is given back and nothing has moved.
            ProbescoutError: As `Run.ask`.
        """
        found: List[Point] = []
        with self._lock:
            try:
                while len(found) < (num_points or 1) and self._has_next():
                    found.append(self._ready.popleft())
            except Exception:
                # What was leased for a batch that does not come is for the next one.
                self._ready.extendleft(reversed(found))
                raise
            if not found:
                raise WrongState("CAMPAIGN_ENDED", "{} gives no more points: {}".format(self.run.name, self._why()))
            self._open.update((point.name, point) for point in found)
            return [self._suggestion(point.name, point) for point in found]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Hand in the outcomes of suggestions; one that was handed in before is left out.

        An outcome with the positions of both motors says where it really was. One whose "_id" is unknown, or missing,
        counts as a measurement that nobody asked for, if it says where it was. While the link is down, outcomes wait on
        this computer's disk.

        Raises:
            InvalidInput: FIELD_MISSING or FIELD_INVALID naming the outcome; nothing was handed in then. Or as
                `Run.tell`; those before it are handed in, and repeating all is harmless.
        """
        with self._lock:
            wanted = [(outcome, self._point_of(outcome), self._measured(outcome)) for outcome in points]
            for outcome, point, measured in wanted:
                if point is not None:
                    self._hand_in(_name(outcome), point, measured)

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
        """Return points of a person with ids; suggestions of the campaign keep theirs.

        Raises:
            SafetyError: A point lies outside the limits; none is taken.
            InvalidInput: FIELD_MISSING when one does not name both motors.
        """
        with self._lock:
            named = []
            for given in suggestions:
                if given.get(ID) in self._open:
                    named.append((str(given[ID]), self._open[given[ID]]))
                    continue
                y, x = self._place(given)
                self.run.check_move(y, x)
                named.append((MANUAL + uuid.uuid4().hex, Point(y=y, x=x, name="")))
            self._open.update(named)
            return [self._suggestion(name, point) for name, point in named]

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Say that the attempt at suggestions gave nothing usable: they may be tried again, and count as tries.

        A plan calls this when it fails or is aborted; which points of a batch were exposed, nobody knows then.
        """
        with self._lock:
            for name in (_name(suggestion) for suggestion in suggestions):
                point = self._open.pop(name, None)
                if point is not None:
                    self._failed[name] = replace(point, name="", lease_token="")
                    self.run.fail(point, "the plan failed or was aborted")

    def should_stop(self) -> Tuple[bool, Optional[str]]:
        """Return whether the campaign has no more points, and why; the next point is leased if it has."""
        with self._lock:
            return (False, None) if self._has_next() else (True, self._why())

    def get_best_points(self) -> List[Tuple[str, Dict[str, float], Dict[str, float]]]:
        """Return id, positions and target of the best measurement, or of each that no other beats in every target."""
        y, x = self._motors
        return [
            (
                o.suggestion or o.name,
                {y.name: y.position(o.measured_at.y), x.name: x.position(o.measured_at.x)},
                {self._keys.value: o.target, self._keys.variance: o.target_variance},
            )
            for o in self.run.pareto_front()
        ]

    def checkpoint(self) -> None:
        """Send what waits on this computer; the server keeps everything else.

        Raises:
            Unavailable: The link is down; nothing is lost.
        """
        self.run.flush(0.0)

    def report(self) -> Dict[str, Any]:
        """Return how the campaign stands, as plain values."""
        found = self.run.status()
        return {
            "campaign": found.name,
            "n_observations": int(found.n_observations),
            "n_pending": int(found.n_pending),
            "n_waiting": self.run.n_waiting,
            "is_stopping": self.run.is_stopping,
            "best": [{ID: name, **where, **what} for name, where, what in self.get_best_points()],
        }

    def close(self) -> None:
        """Give back what was not ingested and leave the campaign; any thread may call this."""
        self.run.close()

    def _has_next(self) -> bool:
        """Return whether a point is ready, after leasing one if need be."""
        run = self.run
        while self._ready and (run.is_stopping or run.is_paused or run.seconds_left(self._ready[0]) <= 0.0):
            # Somebody has stopped or paused since, or the lease ran out: it may be another instrument's by now.
            run.release(self._ready.popleft())
        if not self._ready:
            point = run.ask()
            if point is None:
                return False
            self._ready.append(point)
        return True

    def _why(self) -> str:
        stop = self.run.stop_report
        return "the run was closed" if stop is None else stop.message or stop.cause

    def _suggestion(self, name: str, point: Point) -> Dict[str, Any]:
        y, x = self._motors
        return {ID: name, y.name: y.position(point.y), x.name: x.position(point.x)}

    def _point_of(self, outcome: Mapping[str, Any]) -> Optional[Point]:
        """Return what an outcome answers; None when that was handed in before."""
        name = _name(outcome)
        if name in self._told:
            return None
        if name in self._open:
            return self._open[name]
        if name in self._failed:
            # The data turned up after all; the answer to the suggestion stays that its plan failed.
            return self._failed[name]
        if name.startswith(self.run.name + "/suggestions/"):
            # Of a process that died before it could ingest.
            return self._point_left(name)
        y, x = self._place(outcome)
        return Point(y=y, x=x, name="")

    def _point_left(self, name: str) -> Optional[Point]:
        """Return the point of a suggestion that an earlier process took; None when its measurement is there.

        Raises:
            InvalidInput: FIELD_INVALID when the campaign never made it.
        """
        if any(o.suggestion == name and o.status in MEASURED for o in self.run.observations()):
            return None
        found = next((s for s in self.run.suggestions() if s.name == name), None)
        if found is None:
            raise InvalidInput("FIELD_INVALID", "the campaign has no suggestion {}".format(name), ID)
        point = to_point(found)
        return point if found.state == pb.SUGGESTION_STATE_PENDING else replace(point, name="", lease_token="")

    def _place(self, given: Mapping[str, Any]) -> Tuple[float, float]:
        """Return the fractions (y, x) of the frame where the motors were."""
        missing = [motor.name for motor in self._motors if motor.name not in given]
        if missing:
            raise InvalidInput(
                "FIELD_MISSING",
                "{!r} is no suggestion of {} and does not say where it was; give {}".format(
                    given.get(ID), self.run.name, " and ".join(missing)
                ),
                missing[0],
            )
        y, x = (motor.fraction(float(given[motor.name])) for motor in self._motors)
        if not (0.0 <= y <= 1.0 and 0.0 <= x <= 1.0):
            raise InvalidInput("FIELD_INVALID", "{!r} lies outside the frame".format(dict(given)), self._motors[0].name)
        return y, x

    def _measured(self, outcome: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the arguments of `Run.tell`; without spectrum and value when the attempt failed."""
        told = self._keys.read(outcome)
        if all(motor.name in outcome for motor in self._motors):
            told["measured_at"] = self._place(outcome)
        return dict(told, **self._signal) if "spectrum" in told else told

    def _hand_in(self, name: str, point: Point, measured: Dict[str, Any]) -> None:
        is_measured = "value" in measured or "spectrum" in measured
        if self._is_ours(name):
            # Whatever interrupts this call, in whatever process it is repeated: under this id it counts once.
            what = "{} {} {}".format(self.run.name, name, "measured" if is_measured else "failed")
            measured = dict(measured, observation_id=str(uuid.uuid5(uuid.NAMESPACE_URL, what)))
        try:
            if is_measured:
                self.run.tell(point, **measured)
            else:
                self.run.fail(point, "the outcome is not finite", **measured)
        except (InvalidInput, NotFound):
            # The server will never take it; another outcome for the same point is welcome.
            raise
        except ProbescoutError:
            # It waits in the outbox and is sent from there: to hand it in again would count it twice.
            self._settle(name)
            raise
        self._settle(name)

    def _settle(self, name: str) -> None:
        if self._open.pop(name, None) is not None or self._is_ours(name):
            self._told.add(name)

    def _is_ours(self, name: str) -> bool:
        """Return whether an id names one point; those that others gave may come again, with other measurements."""
        return name.startswith(self.run.name + "/suggestions/") or _MANUAL.fullmatch(name) is not None


def _name(outcome: Mapping[str, Any]) -> str:
    """Return the id of an outcome or suggestion; empty when it has none, which may stand there as None or NaN."""
    given = outcome.get(ID)
    return given if isinstance(given, str) else ""
