"""What the command line chose, shared by the process that watches and the one that measures."""

import argparse
from pathlib import Path

# Part -> module that measures it. Most important first; a run that is cut short keeps what it has.
PARTS = {
    "goldens": "goldens",
    "fcvg": "fcvg",
    "tooncrafter": "tooncrafter",
    "rerender": "rerender",
    "ebsynth": "ebsynth",
    "gmflow": "gmflow",
    "small_cards": "small_cards",
    "tooncrafter_large": "tooncrafter",
    "rerender_wide": "rerender",
    "fcvg_variants": "fcvg",
}
DYNAMIC_PARTS = ("fcvg", "tooncrafter", "rerender")  # once more through the host's dynamic memory


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.card", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".out/card"), help="folder of card.json and the profiles")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS, metavar="PART", help="%(choices)s")
    parser.add_argument("--dynamic-parts", nargs="*", default=list(DYNAMIC_PARTS), choices=PARTS, metavar="PART")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part begins later, and none goes on longer")
    parser.add_argument("--profile", action="store_true", help="also write PyTorch's table of where the time goes")
    parser.add_argument("--quick", action="store_true", help="fewer steps: to find faults, not to publish")
    parser.add_argument("--tiny", action="store_true", help="miniatures on the CPU: a check that the command runs")
    parser.add_argument("--measure", choices=("plain", "dynamic"), help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, default=float("inf"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)
