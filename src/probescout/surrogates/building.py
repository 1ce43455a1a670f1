"""A new version of the model, taught beside the old one in bites so that no answer has to wait for it."""

from __future__ import annotations

from dataclasses import dataclass

from probescout.surrogates.measurements import Measurements
from probescout.surrogates.model import Model


@dataclass
class Build:
    """One version on its way; the committee goes on telling and answering with the one before."""

    model: Model
    """What is being taught; empty at first."""
    n_fits: int | None
    """Fits done once it takes over; None: it keeps the hyperparameters of the one before."""
    n_at_fit: int = 0
    """Measurements that its fit saw."""
    is_correction: bool = False
    """Whether the version before still knows measurements that were retracted or amended."""
    _end: int = 0
    _member: int = 0

    def bite(self, data: Measurements) -> bool:
        """Teach one member one block of what it does not know yet; return whether all is learnt.

        Raises:
            InvalidInput: FIELD_INVALID when the hyperparameters make a matrix that cannot be factorised.
        """
        known = len(self.model.y)
        if known == len(data):
            return True
        if self._member == 0:
            # Measurements told while a block is being learnt wait for the next: all members learn the same blocks.
            self._end = min(known + self.model.bite_rows(), len(data))
        self.model.learn_one(self._member, data, self._end)
        self._member += 1
        if self._member == len(self.model.members):
            self._member = 0
            self.model.close_block(data, self._end)
        return len(self.model.y) == len(data)
