"""The process that measures: one part after the other."""

import importlib
import sys
import time
import traceback

import comfy.model_management as management
import torch

from benchmarks import common
from benchmarks.card.measuring import Card, repeated
from benchmarks.card.options import PARTS
from benchmarks.card.results import LEFT_OUT, Results
from benchmarks.memory import GIBIBYTE

FATAL = ("CUDA error", "device-side assert", "CUBLAS_STATUS", "CUDNN_STATUS_EXECUTION")  # nothing runs after these


def work(chosen, results: Results) -> None:
    if chosen.measure == "dynamic":
        _use_dynamic_memory()
    if chosen.tiny:
        torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = False  # PyTorch's default; convolutions keep theirs, TF32 in float32
    if not results.content["tables"]:
        _describe(results, chosen.tiny)
    profiles = chosen.out / "profiles.txt" if chosen.profile else None
    card = Card(results, chosen.measure, chosen.tiny, chosen.quick, chosen.until, profiles)
    for part in chosen.parts:
        card.part, expected = part, PARTS[part].expected(chosen.tiny)
        said = f"about {expected:.0f} s expected, {card.seconds_left:.0f} s left"
        print(f"[{part}, {card.memory}] {said}", flush=True)
        if expected > card.seconds_left:
            results.state(part, card.memory, f"{LEFT_OUT}: {said}")
            continue
        results.state(part, card.memory, "begun")
        start = time.monotonic()
        try:
            with torch.inference_mode():
                importlib.import_module(f"benchmarks.card.{PARTS[part].module}").RUN[part](card)
            results.state(part, card.memory, "done", time.monotonic() - start)
        except Exception as error:
            traceback.print_exc()
            results.state(part, card.memory, f"{type(error).__name__}: {error}"[:2000])
            if any(sign in str(error) for sign in FATAL):
                sys.exit(3)
        print(f"[{part}, {card.memory}] {time.monotonic() - start:.1f} s in all", flush=True)
        management.unload_all_models()
        management.soft_empty_cache()


def _use_dynamic_memory() -> None:
    """As the host's main program does where it finds an NVIDIA card: weights are paged in as layers are called."""
    import comfy.memory_management
    import comfy.model_patcher
    import comfy_aimdo.control

    if not comfy_aimdo.control.init_devices((device.index, 0) for device in management.get_all_torch_devices()):
        raise RuntimeError("comfy-aimdo does not work on this machine")
    comfy_aimdo.control.set_log_error()
    comfy.model_patcher.CoreModelPatcher = comfy.model_patcher.ModelPatcherDynamic
    comfy.memory_management.aimdo_enabled = True


def _describe(results: Results, tiny: bool) -> None:
    """The machine, and what its card gives a large matrix product and a copy."""
    described = common.machine()
    if torch.cuda.is_available():
        described |= {"card_gib": round(torch.cuda.get_device_properties(0).total_memory / GIBIBYTE, 1)}
        described |= {"cuda": torch.version.cuda}
    if torch.cuda.is_available() and not tiny:
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.float16) for _ in range(2))
        described["matrix_tflops"] = round(2 * 8192**3 / repeated(lambda: a @ b, 10) / 1e12)
        there, here = (torch.empty(2**29, device="cuda") for _ in range(2))
        described["copy_tb_per_s"] = round(2 * here.nbytes / repeated(lambda: there.copy_(here), 5) / 1e12, 2)
    command = " ".join(["python -m benchmarks.card", *(word for word in ("--tiny",) if tiny)])
    results.describe(command, described, common.versions())
