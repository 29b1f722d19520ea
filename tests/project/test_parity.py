"""Every golden file stored with the tests, run as ``python -m tests.parity`` runs it."""

import pytest

from support.golden import STORED
from tests.parity import tooncrafter
from tests.parity.__main__ import cases, run


def stored_cases():
    folders = sorted(folder for folder in STORED.iterdir() if folder.is_dir())
    return [pytest.param(case, id=f"{case.component}/{case.name}") for folder in folders for case in cases(folder)]


@pytest.mark.parametrize("case", stored_cases())
def test_golden(case):
    failed = [f"{check.name}: {check.error:.3g} > {check.tolerance:.3g}" for check in run(case) if not check.ok]
    assert failed == []
    if case.component == "tooncrafter":  # everything it holds is compared, or it is said why not
        assert set(case.tensors) - case.read <= set(tooncrafter.NOT_PUT_OUT)
