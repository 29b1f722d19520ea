"""``python -m tests.parity DIR... [--device cuda]``: run every case of golden folders and print one line per case.

A folder's name is the component; the beginning of a file's name selects how it is run. Exit status 1 when a case
fails or cannot be run. On another device than the processor everything is computed in float32 without TF32, and
the tolerances are the same but for :data:`ALLOWANCE`.
"""

import argparse
import contextlib
import dataclasses
import importlib
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from support.bootstrap import use_host
from support.golden import Case, Check, without_tf32

INSTALLABLE = ("onnx",)  # what cases need beyond the pack's own requirements, module and package
# Beginnings of the names of cases that other devices miss, by up to 3.1 times. Group normalisation made on a processor
# of what its convolutions leave with channels last, as in the goldens, is ten times farther off than with channels
# first, as on devices: shown for ControlNeXt, supposed for GI.
ALLOWANCE = {"fcvg/controlnext": 4.0, "fcvg/gi_attnflip": 4.0}


def install(package: str) -> None:
    """Add a package to this environment, which is one for tests; the pack itself installs nothing at run time.

    Raises:
        subprocess.CalledProcessError: pip could not.
    """
    print(f"installing {package}", flush=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True, stdout=sys.stderr)
    importlib.invalidate_caches()


def cases(folder: Path, device: str = "cpu") -> list[Case]:
    """The golden files of a folder, to be computed on a device; auxiliary tensors that another case names are not
    cases of their own."""
    component = importlib.import_module(f"tests.parity.{folder.name}")
    auxiliary, hosted = getattr(component, "AUXILIARY", ()), getattr(component, "HOSTED", ())
    return [
        Case(path, device, device != "cpu" and _is_of(path.stem, component.KINDS, hosted))
        for path in sorted(folder.resolve().iterdir())
        if path.name.endswith((".safetensors", *getattr(component, "OTHER_CASES", ())))
        and not path.name.startswith(tuple(auxiliary))
    ]


def _is_of(name: str, kinds: Iterable[str], chosen: Iterable[str]) -> bool:
    try:
        return kind_of(name, kinds) in chosen
    except LookupError:  # reported when it is run
        return False


@contextlib.contextmanager
def in_float32(device: str) -> Iterator[None]:
    """As the goldens are: on a device the host would choose half precision, and leave text encoders out of it."""
    if torch.device(device).type == "cpu":
        yield
        return
    import comfy.model_management as management

    single = ("fp32_unet", "fp32_vae", "fp32_text_enc")
    before = [getattr(management.args, name) for name in single], management.FORCE_FP32, management.text_encoder_device
    try:
        for name in single:
            setattr(management.args, name, True)
        management.FORCE_FP32, management.text_encoder_device = True, management.get_torch_device
        yield
    finally:
        for name, value in zip(single, before[0], strict=True):
            setattr(management.args, name, value)
        management.FORCE_FP32, management.text_encoder_device = before[1:]
        management.unload_all_models()


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
    with torch.inference_mode(), without_tf32(), in_float32(case.device):
        checks = kinds[kind_of(case.name, kinds)](case)
    if not checks:
        raise LookupError("nothing was compared")
    name, on_processor = f"{case.component}/{case.name}", torch.device(case.device).type == "cpu"
    allowed = next((times for beginning, times in ALLOWANCE.items() if name.startswith(beginning)), 1.0)
    if on_processor or allowed == 1:
        return checks
    return [dataclasses.replace(check, tolerance=allowed * check.tolerance) for check in checks]


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


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="DIR")
    parser.add_argument("--device", default="cpu", help="e.g. cuda; needs what ComfyUI needs there")
    chosen = parser.parse_args(arguments)
    if not chosen.folders:
        print(__doc__)
        return 2
    torch.set_num_threads(1)
    if chosen.device != "cpu":
        use_host(cpu=chosen.device.startswith("cuda") and not torch.cuda.is_available())
        import comfy.model_management as management

        host_device = management.get_torch_device()
        if torch.device(chosen.device).type != host_device.type:
            print(f"ComfyUI computes on '{host_device}' here, not on '{chosen.device}'.")
            return 2
        chosen.device = str(host_device)
    results = [report(case) for folder in chosen.folders for case in cases(Path(folder).resolve(), chosen.device)]
    print(f"{sum(results)} of {len(results)} cases ok")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
