"""A new version of the model, taught beside the old one in bites so that no answer has to wait for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """Measurements known after the block."""
    _member: int = 0
    """The next to learn the block."""
    _left: int = 0
    """Measurements that were not known when the block was begun."""
    _length: int = 0
    """Measurements in the block."""
    _haste: int = 1
    """How many times longer the blocks are than at leisure; a version that was chased once stays in haste."""

    def anew(self, model: Model) -> Build:
        """Return the same version, to be taught from its beginning as another model."""
        return replace(self, model=model, _end=0, _member=0, _left=0, _length=0, _haste=1)

    def bite(self, data: Measurements) -> bool:
        """Teach one member one block of what it does not know yet; return whether all is learnt.

        Where measurements come as fast as they are learnt, blocks grow, and the last is learnt by all members in one
        bite: a version is ready in the end however fast a campaign steps.

        Raises:
            InvalidInput: FIELD_INVALID when the hyperparameters make a matrix that cannot be factorised.
        """
        if len(self.model.y) == len(data):
            return True
        is_last = False
        if self._member == 0:
            # Measurements told while a block is being learnt wait for the next: all members learn the same blocks.
            is_last = self._begin_block(len(data))
        while self._member < len(self.model.members):
            self.model.learn_one(self._member, data, self._end)
            self._member += 1
            if not is_last:
                break
        if self._member == len(self.model.members):
            self._member = 0
            self.model.close_block(data, self._end)
        return len(self.model.y) == len(data)

    def _begin_block(self, n: int) -> bool:
        """Choose where the block ends that begins now; return whether it is to be the last."""
        known, before, length = len(self.model.y), self._left, self._length
        self._left = n - known
        # The block before should have shortened the rest by more than half of its own length.
        is_chased = length > 0 and self._left > before - (length + 1) // 2
        if is_chased:
            self._haste *= 2
        self._length = min(self._haste * self.model.bite_rows(), self._left)
        # It left nothing over, and yet there is as much again: no row may come between the members this time.
        is_last = is_chased and length == before and self._length == self._left
        self._end = known + self._length
        return is_last
