"""What stands in a column, how bright it is, and what else could stand there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from probescout.core.errors import InvalidInput, Reason
from probescout_theory.extras import load

Z_EXPONENT = 1.7
"""Dark-field intensity of an atom grows as its atomic number to this power (1.64 measured by Krivanek et al. 2010,
Nature 464, 571; 1.6 to 2 by detector angles, Hartel et al. 1996, Ultramicroscopy 63, 93)."""


@dataclass(frozen=True)
class Occupant:
    """The atoms of one column.

    Example:
        >>> Occupant(("S", "S"), (1.56, -1.56)).label
        'S2'
    """

    species: tuple[str, ...]
    """Chemical symbols, one an atom."""
    heights: tuple[float, ...]
    """Heights along the beam, angstrom, one an atom."""

    @property
    def label(self) -> str:
        """Formula of the column: symbols in alphabetical order, with counts above one."""
        names = sorted(set(self.species))
        counts = [(name, self.species.count(name)) for name in names]
        return "".join(name + (str(n) if n > 1 else "") for name, n in counts)

    @property
    def intensity(self) -> float:
        """Dark-field intensity, sum of Z^1.7 over the atoms, no unit."""
        return float(sum(atomic_number(s) ** Z_EXPONENT for s in self.species))


def atomic_number(symbol: str) -> int:
    """Return the atomic number of a chemical symbol.

    Raises:
        InvalidInput: FIELD_INVALID for a symbol that no element has.
        MissingExtra: When ase is not installed.
    """
    number = load("ase.data").atomic_numbers.get(symbol, 0)
    if number == 0:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"'{symbol}' is no element; give a chemical symbol such as Mo", field="species"
        )
    return int(number)


def alternatives(clean: Occupant, dopants: Sequence[str]) -> tuple[Occupant, ...]:
    """Return what may stand in a column: the clean occupant first, one atom missing, one atom or all replaced.

    Args:
        clean: Occupant in the clean lattice.
        dopants: Chemical symbols that may replace an atom.
    """
    found = [clean]
    if len(clean.species) > 1:
        found.append(Occupant(clean.species[1:], clean.heights[1:]))
    for dopant in dopants:
        found.append(Occupant((dopant, *clean.species[1:]), clean.heights))
        found.append(Occupant((dopant,) * len(clean.species), clean.heights))
    # Two ways to the same formula would share the likelihood of one.
    return tuple({o.label: o for o in reversed(found)}[label] for label in dict.fromkeys(o.label for o in found))
