"""The examples in the docstrings of the scalarizers give what they say."""

import doctest
import importlib

import pytest

from probescout.core.registry import SCALARIZERS, installed

OURS = [info for info in installed(SCALARIZERS) if info.distribution == "probescout"]


@pytest.mark.parametrize("info", OURS, ids=lambda info: info.name)
def test_example(info):
    result = doctest.testmod(importlib.import_module(info.load().__module__))
    assert result.attempted >= 3
    assert result.failed == 0
