"""The checks of `probescout doctor` that look at what is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from probescout.cli.checkup import Check, Verdict

DISTRIBUTION = "probescout"
USER_EXTRAS = ("readers", "hyperspy", "bluesky", "prefect", "dask", "theory", "lammps", "chgnet", "dashboard")
"""Extras that a person may miss; `dev` is for working on Probescout itself."""


def check_packages() -> Iterator[Check]:
    """Yield a check for each required package that is missing or too old, then one with the versions in use."""
    found, wrong = [], []
    for name, spec, state in _requirements(""):
        version = _version(name)
        if not state:
            found.append(f"{name} {version}")
        else:
            wrong.append(Check("package", Verdict.FAIL, f"{name} {state}", f"run: pip install '{spec}'"))
    yield from wrong
    if not wrong:
        yield Check("packages", Verdict.OK, ", ".join(found))


def check_extras() -> Iterator[Check]:
    """Yield a check for each optional extra."""
    for extra in USER_EXTRAS:
        rows = list(_requirements(extra))
        lacking = [f"{name} {state}" for name, _, state in rows if state]
        if lacking:
            advice = f"if you need it, run: pip install '{DISTRIBUTION}[{extra}]'"
            yield Check(f"extra {extra}", Verdict.WARN, f"not complete: {', '.join(lacking)}", advice)
        else:
            yield Check(f"extra {extra}", Verdict.OK, ", ".join(f"{name} {_version(name)}" for name, _, _ in rows))


def check_plugins() -> Iterator[Check]:
    """Yield a check for each plug-in that cannot be loaded, then one with their number."""
    from probescout.runtime.plugins import describe

    rows = describe()
    for row in rows:
        if row["load_error"]:
            advice = f"reinstall or remove {row['distribution']}"
            yield Check("plug-in", Verdict.FAIL, f"{row['name']}: {row['load_error']}", advice)
    loaded = [row["group"].rpartition(".")[2] for row in rows if not row["load_error"]]
    counts = ", ".join(f"{loaded.count(group)} {group}" for group in dict.fromkeys(loaded))
    if {"scalarizers", "planners"} <= set(loaded):
        yield Check("plug-ins", Verdict.OK, f"{counts} load")
    else:
        advice = f"reinstall {DISTRIBUTION}: its entry points are missing"
        yield Check("plug-ins", Verdict.FAIL, f"{counts or 'none'} found", advice)


def check_client() -> Check:
    """Check that client, stubs and protobuf fit together."""
    import google.protobuf
    import probescout_client
    from probescout_client.wire.v1 import probescout_pb2 as pb

    head = Path(str(pb.__file__)).read_text(encoding="utf-8")[:1000]
    made = re.search(r"Protobuf Python Version: (\S+)", head)
    sent = pb.StateVersion(event_seq=7, event_hash="a")
    what = (
        f"probescout-client {probescout_client.__version__}, stubs of protobuf {made[1] if made else 'unknown'} on "
        f"protobuf {google.protobuf.__version__}"
    )
    if pb.StateVersion.FromString(sent.SerializeToString()) != sent:
        return Check("client", Verdict.FAIL, f"{what}: a message did not survive", "run: pip install -U protobuf")
    if probescout_client.__version__ != _version(DISTRIBUTION):
        advice = f"run: pip install 'probescout-client=={_version(DISTRIBUTION)}'"
        return Check("client", Verdict.WARN, f"{what}, beside {DISTRIBUTION} {_version(DISTRIBUTION)}", advice)
    return Check("client", Verdict.OK, what)


def _requirements(extra: str) -> Iterator[tuple[str, str, str]]:
    """Yield (name, requirement, what is wrong) of the packages that an extra needs; "" for those always needed."""
    from packaging.requirements import Requirement

    for text in metadata.requires(DISTRIBUTION) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        is_wanted = marker is None or marker.evaluate({"extra": ""})
        if extra:
            is_wanted = not is_wanted and marker is not None and marker.evaluate({"extra": extra})
        if not is_wanted:
            continue
        version = _version(requirement.name)
        spec = f"{requirement.name}{requirement.specifier}"
        if not version:
            yield requirement.name, spec, "is not installed"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield requirement.name, spec, f"is {version}, needed: {requirement.specifier}"
        else:
            yield requirement.name, spec, ""


def _version(name: str) -> str:
    """Return the installed version of a distribution; empty when there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
