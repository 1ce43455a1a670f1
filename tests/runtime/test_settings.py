"""What an operator may tune, and what it is otherwise."""

import pytest

from probescout.runtime.settings import workers_that_fit

GIB = 1 << 30


@pytest.mark.parametrize(("gib", "workers"), [(1, 4), (4, 4), (8, 8), (23.5, 23), (512, 32)])
def test_workers_go_by_memory(gib, workers):
    assert workers_that_fit(int(gib * GIB)) == workers


def test_this_computer_has_memory():
    assert 4 <= workers_that_fit() <= 32
