import math
import random

import pytest
from probescout_client import SafetyError, SafetyLimits
from probescout_client.safety import from_limits, polygons, to_limits

SQUARE = ((0.2, 0.2), (0.2, 0.6), (0.6, 0.6), (0.6, 0.2))


def test_polygon_rule_against_the_winding_number():
    rng = random.Random(3)
    for _ in range(30):
        # A star-shaped polygon about a centre: a point is inside when it lies below the edge in its direction.
        angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(9))
        area = tuple((0.5 + rng.uniform(0.1, 0.4) * math.sin(a), 0.5 + 0.3 * math.cos(a)) for a in angles)
        for _ in range(40):
            y, x = rng.random(), rng.random()
            turn = 0.0
            for i in range(len(area)):
                (y0, x0), (y1, x1) = area[i - 1], area[i]
                a, b = math.atan2(y0 - y, x0 - x), math.atan2(y1 - y, x1 - x)
                turn += (b - a + math.pi) % (2 * math.pi) - math.pi
            is_inside = round(turn / (2 * math.pi)) % 2 != 0
            assert (SafetyLimits(allowed=(area,)).violation(y, x, None) is None) == is_inside
            assert (SafetyLimits(forbidden=(area,)).violation(y, x, None) is None) != is_inside


@pytest.mark.parametrize("bad", [(-0.01, 0.5), (0.5, 1.01), (float("nan"), 0.5), (0.5, float("inf"))])
def test_outside_the_frame(bad):
    with pytest.raises(SafetyError, match="not moved"):
        SafetyLimits().check(*bad)


def test_border_step_and_regions():
    limits = SafetyLimits(allowed=(SQUARE,), forbidden=(((0.3, 0.3), (0.3, 0.4), (0.4, 0.4), (0.4, 0.3)),), border=0.1)
    limits.check(0.5, 0.5)
    limits.check(0.2, 0.2)
    with pytest.raises(SafetyError, match="forbidden region 0"):
        limits.check(0.35, 0.35)
    with pytest.raises(SafetyError, match="allowed region"):
        limits.check(0.7, 0.7)
    with pytest.raises(SafetyError, match="border"):
        limits.check(0.05, 0.5)
    step = SafetyLimits(max_step=0.1)
    step.check(0.0, 0.1 * math.sqrt(2.0), (0.0, 0.0))
    step.check(0.9, 0.9, None)
    with pytest.raises(SafetyError, match="more than 0.1"):
        step.check(0.0, 0.1 * math.sqrt(2.0) + 1e-6, (0.0, 0.0))


def test_limits_survive_the_message_and_merge_to_the_stricter():
    own = SafetyLimits(allowed=(SQUARE,), forbidden=(SQUARE,), max_step=0.5, border=0.01)
    assert from_limits(to_limits(own)) == own
    merged = own.merged(SafetyLimits(forbidden=(SQUARE,), max_step=0.2, border=0.05))
    assert merged == SafetyLimits((SQUARE,), (SQUARE,), 0.2, 0.05)
    with pytest.raises(SafetyError):
        own.merged(SafetyLimits(allowed=(SQUARE[:3],)))
    with pytest.raises(SafetyError, match="three vertices"):
        polygons([[(0, 0), (1, 1)]])
