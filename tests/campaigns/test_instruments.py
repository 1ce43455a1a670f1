"""The instruments that a campaign file can name: the recorded and the simulated microscope, by entry point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from probescout.campaigns.instruments import open_instrument
from probescout.campaigns.spec import CampaignFile
from probescout.core.errors import InvalidInput
from probescout.core.registry import INSTRUMENTS, installed
from probescout.replay.recording import Recording

Read = Callable[..., CampaignFile]


def test_both_are_installed_and_describe_their_parameters() -> None:
    found = {info.name: info.load() for info in installed(INSTRUMENTS)}
    assert {"recorded", "twin"} <= set(found)
    for cls in found.values():
        assert cls.summary and cls.params_schema["additionalProperties"] is False
        assert all(entry["description"] for entry in cls.params_schema["properties"].values())


def test_a_region_lays_its_parameters_over_those_of_the_instrument(read: Read) -> None:
    file = read()
    left, right = (open_instrument(file, file.all_instruments[0], region) for region in file.regions)
    assert left.overview().image.shape == right.overview().image.shape == (16, 16)
    assert not np.array_equal(left.overview().image, right.overview().image)


def test_a_recording_is_found_beside_the_file(read: Read, tmp_path: Path) -> None:
    image = np.arange(16.0).reshape(4, 4)
    recording = Recording(image=image, spectrum=np.tile(image[..., None], 3), spectrum_dims=("channel",))
    recording.save(tmp_path / "case.nc")
    old = 'kind = "twin"\nparams = { scene = "plasmonic", size = 16 }'
    file = read((old, 'kind = "recorded"\nparams = { file = "case.nc" }'), ("params = { scene_seed = 1 }", ""))
    instrument = open_instrument(file, file.all_instruments[0], file.regions[0])
    assert instrument.measure(0.4, 0.9).spectrum is not None
    np.testing.assert_array_equal(instrument.measure(0.4, 0.9).spectrum.values, [7.0, 7.0, 7.0])
    (tmp_path / "case.nc").write_bytes(b"no longer")
    with pytest.raises(InvalidInput) as refused:
        open_instrument(file, file.all_instruments[0], file.regions[0])
    assert refused.value.field.startswith("instrument")
