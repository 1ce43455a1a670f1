"""The engine chgnet against the network called directly on a pymatgen structure."""

from __future__ import annotations

import pytest

pytest.importorskip("chgnet", reason="needs the extra 'chgnet'")

from chgnet.model import CHGNet  # noqa: E402
from probescout_theory.chgnet import Chgnet  # noqa: E402
from pymatgen.core import Structure  # noqa: E402

from probescout.core.theory import EngineFailure, Failure  # noqa: E402
from probescout.testing.engine import sheet  # noqa: E402


def rock_salt():
    places = [[0.0, 0.0, 0.0], [2.1, 2.1, 0.0], [2.1, 0.0, 2.1], [0.0, 2.1, 2.1]]
    return {
        "symbols": ["Mg"] * 4 + ["O"] * 4,
        "positions": places + [[x + 2.1, y, z] for x, y, z in places],
        "cell": [[4.2, 0.0, 0.0], [0.0, 4.2, 0.0], [0.0, 0.0, 4.2]],
        "pbc": [True] * 3,
    }


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize("made", [sheet, rock_salt])
def test_energies_are_those_of_the_network_called_directly(made) -> None:
    structure = made()
    direct = Structure(
        structure["cell"], structure["symbols"], structure["positions"], coords_are_cartesian=True, to_unit_cell=True
    )
    per_atom = float(CHGNet.load(use_device="cpu", verbose=False).predict_structure(direct)["e"])
    [found] = Chgnet(is_relaxed=False, quantities=["energy"]).run(structure, lambda share, message: None)
    assert found.value == pytest.approx(per_atom * len(direct), rel=1e-6)


def test_an_atom_alone_is_refused() -> None:
    alone = {"symbols": ["C"], "positions": [[0.0, 0.0, 0.0]]}
    with pytest.raises(EngineFailure, match="isolated") as caught:
        Chgnet(is_relaxed=False, quantities=["energy"]).run(alone, lambda share, message: None)
    assert caught.value.failure is Failure.BAD_INPUT
