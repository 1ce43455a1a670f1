"""Campaign files written as TOML are read back as the same files."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probescout.campaigns.reading import read_file, read_text
from probescout.campaigns.toml import to_toml

EXAMPLES = Path(__file__).parents[2] / "examples"
texts = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('\n\t"\\'), max_size=12)
plain = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    plain, lambda one: st.lists(one, max_size=3) | st.dictionaries(texts.filter(bool), one, max_size=3), max_leaves=8
)
tables = st.dictionaries(texts.filter(bool), values, max_size=4)


@given(st.dictionaries(texts.filter(bool), tables | st.lists(tables, min_size=1, max_size=3), max_size=4))
def test_any_table_comes_back(sections: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(sections)) == sections


@pytest.mark.parametrize("name", ["campaign.toml", "campaign_theory.toml"])
def test_a_file_comes_back_with_its_digest(name: str) -> None:
    file = read_file(EXAMPLES / name)
    again = read_text(to_toml(file.to_json()), file.folder)
    assert again == file and again.digest == file.digest
