"""The pull loop, against the honest server and the real one."""

import threading
import time

import numpy as np
import probescout_client as ps
import pytest


def start(planner, image, campaign, **options):
    options.setdefault("scalarizer", "given")
    options.setdefault("deep", False)
    options.setdefault("n_initial", 4)
    return planner.start(image, campaign=campaign, **options)


def eventually(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in {} s".format(seconds)
        time.sleep(0.02)


def test_loop_ends_with_the_budget_and_every_measurement_is_there(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign, budget=12, sample="LAO-17", pixel_size=(0.4, "nm"))
        told = {}
        for point in run:
            answer = run.tell(point, value=point.y + 10 * point.x, variance=0.01, dwell_s=0.1)
            assert answer.is_acknowledged and not answer.is_late
            told[answer.observation] = point
        assert run.stop_report.cause == "budget_probes" and run.stop_report.is_final
        kept = {o.name: o for o in run.observations(page_size=5)}
        assert set(kept) == set(told) and len(kept) == 12
        for name, point in told.items():
            assert kept[name].value == point.y + 10 * point.x
            assert (kept[name].measured_at.y, kept[name].measured_at.x) == (point.y, point.x)
            assert kept[name].suggestion == point.name
        assert len({(p.y, p.x) for p in told.values()}) == 12
        assert run.n_waiting == 0
        status = run.status()
        assert (status.n_observations, status.n_pending) == (12, 0)
        assert status.spec.sample == "LAO-17" and status.frames[0].pixel_size.value == 0.4


def test_raw_spectra_come_back_as_sent(server, image, campaign):
    energy = np.linspace(0.0, 20.0, 64)
    rng = np.random.default_rng(5)
    with server.connect() as planner:
        run = start(planner, image, campaign, scalarizer="band_sum", params={"low": 2.0, "high": 5.0}, budget=3)
        for point in run:
            counts = rng.poisson(50, 64).astype("uint32")
            answer = run.tell(point, counts, axis=(energy, "eV", "energy"), unit="counts", counts=True)
            listed = [o for o in run.observations(with_spectra=True) if o.name == answer.observation]
            assert np.array_equal(np.asarray(run.spectrum(listed[0])), counts)
            assert listed[0].axes[0].unit == "eV" and listed[0].axes[0].quantity == "energy"


def test_large_arrays_travel_as_blobs(server, campaign):
    rng = np.random.default_rng(6)
    image = rng.random((300, 290))
    with server.connect() as planner:
        run = start(planner, image, campaign, stride=20, scalarizer="center_of_mass", budget=1)
        assert run.status().frames[0].image.blob.startswith("blobs/sha256-")
        for point in run:
            pattern = rng.poisson(3.0, (150, 160)).astype("uint32")
            run.tell(point, pattern, dims=("ky", "kx"), counts=True)
        listed = next(run.observations(with_spectra=True))
        assert np.array_equal(np.asarray(run.spectrum(listed)), pattern)


def test_failures_and_infeasible_points(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign, budget=3)
        ways = [
            lambda p: run.fail(p, "the tip crashed"),
            lambda p: run.infeasible(p, "a hole"),
            lambda p: run.tell(p, value=1.0, variance=0.1, measured_at=(0.5, 0.5)),
        ]
        for point, way in zip(run, ways, strict=False):
            assert way(point).is_acknowledged
        words = sorted(o.message for o in run.observations())
        assert words == ["", "a hole", "the tip crashed"]


def test_unsolicited_observation(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign)
        assert run.observe(0.31, 0.62, value=2.0, variance=0.1).is_acknowledged
        kept = next(run.observations())
        assert kept.suggestion == "" and (kept.measured_at.y, kept.measured_at.x) == (0.31, 0.62)


def test_leaving_the_loop_gives_back_what_was_not_told(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign, prefetch=3)
        for n, point in enumerate(run):
            if n == 2:
                break
            run.tell(point, value=1.0, variance=0.1)
        status = run.status()
        assert (status.n_observations, status.n_pending) == (2, 0)
        with pytest.raises(ZeroDivisionError):
            for _ in run:
                raise ZeroDivisionError("the instrument failed")
        assert run.status().n_pending == 0
        point = run.ask()
        assert run.status().n_pending == 4 and run.seconds_left(point) > 0
        run.release(point)
        assert run.status().n_pending == 3 and run.seconds_left(point) == 0
    with server.connect() as planner:
        assert planner.get(campaign).n_pending == 0


def test_one_round_trip_a_point(fake, honest, image, campaign):
    with fake.connect() as planner:
        run = start(planner, image, campaign, budget=10)
        for point in run:
            run.tell(point, value=1.0)
    assert honest.count("Step") == 10 and honest.count("Suggest") == 1 and honest.count("Tell") == 0


def test_waits_while_paused_and_goes_on(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign, budget=4)
        said = []
        watching = planner.resume(campaign, on_status=lambda status, reason: said.append((status, reason)))
        n_told = []

        def measure():
            for point in run:
                run.tell(point, value=1.0, variance=0.1)
                n_told.append(point)
                if len(n_told) == 2:
                    watching.pause("coffee")

        thread = threading.Thread(target=measure)
        thread.start()
        eventually(lambda: run.is_paused)
        time.sleep(0.5)
        assert len(n_told) <= 3 and thread.is_alive()
        watching.resume()
        thread.join(15.0)
        assert not thread.is_alive() and len(n_told) == 4
        assert said[0] == ("paused", "coffee") and [status for status, _ in said] == ["paused", "running"]


@pytest.mark.parametrize("is_down", [False, True])
def test_closing_from_another_thread_ends_a_waiting_loop(honest, fake, image, campaign, is_down):
    planner = fake.connect(timeout_s=1.0)
    run = start(planner, image, campaign)
    run.pause()
    if is_down:
        honest.stop()
    ended = []
    thread = threading.Thread(target=lambda: ended.append(list(run)))
    thread.start()
    time.sleep(0.7)
    assert thread.is_alive()
    planner.close()
    thread.join(5.0)
    assert ended == [[]]
    if is_down:
        honest.start()


@pytest.mark.parametrize("how", ["stop", "abort"])
def test_stop_and_abort_are_learned_during_a_long_dwell(server, image, campaign, how):
    said, parked = [], []
    with server.connect() as planner:
        run = start(
            planner, image, campaign, heartbeat_s=0.05, on_status=lambda *a: said.append(a), on_park=parked.append
        )
        n = 0
        for point in run:
            n += 1
            with server.connect() as operator:
                getattr(operator.resume(campaign), how)("charging")
            eventually(lambda: run.is_stopping)
            answer = run.tell(point, value=1.0, variance=0.1)
            assert answer.is_acknowledged
            if how == "abort":
                assert answer.is_late
        assert n == 1
        assert run.stop_report.cause == {"stop": "stopped", "abort": "aborted"}[how]
        assert said == [({"stop": "stopped", "abort": "aborted"}[how], "charging")]
        assert bool(parked) == (how == "abort")
        assert run.status().n_observations == 1


def test_leases_are_renewed_while_measuring(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign, lease_s=1.0, prefetch=1)
        first = True
        for point in run:
            if not first:
                break
            first = False
            time.sleep(2.2)
            assert run.seconds_left(point) > 0
            assert not run.tell(point, value=1.0, variance=0.1).is_late


def test_revoked_leases_are_dropped_and_their_data_still_taken(fake, honest, image, campaign):
    with fake.connect() as planner:
        run = start(planner, image, campaign, lease_s=0.6, prefetch=2, heartbeat_s=0.1)
        point = run.ask()
        with fake.connect() as operator:
            other = operator.resume(campaign)
            other.pause("look", immediate=True)
            other.resume()
        eventually(lambda: run.seconds_left(point) == 0.0)
        assert run.tell(point, value=1.0).is_late
        again = run.ask()
        assert again is not None and again.ordinal > 3


def test_looking_inside(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign, budget=6)
        for point in run:
            run.tell(point, value=point.y, variance=0.01)
        maps = run.maps(["mean", "std"])
        assert set(maps) == {"mean", "std"}
        assert maps["mean"].dims == ("y", "x") and np.asarray(maps["mean"]).shape == (10, 12)
        assert np.asarray(maps["std"]).dtype == np.float32
        run.update(budget=8, reason="it is worth it")
        assert run.status().spec.budget.probes == 8
        preview = run.preview(2)
        assert len(preview) == 2 and all(0 <= p.y <= 1 for p in preview)
        with pytest.raises(ps.WrongState) as caught:
            run.update(budget=9, etag="stale")
        assert caught.value.reason == "ETAG_MISMATCH"
        with pytest.raises(ps.InvalidInput, match="there are mean"):
            run.maps(["mood"])
        assert campaign in [c.name.split("/")[1] for c in planner.campaigns(page_size=1)]
        assert "given" in [p.name for p in planner.plugins()] or planner.plugins("scalarizer")
        assert run.url.endswith(server.target + "/campaigns/" + campaign)


def test_watch_delivers_the_journal_then_live(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign)
        events = run.watch()
        first = next(events)
        assert first.seq == 1
        answer = run.observe(0.5, 0.5, value=1.0, variance=0.1)
        assert answer.is_acknowledged
        last = first
        while last.kind != "Observed":
            following = next(events)
            assert following.seq == last.seq + 1
            last = following
        events.close()


def test_a_suggestion_outside_the_clients_limits_stops_before_the_move(server, image, campaign):
    left = [(0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (1.0, 0.0)]
    with server.connect() as planner:
        start(planner, image, campaign, initial=[(0.5, 0.25), (0.5, 0.75)])
        run = planner.resume(campaign, forbidden=[left])
        run.check_move(0.5, 0.75)
        with pytest.raises(ps.SafetyError):
            run.check_move(0.5, 0.25)
        moved = []
        with pytest.raises(ps.SafetyError, match="forbidden region 0"):
            for point in run:
                moved.append(point)
                run.tell(point, value=1.0, variance=0.1)
        assert all(p.x >= 0.5 for p in moved)
        assert run.status().n_pending == 0


def test_callback_errors_reach_the_operator(fake, honest, image, campaign):
    def broken(status, reason):
        raise RuntimeError("the vendor library failed")

    with fake.connect() as planner:
        run = start(planner, image, campaign, on_status=broken)
        run.ask()
        run.pause("now")
        with pytest.raises(RuntimeError, match="vendor"):
            run.ask()


def test_exist_ok_takes_the_campaign_up_again(server, image, campaign):
    with server.connect() as planner:
        run = start(planner, image, campaign)
        run.observe(0.5, 0.5, value=1.0, variance=0.1)
        with pytest.raises(ps.AlreadyExists):
            start(planner, image, campaign)
        again = start(planner, image, campaign, exist_ok=True)
        assert again.status().n_observations == 1 and len(again.status().frames) == 1


def test_a_client_with_its_own_name_gets_its_points_back(fake, honest, image, campaign):
    planner = fake.connect(client_id="titan-1")
    point = start(planner, image, campaign).ask()
    # The process dies: nothing is released.
    with fake.connect(client_id="titan-1") as again:
        run = again.resume(campaign)
        assert run.ask().name == point.name
        with fake.connect(client_id="titan-2") as other:
            assert other.resume(campaign).ask().name != point.name
    planner._runs.clear()
    planner.close()
