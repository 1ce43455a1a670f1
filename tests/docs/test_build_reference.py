"""The reference generator leaves nothing of the contract or of a schema out."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from probescout_client.wire.v1 import probescout_pb2

from probescout.core.registry import PLANNERS, SCALARIZERS, THEORY, installed

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "build_reference.py"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_reference", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_contract_page_has_all_that_the_descriptor_has(build: ModuleType) -> None:
    page = build.contract_page()
    sections = {
        title.split()[1]: body for title, body in re.findall(r"^## (\w+ \w+)\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    }
    descriptor = probescout_pb2.DESCRIPTOR
    for name, message in descriptor.message_types_by_name.items():
        rows = set(re.findall(r"^\| `.*?(\w+) = \d+` \|", sections[name], re.M))
        assert rows == {field.name for field in message.fields}, name
    for name, enum in descriptor.enum_types_by_name.items():
        rows = set(re.findall(r"^\| `(\w+) = \d+` \|", sections[name], re.M))
        assert rows == {value.name for value in enum.values}, name
    for name, service in descriptor.services_by_name.items():
        rows = set(re.findall(r"^\| `rpc (\w+)\(", sections[name], re.M))
        assert rows == {method.name for method in service.methods}, name
    assert set(sections) == {
        *descriptor.message_types_by_name,
        *descriptor.enum_types_by_name,
        *descriptor.services_by_name,
    }


@pytest.mark.parametrize(
    ("group", "title"), [(SCALARIZERS, "Scalarizers"), (PLANNERS, "Planners"), (THEORY, "Theory engines")]
)
def test_plugin_pages_name_every_parameter(build: ModuleType, group: str, title: str) -> None:
    page = build.plugin_page(group, title)
    for info in installed(group):
        if info.distribution != "probescout":
            continue
        section = re.search(rf"^## {info.name}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
        assert section, info.name
        for name in info.load().params_schema["properties"]:
            assert f"| `{name}` |" in section[1], (info.name, name)
        for name, unit in getattr(info.load(), "quantities", {}).items():
            assert f"| `{name}` | {unit} |" in section[1], (info.name, name)


def test_the_engines_are_in_the_reference(build: ModuleType) -> None:
    assert "| `formation_energy` | eV |" in build.pages()["theory-engines.md"]


def test_check_finds_a_stale_page(build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PAGES", tmp_path / "reference")
    assert build.main(["--check"]) == 1
    assert build.main([]) == 0
    assert build.main(["--check"]) == 0
    (tmp_path / "reference" / "planners.md").write_text("old", encoding="utf-8")
    assert build.main(["--check"]) == 1
