"""Thin client of the Probescout planner, for the computer beside the microscope.

Example:
    >>> import probescout_client as ps
    >>> def measure_all(target, token_file, image, acquire):
    ...     with ps.connect(target, token_file=token_file) as planner:
    ...         run = planner.start(image, scalarizer="peak_ratio", params={"a": (10, 15), "b": (20, 25)}, budget=200)
    ...         for point in run:
    ...             spectrum, energy = acquire(point.y, point.x)
    ...             run.tell(point, spectrum, axis=(energy, "eV"))
"""

from probescout_client.errors import (
    AlreadyExists,
    Denied,
    HistoryMismatch,
    InvalidInput,
    NotBuilt,
    NotFound,
    Overloaded,
    ProbescoutError,
    SafetyError,
    ServerFault,
    Unauthenticated,
    Unavailable,
    WrongState,
)
from probescout_client.link import connect
from probescout_client.planner import Planner
from probescout_client.points import (
    Axis,
    Budget,
    Event,
    Influence,
    Motion,
    Objective,
    Point,
    StopAdvice,
    StopReport,
    Told,
)
from probescout_client.run import Run
from probescout_client.safety import SafetyLimits
from probescout_client.session import RunOptions
from probescout_client.tensors import Array, from_tensor, to_tensor
from probescout_client.theory import Quantity, TheoryJob, TheoryPlan

__version__ = "0.1.0"
__all__ = [
    "AlreadyExists",
    "Array",
    "Axis",
    "Budget",
    "Denied",
    "Event",
    "HistoryMismatch",
    "Influence",
    "InvalidInput",
    "Motion",
    "NotBuilt",
    "NotFound",
    "Objective",
    "Overloaded",
    "Planner",
    "Point",
    "ProbescoutError",
    "Quantity",
    "Run",
    "RunOptions",
    "SafetyError",
    "SafetyLimits",
    "ServerFault",
    "StopAdvice",
    "StopReport",
    "TheoryJob",
    "TheoryPlan",
    "Told",
    "Unauthenticated",
    "Unavailable",
    "WrongState",
    "connect",
    "from_tensor",
    "to_tensor",
]
