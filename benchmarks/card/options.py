"""What the command line chose, shared by the process that watches and the one that measures."""

import argparse
from pathlib import Path
from typing import NamedTuple


class Part(NamedTuple):
    """What is measured in one go.

    Attributes:
        module: of this package, whose RUN has it.
        seconds: expected on a card of an H200's speed: reckoned from stored rows and what loading takes, never more
            than about right. A part that is not expected to fit into what is left is left out.
        tiny: the same of the miniature on one thread of a processor.
    """

    module: str
    seconds: float
    tiny: float

    def expected(self, tiny: bool) -> float:
        return self.tiny if tiny else self.seconds


# Most important first; a run that is cut short keeps what it has.
PARTS = {
    "goldens": Part("goldens", 60, 10),
    "fcvg": Part("fcvg", 60, 10),
    "tooncrafter": Part("tooncrafter", 30, 30),
    "rerender": Part("rerender", 25, 20),
    "ebsynth": Part("ebsynth", 90, 5),
    "gmflow": Part("gmflow", 10, 5),
    "small_cards": Part("small_cards", 60, 1),
    "tooncrafter_large": Part("tooncrafter", 60, 30),
    "rerender_wide": Part("rerender", 25, 30),
    "fcvg_variants": Part("fcvg", 45, 20),
    "parity": Part("goldens", 90, 10),
}
DYNAMIC_PARTS = ("fcvg", "tooncrafter", "rerender")  # once more through the host's dynamic memory
# Behind those, as the time allows. The others are expected to take seven minutes together.
LAST = ("tooncrafter_large", "rerender_wide", "fcvg_variants", "parity")


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.card", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".out/card"), help="folder of card.json and the profiles")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS, metavar="PART", help="%(choices)s")
    parser.add_argument("--dynamic-parts", nargs="*", default=list(DYNAMIC_PARTS), choices=PARTS, metavar="PART")
    parser.add_argument("--minutes", type=float, default=8.0, help="left out: parts that may take longer")
    parser.add_argument("--profile", action="store_true", help="also write PyTorch's table of where the time goes")
    parser.add_argument("--quick", action="store_true", help="fewer steps: to find faults, not to publish")
    parser.add_argument("--tiny", action="store_true", help="miniatures on the CPU: a check that the command runs")
    parser.add_argument("--measure", choices=("plain", "dynamic"), help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, default=float("inf"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)
