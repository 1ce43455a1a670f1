"""What runs under the Python that has GPAW: no package of ours is there, and it may be an old one.

    python3 -I gpaw_child.py versions
    python3 -I gpaw_child.py INPUT OUTPUT

INPUT and OUTPUT are JSON files. OUTPUT holds either the solution or {"failure", "message"}.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any, Dict  # noqa: UP035

Job = Dict[str, Any]  # noqa: UP006


def versions() -> str:
    """Return the versions of GPAW, ASE and Python, in words."""
    found = [import_module(name).__version__ for name in ("gpaw", "ase")]
    return "gpaw {}, ase {}, python {}.{}".format(*found, *sys.version_info[:2])


def make_atoms(job: Job) -> Any:
    """Return the ase.Atoms of a job; what does not repeat gets the vacuum that is asked for."""
    atoms = import_module("ase").Atoms(job["symbols"], positions=job["positions"], cell=job["cell"], pbc=job["pbc"])
    if not any(job["pbc"]):
        atoms.set_cell([0.0, 0.0, 0.0])
        atoms.center(vacuum=job["vacuum"])
    atoms.set_constraint(import_module("ase.constraints").FixAtoms(mask=job["frozen"]))
    return atoms


def make_calculator(job: Job) -> Any:
    """Return the GPAW calculator of a job; what it says goes to standard output."""
    settings = {
        "mode": "lcao",
        "basis": job["basis"],
        "xc": job["functional"],
        "h": job["grid_angstrom"],
        "occupations": {"name": "fermi-dirac", "width": job["smearing"]},
        "maxiter": job["max_iterations"],
        "txt": "-",
    }
    if any(job["pbc"]):
        # One point along what does not repeat: ASE's own density would take more.
        settings["kpts"] = grid(job)
    return import_module("gpaw").GPAW(**settings)


def grid(job: Job) -> Job:
    """Return a grid of k-points around Gamma, dense enough along each direction that repeats."""
    np = import_module("numpy")
    reciprocal = 2.0 * np.pi * np.linalg.norm(np.linalg.inv(np.array(job["cell"])), axis=0)
    size = [max(1, int(np.ceil(k * job["k_density"]))) if p else 1 for k, p in zip(reciprocal, job["pbc"])]  # noqa: B905
    return {"size": size, "gamma": True}


def relax(atoms: Any, job: Job) -> tuple[int, float, bool]:
    """Move the free atoms until forces vanish; return steps, largest force, and whether they vanished."""
    optimizer = import_module("ase.optimize").BFGS(atoms, logfile="-", maxstep=0.1)
    is_done = optimizer.run(fmax=job["max_force"], steps=job["max_steps"])
    force = float((atoms.get_forces() ** 2).sum(axis=1).max() ** 0.5)
    return optimizer.nsteps, force, bool(is_done)


def solve(job: Job) -> Job:
    """Return the solution of a job, or its failure."""
    atoms = make_atoms(job)
    start = atoms.get_positions()
    atoms.calc = make_calculator(job)
    steps, force, is_done = 0, 0.0, True
    try:
        if job["is_relaxed"]:
            steps, force, is_done = relax(atoms, job)
        energy = atoms.get_potential_energy()
    except import_module("gpaw").KohnShamConvergenceError:
        return {
            "failure": "not_converged",
            "message": "the density did not converge within {} iterations: raise max_iterations or smearing".format(
                job["max_iterations"]
            ),
        }
    found = {"energy": energy, "moved": (atoms.get_positions() - start).tolist(), "n_steps": steps}
    found.update({"force": force, "is_done": is_done, "gap": gap_of(atoms.calc)})
    return found


def gap_of(calculator: Any) -> float:
    """Return the lowest empty level less the highest full one, over all k-points, eV; 0 when they overlap."""
    homo, lumo = calculator.get_homo_lumo()
    return max(0.0, float(lumo - homo))


def main(arguments: list[str]) -> int:
    """Run; return the exit status."""
    if arguments == ["versions"]:
        print(versions())
        return 0
    source, target = arguments
    with open(source) as file:
        job = json.load(file)
    found = solve(job)
    with open(target, "w") as file:
        json.dump(found, file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
