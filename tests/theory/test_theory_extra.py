"""Without the extra: modules import, and what needs a package names the install line."""

import subprocess
import sys

import pytest
from probescout_theory.extras import load

from probescout.core.errors import MissingExtra, Reason


def test_a_missing_package_names_the_install_line() -> None:
    with pytest.raises(MissingExtra, match=r'pip install "probescout\[theory\]"') as caught:
        load("no_such_package.of_ours")
    assert caught.value.reason == Reason.MISSING_EXTRA
    assert "no_such_package," in caught.value.message


def test_modules_load_none_of_the_extra_and_no_torch() -> None:
    code = (
        "import sys, probescout_theory.patch_to_structure, probescout_theory.keys\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'skimage', 'ase', 'pymatgen', 'torch'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
