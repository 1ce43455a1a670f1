"""The atomistic truth: images against what was drawn, energies against the engine asked directly."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tblite", reason="needs the extra 'theory'")
pytest.importorskip("pymatgen", reason="needs the extra 'theory'")

from probescout_theory.xtb import Xtb  # noqa: E402
from scipy.spatial import cKDTree  # noqa: E402

from benchmarks import theory_atomistic, theory_energies  # noqa: E402
from benchmarks.theory_atomistic import KINDS, AtomisticTruth  # noqa: E402
from benchmarks.theory_campaign import begin, regret  # noqa: E402
from benchmarks.theory_energies import SETTINGS, energies_of, true_energy  # noqa: E402
from benchmarks.theory_specimen import PIXEL, RADIUS, make_specimen, true_atoms  # noqa: E402
from probescout.core.geometry import pixel_centers  # noqa: E402
from probescout.core.theory import TheoryPatch  # noqa: E402
from probescout.surrogates.features import compute_features  # noqa: E402


@pytest.fixture(scope="module")
def specimen():
    return make_specimen(np.random.default_rng([10_000, 10]))


def with_energies(specimen, energies):
    every = compute_features(specimen.image)
    features = replace(
        every, arrays={n: a[specimen.candidates] for n, a in every.arrays.items()}, positions=specimen.positions,
        shape=None, image=None,
    )  # fmt: skip
    target = (energies - np.nanmean(energies)) / np.nanstd(energies)
    return AtomisticTruth(features, np.nan_to_num(target), np.nan_to_num(target), energies, 3, specimen)


@pytest.fixture(scope="module")
def truth(specimen):
    energies = 8.0 + np.cumsum(np.random.default_rng(0).normal(size=len(specimen.candidates)))
    energies[::9] = np.nan
    return with_energies(specimen, energies)


def test_candidates_are_at_the_defects_and_away_from_the_edge(specimen):
    px = specimen.positions * len(specimen.image) - 0.5
    assert (np.abs(px - np.round(px)) < 1e-9).all()
    assert (PIXEL * cKDTree(specimen.defects_px).query(px)[0] < PIXEL).all()
    assert (np.minimum(specimen.positions, 1.0 - specimen.positions) * 256 * PIXEL >= RADIUS).all()
    assert np.array_equal(pixel_centers(256, 256)[specimen.candidates], specimen.positions)
    assert 60 <= len(px) <= 200
    assert set(specimen.labels) == {"C", "N", "B", "Si"}
    assert len(specimen.kinds) == len(specimen.defects_px)


def test_true_atoms_are_the_clean_window_with_the_defect_in_the_middle():
    clean = Counter(true_atoms("C").labels)
    for kind, changed in {"V": {"C": -1}, "N": {"C": -1, "N": 1}, "Si": {"C": -1, "Si": 1}}.items():
        found = Counter(true_atoms(kind).labels)
        assert {name: found[name] - clean[name] for name in found} == changed


def test_columns_are_where_the_image_is_bright(specimen):
    inside = ((specimen.columns_px > 5) & (specimen.columns_px < 250)).all(axis=1)
    rows, cols = np.round(specimen.columns_px[inside]).astype(int).T
    assert np.median(specimen.image[rows, cols]) > 1.5 * np.median(specimen.image)


def test_the_same_seed_draws_the_same_specimen(specimen):
    again = make_specimen(np.random.default_rng([10_000, 10]))
    assert np.array_equal(again.image, specimen.image)
    assert np.array_equal(again.candidates, specimen.candidates)


def test_energies_are_those_of_the_engine_and_are_calculated_once(specimen, tmp_path, monkeypatch):
    px = specimen.positions * len(specimen.image) - 0.5
    apart, defect = cKDTree(specimen.defects_px).query(px, k=2)
    # The vacancy that stands most alone, so that no other defect hangs together with it.
    is_vacancy = np.array([specimen.kinds[i] == "V" for i in defect[:, 0]])
    best = int(np.argmax(np.where(is_vacancy, apart[:, 1], 0.0)))
    # Of two kinds alone, for the others take their time.
    kept = np.flatnonzero(np.isin(specimen.kinds, ["V", "N"]))
    specimen = replace(specimen, defects_px=specimen.defects_px[kept], kinds=tuple(specimen.kinds[i] for i in kept))
    few = replace(specimen, candidates=specimen.candidates[[best]], positions=specimen.positions[[best]])
    energies = energies_of(few, tmp_path)
    engine = Xtb(**SETTINGS)
    image, place = few.seen(few.positions[0])
    (asked,) = engine.run(engine.prepare(TheoryPatch(image, PIXEL * 1e-10, place)), lambda share, message: None)
    assert energies.found == pytest.approx([asked.value], abs=1e-6)
    # At this noise a vacancy is found as it is, and nothing beside it is off its site.
    assert true_energy("V", tmp_path) == pytest.approx(asked.value, abs=1e-3)
    assert energies.true == pytest.approx([true_energy(kind, tmp_path) for kind in specimen.kinds])
    assert energies.n_structures == 1

    def fail(*_):
        raise AssertionError("calculated again")

    monkeypatch.setattr(theory_energies, "_Calculator", fail)
    again = energies_of(few, tmp_path)
    assert np.array_equal(again.found, energies.found)
    assert np.array_equal(again.true, energies.true)


def test_a_refused_patch_is_a_job_that_fails(specimen, tmp_path):
    blank = replace(
        specimen,
        image=np.full_like(specimen.image, 5.0),
        candidates=specimen.candidates[:1],
        positions=specimen.positions[:1],
        defects_px=specimen.defects_px[:1],
        kinds=("N",),
    )
    energies = energies_of(blank, tmp_path)
    assert np.isnan(energies.found).all()
    assert energies.n_structures == 0


def test_kinds_of_theory_are_what_they_are_called(truth):
    energies = truth.energies
    made = {name: kind.values(truth, np.random.default_rng(1)) for name, kind in KINDS.items()}
    for name in ("right", "late", "failing"):
        assert np.array_equal(made[name], energies, equal_nan=True)
    assert np.array_equal(made["reversed"], -energies, equal_nan=True)
    assert not np.array_equal(made["unrelated"], energies, equal_nan=True)
    assert np.array_equal(np.sort(made["unrelated"]), np.sort(energies), equal_nan=True)
    left = truth.features.positions[:, 1] < 0.5
    assert np.array_equal(made["local"][left], energies[left], equal_nan=True)
    assert not np.array_equal(made["local"][~left], energies[~left], equal_nan=True)
    known = np.isfinite(energies)
    assert np.array_equal(np.isfinite(made["biased"]), known)
    assert 0.3 < np.corrcoef(made["biased"][known], energies[known])[0, 1] < 0.99


def test_a_seed_has_all_kinds_and_says_what_its_theory_is_like(truth, monkeypatch, tmp_path):
    monkeypatch.setattr(theory_atomistic, "make_truth", lambda seed, cache: truth)
    row = theory_atomistic.one_seed(10_000, tmp_path)
    assert set(row) == {"none", "energies", *KINDS}
    assert row["late"] == row["none"] == regret(begin(truth, 10_000), 10_000, None)
    assert row["energies"]["candidates"] == len(truth.target)
    assert row["energies"]["failed_share"] == pytest.approx(np.isnan(truth.energies).mean())
    assert row["energies"]["correlation_with_target"] == pytest.approx(1.0)
