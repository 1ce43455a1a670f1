"""A campaign on a real server, driven through the thin client."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import probescout_client as ps

from probescout.core import errors
from probescout.core.errors import InvalidInput, ProbescoutError, Reason, Unavailable
from probescout.core.ports import FloatArray, Measurement
from probescout.core.spectra import ValueKind
from probescout.replay.session import MAPS, Answer, Asked, Declaration
from probescout.surrogates.schedule import FitSchedule

GIVE_UP_AFTER_S = 10.0
"""How long to look for a server that has gone: it is one of our own on this computer."""
COMPUTE_BUDGET_S = 30.0
"""Generous, so that what a replay shows does not depend on how busy the computer is."""
PATIENCE_S = 90.0
"""How long a value or a fit may take before the replay is given up."""
_log = logging.getLogger(__name__)
_IS_COUNTS = {ValueKind.COUNTS: True, ValueKind.CONTINUOUS: False, ValueKind.UNKNOWN: None}


class WireSession:
    """One campaign on a server."""

    def __init__(self, planner: ps.Planner, declared: Declaration) -> None:
        """Start the campaign.

        Args:
            planner: Connected client.
            declared: The campaign.

        Raises:
            ProbescoutError: As the server answers.
        """
        size = declared.pixel_size_m
        with translated():
            self._run = planner.start(
                declared.image,
                scalarizer=declared.scalarizer,
                params=dict(declared.params),
                pixel_size=None if size is None else (size, "m"),
                sample=declared.sample,
                instrument=declared.instrument,
                policy=declared.policy,
                policy_params=dict(declared.policy_params),
                budget=declared.budget,
                seed=declared.seed,
                initial=declared.initial,
                mask=declared.mask,
                campaign=declared.campaign,
                deep=declared.use_deep,
                members=declared.members,
                give_up_after_s=GIVE_UP_AFTER_S,
                offline_after_s=GIVE_UP_AFTER_S,
                compute_budget_s=COMPUTE_BUDGET_S,
            )
        self._pace = Pace(self._run)
        self._last = ("", "")

    def ask(self) -> Asked | None:
        """Return the next point; None at the end."""
        with translated():
            point = self._run.ask()
        if point is None:
            return None
        return Asked(point.y, point.x, point.mean, point.std, point.source, point)

    def tell(self, asked: Asked, measurement: Measurement) -> None:
        """Hand in a measurement: one Step round trip.

        Raises:
            Unavailable: The server did not acknowledge it.
            ProbescoutError: As the server answers.
        """
        where = {"measured_at": (measurement.y, measurement.x), "dwell_s": measurement.dwell_s}
        details: dict[str, Any] = {**where, "dose": measurement.dose}
        with translated():
            if measurement.error:
                told = self._run.fail(asked.handle, measurement.error, **details)
            else:
                told = self._run.tell(asked.handle, **signal_of(measurement), **details)
        if not told.is_acknowledged:
            raise Unavailable(
                Reason.WORKER_UNAVAILABLE, "the server stopped answering; look at its log and start the replay again"
            )
        self._last = (told.observation.rsplit("/", 1)[-1], measurement.error)

    def settle(self) -> Answer:
        """Wait for the value of the measurement told last and for a fit that is due.

        Raises:
            Unavailable: It did not come.
        """
        observation, error = self._last
        return Answer(message=error) if error else self._pace.settle(observation)

    def maps(self) -> dict[str, FloatArray]:
        """Return the maps (y, x) over all candidates."""
        with translated():
            maps = self._run.maps(MAPS)
        return {name: np.asarray(array, dtype=np.float64) for name, array in maps.items()}

    def close(self) -> None:
        """Stop the campaign and give back what is leased; a server that has gone has nothing to stop."""
        try:
            self._run.stop("the replay is over")
        except ps.ProbescoutError as error:
            _log.warning("%s was not stopped: %s", self._run.name, error)
        self._run.close()


def signal_of(measurement: Measurement) -> dict[str, Any]:
    """Return the arguments that hand in what was measured.

    Raises:
        InvalidInput: FIELD_MISSING when there is neither a signal nor a scalar.
    """
    if measurement.scalar is not None:
        variance = measurement.scalar.variance
        return {"value": measurement.scalar.value, "variance": None if math.isnan(variance) else variance}
    spectrum = measurement.spectrum
    if spectrum is None:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            "the instrument returned neither a signal nor an error; one of them must say what came of the point",
            field="measurement.spectrum",
        )
    return {
        "spectrum": spectrum.values,
        "dims": spectrum.dims,
        "axes": [ps.Axis(a.dim, a.values, a.unit, a.quantity) for a in spectrum.axes],
        "unit": spectrum.unit,
        "counts": _IS_COUNTS[spectrum.kind],
        "mask": spectrum.mask,
    }


class Pace:
    """Follows the journal of a campaign, to wait for values and for fits of the model that are due."""

    def __init__(self, run: ps.Run) -> None:
        """Follow a campaign from its first event."""
        self._run = run
        self._schedule = FitSchedule()
        self._answers: dict[str, Answer] = {}
        self._targets: set[float] = set()
        self._n_taught = 0
        self._changed = threading.Condition()
        self._fault: BaseException | None = None
        threading.Thread(target=self._listen, name="journal", daemon=True).start()

    def settle(self, observation: str) -> Answer:
        """Return the value of an observation as soon as it is there and no fit is due.

        Raises:
            Unavailable: It never came, or the journal could not be followed.
        """
        with self._changed:
            is_done = self._changed.wait_for(lambda: self._fault or self._is_settled(observation), PATIENCE_S)
            if self._fault is not None:
                raise Unavailable(
                    Reason.WORKER_UNAVAILABLE, f"the campaign's journal cannot be followed: {self._fault}"
                ) from self._fault
            if not is_done:
                what = "a fit of the model" if observation in self._answers else "the value of the last measurement"
                raise Unavailable(
                    Reason.WORKER_UNAVAILABLE,
                    f"{what} did not come within {PATIENCE_S:g} s, after {self._n_taught} scored measurements; look at "
                    "the server's log",
                )
            return self._answers[observation]

    def _is_settled(self, observation: str) -> bool:
        is_constant = len(self._targets) < 2
        return observation in self._answers and not self._schedule.is_due(self._n_taught, is_constant=is_constant)

    def _listen(self) -> None:
        try:
            for event in self._run.watch():
                with self._changed:
                    self._learn(event)
                    self._changed.notify_all()
                if event.kind == "Controlled":
                    return
        except Exception as fault:  # raised from `settle`, on the thread of the experiment
            with self._changed:
                self._fault = fault
                self._changed.notify_all()

    def _learn(self, event: ps.Event) -> None:
        payload = event.payload
        if event.kind == "ModelSwapped":
            self._schedule = self._schedule.done(self._schedule.n_fits + 1, int(payload["n_observations"]))
        elif event.kind == "Scored" and payload["error"]:
            self._answers[payload["observation"]] = Answer(message=payload["error"])
        elif event.kind == "Scored":
            value, variance = float(payload["value"]), float(payload["variance"])
            self._answers[payload["observation"]] = Answer(value, math.sqrt(variance))
            self._targets.add(value)
            self._n_taught += 1


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the client, which knows nothing of this distribution, into those of the same name here.

    Raises:
        ProbescoutError: The family that the server answered with.
    """
    try:
        yield
    except ps.ProbescoutError as error:
        family: type[ProbescoutError] = getattr(errors, type(error).__name__, Unavailable)
        reason = Reason(error.reason) if error.reason in set(Reason) else Reason.WORKER_UNAVAILABLE
        raise family(reason, error.message, field=error.field) from error
