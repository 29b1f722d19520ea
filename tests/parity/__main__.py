"""``python -m tests.parity DIR...``: run every case of golden folders and print one line per case.

A folder's name is the component; the beginning of a file's name selects how it is run. Exit status 1 when a case
fails or cannot be run.
"""

import importlib
import sys
import traceback
from pathlib import Path

import torch

from support.golden import Case, Check


def cases(folder: Path) -> list[Case]:
    """The golden files of a folder; auxiliary tensors that another case names are not cases of their own."""
    component = importlib.import_module(f"tests.parity.{folder.name}")
    auxiliary = getattr(component, "AUXILIARY", ())
    return [
        Case(path)
        for path in sorted(folder.resolve().iterdir())
        if path.name.endswith((".safetensors", *getattr(component, "OTHER_CASES", ())))
        and not path.name.startswith(tuple(auxiliary))
    ]


def run(case: Case) -> list[Check]:
    """The comparisons of one case, made by the longest matching prefix in the component's ``KINDS``."""
    kinds = importlib.import_module(f"tests.parity.{case.component}").KINDS
    prefixes = [prefix for prefix in kinds if case.name.startswith(prefix)]
    if not prefixes:
        raise LookupError(f"no way to run '{case.name}': known kinds are {', '.join(kinds)}")
    with torch.inference_mode():
        checks = kinds[max(prefixes, key=len)](case)
    if not checks:
        raise LookupError("nothing was compared")
    return checks


def report(case: Case) -> bool:
    """Run a case and print its line; True when every comparison is within tolerance."""
    try:
        checks = run(case)
    except Exception as error:
        traceback.print_exc()
        print(f"{case.component}/{case.name}: {type(error).__name__}: {error} FAIL")
        return False
    worst = max(checks, key=lambda check: check.error / check.tolerance if check.tolerance else check.error * 1e30)
    ok = all(check.ok for check in checks)
    print(
        f"{case.component}/{case.name}: {len(checks)} compared, worst {worst.name}: max abs error "
        f"{worst.error:.3g}, tolerance {worst.tolerance:.3g} {'ok' if ok else 'FAIL'}",
        flush=True,
    )
    for check in checks if not ok else ():
        print(f"    {check.name}: {check.error:.3g} / {check.tolerance:.3g}{'' if check.ok else '  <--'}")
    return ok


def main(folders: list[str]) -> int:
    if not folders:
        print(__doc__)
        return 2
    torch.set_num_threads(1)
    results = [report(case) for folder in folders for case in cases(Path(folder).resolve())]
    print(f"{sum(results)} of {len(results)} cases ok")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
