"""Which build of PyTorch fits this machine, and the two repairs the light CPU build needs."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# PyTorch's own wheel index is the only place that has its CPU builds for Linux and its CUDA builds for Windows.
WHEEL_INDEX = os.environ.get("BETWIXT_TORCH_INDEX", "https://download.pytorch.org/whl").rstrip("/")
CPU = {"torch": "2.13.0", "torchvision": "0.28.0", "torchaudio": "2.11.0"}
CUDA = {"torch": "2.14.1", "torchvision": "0.29.1", "torchaudio": "2.11.0"}
REPAIR_NOTE = "# ComfyUI-Betwixt, light CPU host"
REPAIR = f"""

{REPAIR_NOTE}: the compiled operators are absent, so declare the two schemas whose fakes
# torchvision registers unconditionally.
if not _has_ops():
    _betwixt_library = torch.library.Library("torchvision", "FRAGMENT")
    _betwixt_library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _betwixt_library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


@dataclass(frozen=True)
class TorchBuild:
    """One way to get torch, torchvision and torchaudio.

    Attributes:
        title: for people.
        torch: requirement of torch; companions: those of the other two, installed without their dependencies.
        index: extra arguments for pip that say where from.
        gigabytes: space needed while installing, with everything else the host wants.
    """

    title: str
    torch: str
    companions: tuple[str, str]
    index: tuple[str, ...] = ()
    gigabytes: float = 3.5


def _build(title: str, versions: dict, local: str, companion_local: str, **more) -> TorchBuild:
    torchvision, torchaudio = (f"{name}=={versions[name]}{companion_local}" for name in ("torchvision", "torchaudio"))
    companions = torchvision, torchaudio
    return TorchBuild(title, f"torch=={versions['torch']}{local}", companions, **more)


def builds(cuda: bool, system: str = sys.platform) -> list[TorchBuild]:
    """The builds to try, best first.

    Args:
        cuda: an NVIDIA driver is present.
        system: ``sys.platform`` of the machine.
    """
    if cuda:
        index = ("--extra-index-url", f"{WHEEL_INDEX}/cu130") if system == "win32" else ()
        return [_build("CUDA build, about 7 GB", CUDA, "", "", index=index, gigabytes=12)]
    if not system.startswith("linux"):  # the plain wheels for macOS and Windows have no CUDA in them
        return [_build("plain build", CPU, "", "")]
    own = ("--index-url", f"{WHEEL_INDEX}/cpu")
    return [
        _build("CPU build", CPU, "+cpu", ""),
        _build("CPU build from PyTorch's wheel index", CPU, "+cpu", "+cpu", index=own),
        _build("default build, about 7 GB, since no CPU build can be had", CUDA, "", "", gigabytes=12),
    ]


def nvidia_driver() -> bool:
    """Whether an NVIDIA driver is loaded on this machine."""
    if Path("/proc/driver/nvidia/version").exists():
        return True
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True, check=False).returncode == 0


def matches(requirement: str, installed: dict[str, str]) -> bool:
    """Whether ``name==version`` is what is installed; a version without local part accepts any (as pip does)."""
    name, wanted = requirement.split("==")
    have = installed.get(name, "")
    return have == wanted or ("+" not in wanted and have.split("+")[0] == wanted)


def repair_light_build(site_packages: Path, installed: dict[str, str]) -> bool:
    """Make CUDA-linked torchvision and torchaudio importable beside a CPU-only torch; returns whether anything changed.

    torchvision registers fakes for two operators that its missing library would define, and torchaudio takes a library
    that cannot be loaded for an error (but a missing one for "no extension"). Only this environment is changed.
    """
    mixed = installed["torch"].endswith("+cpu") and not installed["torchvision"].endswith("+cpu")
    if not mixed or platform.system() != "Linux":
        return False
    extension = site_packages / "torchvision" / "extension.py"
    source = extension.read_text("utf-8")
    libraries = list((site_packages / "torchaudio" / "lib").glob("*.so"))
    if REPAIR_NOTE not in source:
        extension.write_text(source.rstrip("\n") + REPAIR, "utf-8")
    for library in libraries:
        library.unlink()
    return bool(libraries) or REPAIR_NOTE not in source
