"""What a suite file may say, and what is said of a mistake."""

from pathlib import Path

import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.suites.reading import read_suite, read_text

GOOD = """
[suite]
name = "two"
seeds = [3, 4]
budget = 20
initial = 5
deep = false

[[cases]]
name = "p"
scene = "plasmonic"
size = 16

[[arms]]
name = "ei"

[[arms]]
name = "bank"
policy = "ucb"
members = ["bank"]
"""


def test_the_example_can_be_read():
    file = read_suite(Path(__file__).parents[2] / "examples" / "suite.toml")
    assert [arm.name for arm in file.all_arms] == ["random", "grid", "ei", "bank_ucb"]


def test_the_documented_file_can_be_read(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "replay-at-scale.md").read_text()
    text = page.partition("```toml\n")[2].partition("```")[0]
    for name in ("case.nc", "map.nc", "BEPS.h5"):
        (tmp_path / name).touch()
    file = read_text(text, tmp_path)
    assert [case.name for case in file.cases] == ["particles", "height", "loops", "plasmonic"]
    assert [file.budget_of(case) for case in file.cases] == [110, 50, 110, 110]


def test_the_baselines_are_there_unless_they_are_left_out_by_name(tmp_path):
    assert [a.name for a in read_text(GOOD, tmp_path).all_arms] == ["random", "grid", "ei", "bank"]
    without = read_text(GOOD.replace("deep = false", 'leave_out = ["grid"]'), tmp_path)
    assert [a.name for a in without.all_arms] == ["random", "ei", "bank"]


def test_the_digest_follows_what_is_declared_and_not_where_it_lies(tmp_path):
    one = read_text(GOOD, tmp_path)
    assert read_text("# a remark\n" + GOOD, tmp_path / "elsewhere").digest == one.digest
    assert read_text(GOOD.replace("budget = 20", "budget = 21"), tmp_path).digest != one.digest


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("budget = 20", "bugdet = 20", "suite.bugdet", "did you mean 'budget'"),
        ("seeds = [3, 4]", "", "suite.seeds", "'seeds' is missing"),
        ("seeds = [3, 4]", "seeds = []", "suite.seeds", "no seed"),
        ("seeds = [3, 4]", "seeds = [3, 3]", "suite.seeds", "seed 3 is there twice"),
        ("seeds = [3, 4]", "seeds = [-1]", "suite.seeds", "seed -1 is out of range"),
        ("budget = 20", "budget = 4", "suite.budget", "a budget of 4 points with 5 initial"),
        ("deep = false", 'leave_out = ["gird"]', "suite.leave_out", "did you mean 'grid'"),
        ('scene = "plasmonic"', 'scene = "plasmoni"', "cases[0].scene", "did you mean 'plasmonic'"),
        ('scene = "plasmonic"', "", "cases[0]", "either a file or a scene"),
        ('scene = "plasmonic"', 'file = "no.nc"', "cases[0].file", "does not exist"),
        ("size = 16", 'target = "height"', "cases[0].target", "leave out 'target'"),
        ('policy = "ucb"', 'policy = "ucbb"', "arms[1].policy", "did you mean 'ucb'"),
        ('policy = "ucb"', 'policy = "ucb"\nparams = { beat = 2 }', "arms[1].params", "'beat' was unexpected"),
        ('members = ["bank"]', 'members = ["bnak"]', "arms[1].members[0]", "bnak"),
        ('name = "bank"', 'name = "ei"', "arms[1].name", "rename one"),
        ('name = "bank"', 'name = "random"', "arms[1].name", "planned by 'ucb'"),
        ('name = "two"', 'name = "../two"', "suite.name", ""),
        ("[suite]", "[suite", "", "not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, old, new, field, words):
    assert old in GOOD
    with pytest.raises(InvalidInput) as caught:
        read_text(GOOD.replace(old, new, 1), tmp_path)
    assert caught.value.field == field
    assert words in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.toml") as caught:
        read_suite(tmp_path / "none.toml")
    assert caught.value.reason is Reason.FILE_UNREADABLE
