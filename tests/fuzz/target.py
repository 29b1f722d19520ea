"""What a target of the fuzzing is."""

import importlib
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        make: random draws -> the case, the same for the same draws. Runs in the parent process too, so it must not
            use what is tested.
        use: gives the case, as a file, to what is tested; returns or raises the pack's error when all is well.
        suffix: of the case's file name.
        modules: imported before the first case, which would else take their time and memory.
        begin: called once with an empty folder, before the first case.
    """

    make: Callable[[random.Random], bytes]
    use: Callable[[Path], None]
    suffix: str
    modules: tuple[str, ...] = ()
    begin: Callable[[Path], None] | None = None

    def prepare(self, folder: Path) -> None:
        """Import and set up what the cases need; ``folder`` is empty and the target's own."""
        for module in self.modules:
            importlib.import_module(module)
        if self.begin is not None:
            self.begin(folder)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
