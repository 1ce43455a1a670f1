"""When fits are due."""

from probescout.surrogates.schedule import FitSchedule


def due_at(n_most, fits_take=0):
    """The numbers of measurements at which fits are asked for, when each takes so many tells."""
    schedule, found, running = FitSchedule(), [], None
    for n in range(1, n_most + 1):
        if running is not None and n >= running + fits_take:
            schedule, running = schedule.done(schedule.n_fits + 1, running), None
        if running is None and schedule.is_due(n, is_constant=False):
            schedule, running = schedule.requested(n), n
            found.append(n)
            if not fits_take:
                schedule, running = schedule.done(schedule.n_fits + 1, n), None
    return found


def test_fits_are_often_at_first_and_grow_rare():
    assert due_at(110) == [5, 10, 20, 35, 50, 65, 80, 95, 110]
    many = due_at(5000)
    late = [b / a for a, b in zip(many, many[1:], strict=False) if a >= 150]
    assert all(1.09 <= ratio <= 1.12 for ratio in late) and len(late) < 40
    assert len(due_at(5000, fits_take=4)) <= len(many)


def test_no_fit_of_one_value_or_beside_another():
    assert not FitSchedule().is_due(50, is_constant=True)
    running = FitSchedule(1, 20).requested(40)
    assert not running.is_due(44, is_constant=False) and running.is_due(45, is_constant=False)
    assert FitSchedule(1, 20, is_urgent=True).is_due(21, is_constant=False)
