"""The Python environment in the checkout's ``.venv``: made, completed, checked, and stamped when complete."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .console import say, step
from .failures import SetupFailed
from .folders import PACK, PACK_REQUIREMENTS
from .host_tree import VERSION, Host
from .pip import Pip, explain, free_space
from .torch_build import TorchBuild, builds, matches, repair_light_build

SETTINGS = Path(__file__).resolve().parent
CONSTRAINTS = SETTINGS / "constraints.txt"
TEST_REQUIREMENTS = SETTINGS / "test_requirements.txt"
EXTRAS = ("numba",)  # the pack's optional extra "cpu"
# Lines of the host's requirements that a headless server does not need (0.5 GB), and the trio installed before.
LEFT_OUT = ("comfyui-workflow-templates", "comfyui-embedded-docs", "pyopengl", "comfy-angle")
TRIO = ("torch", "torchvision", "torchaudio")
INSTALL = ("install", "--no-compile")  # most modules are never imported; Python compiles the others when they are
PROBE = "import torch, torchvision, torchaudio, torchsde, transformers, aiohttp, av, cv2, kornia, numba"
STEPS = (
    *("Make the Python environment", "Install PyTorch", "Install the requirements", "Check the environment"),
    "Compile kernels",
)
COMPILE = "from betwixt.launcher.kernels import compile_kernels; compile_kernels()"


def host_requirements(host: Path) -> list[str]:
    """The requirement lines of a ComfyUI tree that are installed here, without the PyTorch trio."""
    lines = [line.split("#")[0].strip() for line in (host / "requirements.txt").read_text("utf-8").splitlines()]

    def name(line: str) -> str:
        return line.lower().translate(str.maketrans("<>=~![;", "       ")).split(" ")[0].strip()

    return [line for line in lines if line and name(line) not in (*LEFT_OUT, *TRIO)]


class Environment:
    """A virtual environment.

    Args:
        folder: where it is.
        cuda: whether it is to hold the CUDA build of PyTorch.
    """

    def __init__(self, folder: Path, cuda: bool):
        self.folder, self.cuda = folder, cuda
        self.stamp = folder / "betwixt-setup.json"
        self.log = folder / "betwixt-setup.log"

    @property
    def python(self) -> str:
        return str(self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))

    @property
    def site_packages(self) -> Path:
        found = sorted(self.folder.glob("Lib/site-packages" if os.name == "nt" else "lib/python3*/site-packages"))
        return found[-1] if found else self.folder / "lib"

    @property
    def pip(self) -> Pip:
        return Pip(self.python, self.folder, self.log)

    def installed(self) -> dict[str, str]:
        """Distribution name in lower case -> version."""
        found = importlib.metadata.distributions(path=[str(self.site_packages)])
        return {(item.metadata["Name"] or "").lower(): item.version for item in found if item.metadata}

    # What is there already

    def key(self, host: Host, tests: bool) -> str:
        """Changes whenever anything that the set-up would install changes."""
        parts = [str(build) for build in builds(self.cuda)] + host_requirements(host.path) + list(EXTRAS)
        parts += [path.read_text("utf-8") for path in (PACK_REQUIREMENTS, CONSTRAINTS)]
        parts += [TEST_REQUIREMENTS.read_text("utf-8")] if tests else []
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def complete(self, host: Host, tests: bool) -> bool:
        """Whether a set-up for this host and purpose was finished here."""
        return self._stamps().get("tests" if tests else "run") == self.key(host, tests) and Path(self.python).exists()

    def _stamps(self) -> dict[str, str]:
        try:
            return json.loads(self.stamp.read_text("utf-8"))
        except (OSError, ValueError):
            return {}

    def _write_stamps(self, host: Host, tests: bool) -> None:
        stamps = {"run": self.key(host, False), **({"tests": self.key(host, True)} if tests else {})}
        fresh = self.stamp.with_suffix(".new")
        fresh.write_text(json.dumps({**self._stamps(), **stamps}), "utf-8")
        fresh.replace(self.stamp)

    # The steps

    def make(self) -> None:
        """Create the environment if it is missing or unusable; one that works is kept as it is."""
        if self._runs("import pip"):
            return
        title = STEPS[0]
        with step(f"{title} {self.folder} (Python {sys.version.split()[0]})"):
            command = [sys.executable, "-m", "venv", "--clear", str(self.folder)]
            made = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if made.returncode == 0 and self._runs("import pip"):
                return
            output = made.stdout + made.stderr
            if "ensurepip" in output or "No module named venv" in output:
                version = "{}.{}".format(*sys.version_info)
                reason = f"this Python ({sys.executable}) lacks the module venv or ensurepip."
                remedy = f"Install it (Debian, Ubuntu: 'apt install python{version}-venv') or use a complete Python."
            else:
                reason, remedy = explain(output, self.folder, sys.executable)
            raise SetupFailed(title, reason.replace("pip ended", "venv ended"), remedy, output)

    def _runs(self, code: str) -> bool:
        try:
            return subprocess.run([self.python, "-c", code], capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def drop_half_installed(self) -> None:
        """Forget distributions whose installation was cut off, so that pip installs them again.

        pip writes RECORD last; without it pip would neither remove nor replace the distribution.
        """
        for folder in self.site_packages.glob("*.dist-info"):
            if not (folder / "RECORD").exists():
                say(f"  {folder.stem} was installed only in part and is installed again")
                shutil.rmtree(folder)

    def install_torch(self) -> None:
        """Install the first of the builds that can be had here."""
        candidates = builds(self.cuda)
        installed = self.installed()
        if any(all(matches(line, installed) for line in (build.torch, *build.companions)) for build in candidates):
            return
        self._check_space(candidates[0].gigabytes)
        for build in candidates:
            with step(f"{STEPS[1]}: {build.title}"):
                succeeded, output = self._install(build)
            if succeeded:
                return
            reason, remedy = explain(output, self.folder, self.python)
            hopeless = "disk" in reason or ("reached" in reason and not build.index)
            if hopeless or build is candidates[-1]:
                raise SetupFailed(STEPS[1], reason, remedy, output)
            say(f"  not available here: {reason}")

    def _install(self, build: TorchBuild) -> tuple[bool, str]:
        source = [*build.index, "--timeout", "20", "--retries", "1"] if build.index else []
        alone = ["--no-deps"] if "--index-url" in build.index else []
        succeeded, output = self.pip.attempt([*INSTALL, *alone, *source, build.torch])
        if succeeded:
            succeeded, output = self.pip.attempt([*INSTALL, "--no-deps", *source, *build.companions])
        return succeeded, output

    def _check_space(self, gigabytes: float) -> None:
        if shutil.disk_usage(self.folder).free < gigabytes * 1e9:
            raise SetupFailed(
                "Check the disk space",
                f"about {gigabytes} GB are needed in {self.folder}, {free_space(self.folder)} are free.",
                "Free some space, or move this checkout to a larger disk, and run the same command again.",
            )

    def install_requirements(self, host: Host, tests: bool) -> None:
        """Install what the host, the pack and, if wanted, the tests require; what is there already is kept."""
        lines = self.folder / "betwixt-requirements.txt"
        lines.write_text("\n".join([*host_requirements(host.path), *EXTRAS]) + "\n", "utf-8")
        files = [lines, PACK_REQUIREMENTS, *([TEST_REQUIREMENTS] if tests else [])]
        installed = self.installed()
        trio = [f"{name}=={installed[name]}" for name in TRIO]  # named so that nothing moves them
        arguments = [*trio, *(part for file in files for part in ("--requirement", str(file)))]
        if host.version == VERSION:  # the versions are known to work with that release; another may want others
            arguments += ["--constraint", str(CONSTRAINTS)]
        with step(f"{STEPS[2]}{' and those of the tests' if tests else ''}"):
            self.pip.run(STEPS[2], [*INSTALL, *arguments])

    def repair_and_check(self) -> None:
        """Repair the light CPU build where needed, then import what the server cannot start without."""
        with step(STEPS[3]):
            if repair_light_build(self.site_packages, self.installed()):
                say("  torchvision and torchaudio are set to work without CUDA libraries (in this environment only)")
            probe = subprocess.run([self.python, "-c", PROBE], capture_output=True, text=True, check=False)
            if probe.returncode:
                raise SetupFailed(
                    STEPS[3],
                    "the installed packages cannot be imported together.",
                    f"Remove the folder {self.folder} and run the same command again.",
                    probe.stderr[-2000:],
                )

    def compile_kernels(self) -> None:
        """Have numba compile what the first frames would wait for; where that fails they do."""
        with step(STEPS[4]):
            done = subprocess.run([self.python, "-c", COMPILE], capture_output=True, check=False, cwd=PACK)
            if done.returncode:
                say("  not done; kernels are compiled when they are first used")

    def finish(self, host: Host, tests: bool) -> None:
        self._write_stamps(host, tests)
