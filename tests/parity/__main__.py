"""``python -m tests.parity DIR...``: run every case of golden folders and print one line per case.

A folder's name is the component; the beginning of a file's name selects how it is run. Exit status 1 when a case
fails or cannot be run.
"""

import importlib
import subprocess
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

import torch

from support.golden import Case, Check, without_tf32

INSTALLABLE = ("onnx",)  # what cases need beyond the pack's own requirements, module and package


def install(package: str) -> None:
    """Add a package to this environment, which is one for tests; the pack itself installs nothing at run time.

    Raises:
        subprocess.CalledProcessError: pip could not.
    """
    print(f"installing {package}", flush=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True, stdout=sys.stderr)
    importlib.invalidate_caches()


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


def kind_of(name: str, kinds: Iterable[str]) -> str:
    """The longest kind that a case's name begins with, or goes on with after variants in front of it
    (``dc1024_scale0.3_ddim_...`` is a ``ddim_``).

    Raises:
        LookupError: there is none.
    """
    parts = name.split("_")
    for variants in range(len(parts)):
        rest = "_".join(parts[variants:])
        found = [kind for kind in kinds if rest.startswith(kind)]
        if found:
            return max(found, key=len)
    raise LookupError(f"no way to run '{name}': known kinds are {', '.join(kinds)}")


def run(case: Case) -> list[Check]:
    """The comparisons of one case, made by its kind."""
    kinds = importlib.import_module(f"tests.parity.{case.component}").KINDS
    with torch.inference_mode(), without_tf32():
        checks = kinds[kind_of(case.name, kinds)](case)
    if not checks:
        raise LookupError("nothing was compared")
    return checks


def report(case: Case) -> bool:
    """Run a case and print its line; True when every comparison is within tolerance."""
    try:
        try:
            checks = run(case)
        except ModuleNotFoundError as error:
            if error.name not in INSTALLABLE:
                raise
            install(error.name)
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
