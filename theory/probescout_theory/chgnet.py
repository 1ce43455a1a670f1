"""A potential learned from density functional theory, for any elements."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version as version_of
from typing import Any, ClassVar

from probescout.core.policy import Json
from probescout.core.theory import EngineFailure, Failure
from probescout_theory.atomistic import AtomisticEngine
from probescout_theory.extras import load
from probescout_theory.relaxing import Solution, Tell, relax
from probescout_theory.settings import ALL_QUANTITIES, schema_of
from probescout_theory.structure import Structure
from probescout_theory.structure_json import refuse

_QUANTITIES = ("formation_energy", "energy", "displacement", "strain")


class Chgnet(AtomisticEngine):
    """A neural network potential trained on the crystals of the Materials Project, on one processor core.

    CHGNet: Deng et al. 2023, Nat. Mach. Intell. 5, 1031. It knows crystals; molecules, flakes and undercoordinated
    atoms are far from what it was trained on. It calculates in single precision, so that places and energies are
    reproducible to some 1e-6 eV an atom, and takes 0.8 GiB of memory.

    Example:
        >>> Chgnet(quantities=["energy"]).shared.quantities
        ('energy',)
    """

    name: ClassVar[str] = "chgnet"
    summary: ClassVar[str] = "Learned potential (CHGNet): crystals of any elements, close to DFT, in half a minute"
    quantities: ClassVar[Mapping[str, str]] = {name: ALL_QUANTITIES[name] for name in _QUANTITIES}
    are_reservoirs_molecules: ClassVar[bool] = False
    params_schema: ClassVar[Json] = schema_of(
        "Learned potential (CHGNet)",
        _QUANTITIES,
        {
            "model": {
                "title": "Model",
                "description": "Version of the weights, as they come with the package",
                "enum": ["0.3.0", "r2scan"],
                "default": "0.3.0",
            }
        },
    )

    def __init__(self, *, model: str = "0.3.0", **shared: Any) -> None:
        """Keep the settings.

        Args:
            model: Version of the weights.
            shared: As SharedSettings.

        Raises:
            InvalidInput: As SharedSettings.
        """
        super().__init__({"model": model}, shared)

    def version(self) -> str:
        """Return the versions of this engine, CHGNet and torch.

        Raises:
            MissingExtra: chgnet is not installed.
        """
        load("chgnet", "chgnet")
        return f"chgnet 1, chgnet {version_of('chgnet')}, torch {version_of('torch')}"

    def solve(self, structure: Structure, tell: Tell, *, is_relaxed: bool) -> Solution:
        """Return energy and places.

        Args:
            structure: Checked.
            tell: Takes the progress.
            is_relaxed: Whether the free atoms move.

        Raises:
            EngineFailure: NOT_CONVERGED, EXPLODED or BAD_INPUT.
            MissingExtra: As `version`.
        """
        atoms = structure.to_ase()
        if not any(structure.periodic):
            atoms.set_cell([0.0, 0.0, 0.0])
            atoms.center(vacuum=10.0)
        # Its graph repeats along all vectors; what does not repeat has vacuum instead.
        atoms.pbc = True
        shift = atoms.get_positions() - structure.positions
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True")
            atoms.calc = load("chgnet.model.dynamics", "chgnet").CHGNetCalculator(
                model=_model(self.own["model"]), use_device="cpu", on_isolated_atoms="error"
            )
            try:
                n_steps = relax(atoms, self.shared, tell) if is_relaxed else 0
                energy = float(atoms.get_potential_energy())
            except ValueError as error:
                if "isolated atom" not in str(error).lower():
                    raise
                if is_relaxed:
                    raise EngineFailure(Failure.EXPLODED, f"CHGNet: {error}; look at the structure") from error
                raise refuse(f"CHGNet: {error}; it takes no atoms without neighbours within 6 angstrom") from error
        return Solution(energy, atoms.get_positions() - shift, n_steps)


@cache
def _model(version: str) -> Any:
    """Return the network, loaded once."""
    return load("chgnet.model", "chgnet").CHGNet.load(model_name=version, use_device="cpu", verbose=False)
