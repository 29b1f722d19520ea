"""All targets of the fuzzing, and the case that a number stands for."""

import os
import random
import signal
import time
from pathlib import Path

from . import farm_targets, launcher_targets, node_target, segment_targets, text_targets, weight_targets
from .target import Target

TARGETS: dict[str, Target] = (
    weight_targets.TARGETS
    | segment_targets.TARGETS
    | text_targets.TARGETS
    | launcher_targets.TARGETS
    | farm_targets.TARGETS
    | node_target.TARGETS
)


def _misbehave(path: Path) -> None:
    kind = path.read_bytes()
    if kind == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == b"hang":
        time.sleep(60)
    if kind == b"growth":
        bytearray(300 << 20)
    if kind == b"exception":
        raise KeyError(kind)


# For the runner's own test.
BROKEN = Target(lambda draws: draws.choice((b"crash", b"hang", b"growth", b"exception", b"passed")), _misbehave, "")


def target_named(name: str) -> Target:
    """The target of a name, "broken" among them."""
    return BROKEN if name == "broken" else TARGETS[name]


def case_of(name: str, seed: int, number: int) -> bytes:
    """Case ``number`` of a target, the same for the same seed in every process."""
    return target_named(name).make(random.Random(f"{name} {seed} {number}"))
