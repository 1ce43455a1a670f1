"""The recorded microscope keeps the promises of every instrument."""

from __future__ import annotations

import numpy as np

from probescout.core.ports import FloatArray, Microscope
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.microscope import RecordedMicroscope
from probescout.replay.recording import Recording
from probescout.testing.microscope import MicroscopeConformance


def recording(image: FloatArray) -> Recording:
    """Return a recording whose three-channel signal is in proportion 1 : 2 : 1 to its image (y, x)."""
    return Recording(
        image=image,
        spectrum=np.stack([image, 2 * image, image], axis=-1),
        spectrum_dims=("channel",),
        axes=(Axis("channel", np.arange(3.0), "energy", "eV"),),
        spectrum_unit="counts",
        spectrum_kind=ValueKind.CONTINUOUS,
    )


class TestRecordedMicroscope(MicroscopeConformance):
    def make(self) -> Microscope:
        image = np.random.default_rng(4).uniform(100, 1000, size=(16, 22))
        return RecordedMicroscope(recording(image), dwell_s=0.1)

    def make_painted(self, image: FloatArray) -> Microscope:
        return RecordedMicroscope(recording(image), dwell_s=0.1)
