"""The whole client side of a campaign: connect, send the image, measure where the planner says.

Start a server first, then run this with the address and the token file that it prints:

    probescout serve --listen 127.0.0.1:50051 --data data
    python examples/twelve_lines.py 127.0.0.1:50051 data/token

`twin` stands for the microscope; at a real one, `acquire` moves the probe and reads the spectrometer.
"""

import sys

import probescout_client as ps

from probescout.replay.twin import make_twin

twin = make_twin("plasmonic", seed=0)
target, token_file = sys.argv[1:3]
n_points = int(sys.argv[3]) if len(sys.argv) > 3 else 60


def acquire(y, x):
    """Return the counts (channel,) and the energies (channel,), in eV, at a fractional position."""
    spectrum = twin.measure(y, x).spectrum
    return spectrum.values, spectrum.only_axis().values


with ps.connect(target, token_file=token_file) as planner:
    run = planner.start(
        twin.overview().image, pixel_size=(3, "nm"), sample="twin", scalarizer="band_sum",
        params={"low": 0.6, "high": 0.8}, budget=n_points,
    )  # fmt: skip
    print("watch:", run.url)
    for point in run:  # waits while paused; ends on stop, abort or budget
        spectrum, energy = acquire(point.y, point.x)
        told = run.tell(point, spectrum, axis=(energy, "eV"), counts=True)
        print(f"({point.y:.3f}, {point.x:.3f}) from {point.source}: predicted {point.mean:.4g} +- {point.std:.2g}")
    best = run.status().best
    print(f"{run.stop_report.cause}; best {best.target:.4g} at ({best.measured_at.y:.3f}, {best.measured_at.x:.3f})")
