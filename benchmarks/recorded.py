"""The recorded experiments of the benchmark: where each lies, what its target is, and how the planner sees it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import median_filter

from probescout.core.errors import InvalidInput, Reason
from probescout.replay.case import Case, recorded_case
from probescout.replay.convert import convert
from probescout.replay.recording import Recording
from probescout.suites.sources import content_of

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out" / "benchmarks"
"""Everything that can be made again."""
DATA = Path(os.environ.get("PROBESCOUT_DATA", ROOT.parent / "shared" / "data"))

SIO2 = "eds_sio2_haadf/SiO2_EDS_SI.hspy"
P45 = "eds_sem_p45/P45_the_default_job.bcf"
PTO = "pfm_beps_pto/BEPS_PTO_50x50.h5"
BFO = "cafm_iv_bfo/bfo_iv_final.hf5"
KPFM = "kpfm_grid_nanonis/Bias_spectroscopy.3ds"
BEPFM = "ckpfm_gpim/bepfm_test_data.npy"


@dataclass(frozen=True)
class Recorded:
    """A recorded experiment with one target."""

    what: str
    file: str
    """In the folder of recorded data."""
    scalarizer: str = ""
    """Empty: the target is a ready map that `derive` makes."""
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `convert`; an `image` lies in the same folder."""
    derive: Callable[[Recording], np.ndarray] | None = None
    """Makes the target (y, x) from the recording."""
    is_image_log: bool = False
    """Whether the planner is shown the decimal logarithm of the image."""

    def case(self, name: str) -> Case:
        """Return the case.

        Raises:
            InvalidInput: FILE_UNREADABLE when the recorded data are not there.
            MissingExtra: When the package that reads the file is not installed.
        """
        recording = self._recording().loaded()
        if self.is_image_log:
            recording = replace(recording, image=np.log10(recording.image), image_name=f"log10 {recording.image_name}")
        if self.derive is not None:
            ready = {name: self.derive(recording)}
            recording = replace(recording, spectrum=None, spectrum_dims=(), axes=(), targets=ready)
            return recorded_case(recording, target=name, name=name)
        return recorded_case(recording, scalarizer=self.scalarizer, params=self.params, name=name)

    @property
    def problem(self) -> str:
        """Why it cannot be used; empty when its file is there."""
        path = DATA / self.file
        if path.is_file():
            return ""
        return f"{path} does not exist; set PROBESCOUT_DATA to the folder of recorded data, or choose simulated cases"

    def files(self) -> list[Path]:
        """Return the recorded files that it is made of, those that are there."""
        image = str(self.options.get("image", "")).partition(":")[0]
        return [path for path in (DATA / self.file, DATA / image) if path.is_file()]

    def _digest(self, options: Mapping[str, Any]) -> str:
        """Return what changes with the recorded files, the options, and the code that converts them."""
        readers = sorted((ROOT / "src" / "probescout" / "replay").rglob("*.py"))
        parts = [json.dumps(options, sort_keys=True), *(content_of(path) for path in self.files())]
        found = hashlib.sha256("\0".join(parts).encode())
        for path in readers:
            found.update(path.read_bytes())
        return found.hexdigest()[:12]

    def _recording(self) -> Recording:
        """Return the converted file, made on first use."""
        path = DATA / self.file
        if self.problem:
            raise InvalidInput(Reason.FILE_UNREADABLE, self.problem, field="PROBESCOUT_DATA")
        options = dict(self.options)
        if "image" in options:
            options["image"] = str(DATA / options["image"])
        made = OUT / "cases" / f"{path.stem}-{self._digest(options)}.nc"
        made.parent.mkdir(parents=True, exist_ok=True)
        with made.with_suffix(".lock").open("w", encoding="ascii") as lock:
            # Runs go on side by side, and several may want the same file first.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                convert(path, made, **options)
        return Recording.load(made)


def coercive_voltage(recording: Recording) -> np.ndarray:
    """Return the bias (y, x) at which the rising branch passes the middle of the loop's range; NaN where it does not.

    Spikes in single samples are removed by a running median over five.
    """
    assert recording.spectrum is not None
    loops = median_filter(np.asarray(recording.spectrum[...], dtype=np.float64), size=(1, 1, 5), mode="wrap")
    middle = 0.5 * (loops.max(axis=-1) + loops.min(axis=-1))
    # The sweep is 0, up, down, and up again to just below 0: the rising branch begins in its last quarter.
    order = np.r_[48:64, 0:17]
    rising, bias = loops[..., order] - middle[..., None], recording.axes[0].values[order]
    crosses = (rising[..., :-1] < 0.0) & (rising[..., 1:] >= 0.0)
    at = np.argmax(crosses, axis=-1)
    below, above = (np.take_along_axis(rising, i[..., None], axis=-1)[..., 0] for i in (at, at + 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        voltage = bias[at] - below / (above - below) * (bias[at + 1] - bias[at])
    return np.where(crosses.any(axis=-1), voltage, np.nan)


def slope(recording: Recording) -> np.ndarray:
    """Return the slope (y, x) of the signal over its axis, by least squares; NaN where a tenth of it is exactly zero.

    There the tip had no contact: one such pixel would be most of the variance of the map.
    """
    assert recording.spectrum is not None
    values = np.asarray(recording.spectrum[...], dtype=np.float64)
    x = recording.axes[0].values
    line = np.polynomial.polynomial.polyfit(x, values.reshape(-1, x.size).T, 1)
    return np.where((values == 0.0).mean(axis=-1) < 0.1, line[1].reshape(values.shape[:2]), np.nan)


def _p45(element: str, low: float, high: float) -> Recorded:
    return Recorded(f"SEM-EDS {element} counts", P45, "band_sum", {"low": low, "high": high}, {"image": f"{P45}:BSE"})


def _sio2(what: str, scalarizer: str, params: Mapping[str, Any]) -> Recorded:
    return Recorded(f"STEM-EDS {what}", SIO2, scalarizer, params, {"image": "eds_sio2_haadf/SiO2_HAADF.hspy"})


_STD = {"image_from": "std"}
_FIRST = {"image_from": "channel:0"}
_KPFM = {"signal": "Frequency Shift", "image": f"{KPFM}:Scan:Frequency Shift (map)"}

RECORDED: dict[str, Recorded] = {
    "sio2_si": _sio2("Si counts", "band_sum", {"low": 1.65, "high": 1.83}),
    "sio2_o": _sio2("O counts", "band_sum", {"low": 0.45, "high": 0.60}),
    "sio2_ratio": _sio2("Si/O ratio", "peak_ratio", {"a": [1.65, 1.83], "b": [0.45, 0.60]}),
    "p45_fe": _p45("Fe", 6.25, 6.55),
    "p45_si": _p45("Si", 1.65, 1.83),
    "p45_al": _p45("Al", 1.40, 1.58),
    "pto_area": Recorded("PFM log10 loop area", PTO, "loop_area", {"log10": True}, _STD, is_image_log=True),
    "pto_coercive": Recorded("PFM coercive voltage", PTO, options=_STD, derive=coercive_voltage, is_image_log=True),
    "bfo_current": Recorded("c-AFM log J at the highest field", BFO, "value_at", {}, _FIRST),
    "bfo_slope": Recorded("c-AFM slope of log J", BFO, options=_FIRST, derive=slope),
    "kpfm_potential": Recorded("KPFM contact potential", KPFM, "peak_position", {"method": "parabola"}, _KPFM),
    "bepfm_resonance": Recorded(
        "BE-PFM position of the resonance", BEPFM, "peak_position", {"method": "parabola", "half_width": 3}, _STD
    ),
}
"""Cases by name. The images of PTO, BFO and BE-PFM are made of the same spectra: no other was recorded."""
