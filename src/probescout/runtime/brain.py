"""What a campaign worker does: scalarize, learn, score candidates. Synchronous, without I/O; one per campaign.

The same class runs inside a worker process (`worker`) and inside a notebook (`InlineSeat`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput
from probescout.runtime.inspecting import explained, maps
from probescout.runtime.knowing import Knowing, Message
from probescout.runtime.plugins import describe
from probescout.runtime.proposing import Scene, propose
from probescout.runtime.validating import validated
from probescout.runtime.wishing import wished
from probescout.surrogates.transfer import hand_on

_log = logging.getLogger(__name__)


class Brain(Knowing):
    """The model, scalarizer and policy of one campaign, asked by messages.

    Example:
        >>> brain = Brain()
        >>> brain.handle({"op": "validate", "scalarizer": {"name": "given"}, "policy": {"name": "random"}})
        {'n_dims': 0, 'axis_unit': ''}
    """

    def __init__(self) -> None:
        """Start without a campaign."""
        super().__init__()
        self._next: int | None = None
        """Candidate that is probably measured next, until its measurement is prepared."""
        self._ops: dict[str, Callable[[Message], dict[str, Any]]] = {
            "validate": validated,
            "plugins": lambda _: {"plugins": describe()},
            "configure": self._configure,
            "load": self._load,
            "score": self._score,
            "suggest": self._suggest,
            "step": self._step,
            "relearn": self._relearn,
            "inform": self._inform,
            "wish": self._wish,
            "explain": self._explain,
            "maps": self._maps,
            "latent": self._latent,
            "fit_request": self._fit_request,
            "swap": self._swap,
            "advance": self._advance,
            "fitted": self._fitted,
            "state": self._state,
            "hand_on": self._hand_on,
        }

    def handle(self, message: Message) -> dict[str, Any]:
        """Return the reply to a message.

        Raises:
            ProbescoutError: The request cannot be carried out; the message says why.
        """
        return self._ops[message["op"]](message)

    def prepare(self) -> None:
        """Use the time in which the microscope measures to get ready for the point that it was sent to.

        What its measurement would cost anyway is done before it comes; the answers are the same, to the bit.
        """
        index, self._next = self._next, None
        if index is not None and self._committee is not None:
            self._committee.prepare(index)
            self._further.prepare(index)

    # ------------------------------------------------------------ planning

    def _step(self, message: Message) -> dict[str, Any]:
        return {"score": self._scored(message), **self._suggest(message)}

    def _suggest(self, message: Message) -> dict[str, Any]:
        nothing = {"picks": [], "spares": [], "advice": [], "is_cold": self._is_cold, "refusal": ""}
        try:
            return {**nothing, **self._pick(message), **self._news()}
        except InvalidInput as error:
            # A broken policy must not take the score of the same step with it.
            return {**nothing, "refusal": f"{error.reason}: {error.message}", **self._news()}
        except Exception as error:
            # Nor must numbers that the model cannot handle.
            _log.exception("the model could not plan")
            return {**nothing, "refusal": f"the model could not plan: {error!r}", **self._news()}

    def _scene(self) -> Scene:
        model = self._model
        assert self._spec is not None and self._policy is not None and self._ground is not None
        return Scene(model, self._policy, self._spec, self._ground.positions, self._further, self._is_cold)

    def _free(self, message: Message) -> NDArray[np.bool_]:
        assert self._ground is not None
        return self._ground.free(message["blocked"])

    def _pick(self, message: Message) -> dict[str, Any]:
        assert self._policy is not None
        if self._policy.needs_model and self._is_cold:
            return {}
        found = propose(self._scene(), self._free(message), message)
        if not found:
            return {}
        # The oldest point that somebody holds, or else the first of these.
        due = [*message["pending"], *(row["candidate"] for row in found["picks"])]
        self._next = int(due[0]) if due else None
        return {**found, "is_cold": False}

    def _wish(self, message: Message) -> dict[str, Any]:
        """Return which patches deserve a simulation; see `wishing.wished`."""
        measured = np.array([row[0] for row in self._taught], dtype=np.intp)
        return {"wishes": wished(self._scene(), self._free(message), measured, message), **self._news()}

    # ------------------------------------------------------------ looking inside

    def _explain(self, message: Message) -> dict[str, Any]:
        return {"explain": explained(self._scene(), message)}

    def _maps(self, message: Message) -> dict[str, Any]:
        has_scores = self._policy is not None and not (self._policy.needs_model and self._is_cold)
        found, told = maps(self._scene(), self._free(message), message, has_scores=has_scores)
        assert self._ground is not None
        named = {name: values.astype(np.float32).reshape(self._ground.shape) for name, values in found.items()}
        return {"maps": named, "weights": self._model.weights(), "is_cold": self._is_cold, "degraded": told}

    def _latent(self, message: Message) -> dict[str, Any]:
        name, values = self._model.latent()
        return {"latent": values, "representation": name}

    def _hand_on(self, message: Message) -> dict[str, Any]:
        """Return what the model can hand on to another campaign; see `surrogates.transfer`."""
        header, arrays = hand_on(self._model).parts()
        return {"model": header, "arrays": arrays}
