"""A bounded share of the fuzzing: what is kept, and new cases of every target for a fixed time together."""

import sys
from collections import Counter

import pytest

from .runner import CASES, run
from .targets import TARGETS, case_of

ALL_SECONDS = 40.0
FEWEST = 20  # new cases of each target, even on a busy machine
SEED = 5  # of the broken target: every kind within eight cases

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and peaks are those of Linux")


def test_kept_and_new_cases():
    results = run(list(TARGETS), ALL_SECONDS, fewest=FEWEST)
    findings = [str(finding) for result in results.values() for finding in result.findings]
    assert not findings, "\n".join(findings)
    for name, result in results.items():
        assert result.cases >= FEWEST + len(list((CASES / name).glob("*"))), name


def test_the_runner_notices_what_goes_wrong():
    kinds = [case_of("broken", SEED, number).decode() for number in range(8)]
    assert len(set(kinds)) == 5
    result = run(["broken"], 600.0, SEED, most=8, patience=3.0)["broken"]
    assert result.outcomes == Counter(kinds)
    assert [(finding.case, finding.kind) for finding in result.findings] == [
        (number, kind) for number, kind in enumerate(kinds) if kind != "passed"
    ]
