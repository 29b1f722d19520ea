"""What the pack imports is what it declares, and what it declares is imported."""

import re
import sys

import pytest
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.setup import pack_modules

from .test_layering import HOST, ROOT, pack_imports

PARTS = ("__init__.py", "common", "fcvg_core", "nodes", "rerender_core", "tooncrafter_core")
MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml"}  # where it differs from the package
OPTIONAL = {"onnxruntime", "torch_directml", "triton"}  # used where they are installed, required nowhere


def packages(lines: list[str]) -> set[str]:
    """Names in lines such as ``kornia>=0.7.1  # why``."""
    names = (re.match(r"[A-Za-z0-9._-]+", line.split("#")[0].strip()) for line in lines)
    return {name[0].lower() for name in names if name}


def modules(names: set[str]) -> set[str]:
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def declared() -> set[str]:
    return packages((ROOT / "requirements.txt").read_text("utf-8").splitlines())


def pyproject_list(key: str) -> list[str]:
    """The strings of a list that stands on one line; Python 3.10 has no reader of TOML."""
    (line,) = re.findall(rf"^{key} = \[(.*)\]$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    return re.findall(r'"([^"]+)"', line)


def imported() -> dict[str, str]:
    """Top-level module -> a place that imports it; the standard library, the host's and the pack's own left out."""
    own = {path.name.removesuffix(".py") for path in ROOT.iterdir()} | {"betwixt"}
    found = {entry.module.split(".")[0]: f"{entry.file}:{entry.line}" for entry in pack_imports(*PARTS)}
    return {name: place for name, place in found.items() if name not in {*sys.stdlib_module_names, *HOST, *own}}


def test_both_lists_declare_the_same():
    lines = (ROOT / "requirements.txt").read_text("utf-8").split("\n")
    assert sorted(line for line in lines if line) == sorted(pyproject_list("dependencies"))


def test_what_is_declared_is_imported():
    assert modules(declared()) - set(imported()) == set()
    assert modules(packages(pyproject_list("cpu"))) - set(imported()) == set()


def test_what_is_imported_is_declared_or_the_hosts_own():
    of_the_host = packages((find_host() / "requirements.txt").read_text("utf-8").splitlines())
    known = modules(declared() | packages(pyproject_list("cpu")) | of_the_host) | OPTIONAL
    assert {place: name for name, place in imported().items() if name not in known} == {}


@pytest.mark.parametrize("name", ["scipy", "PIL", "torchvision"])
def test_the_hosts_own_packages_are_in_its_list(name):
    lines = (find_host() / "requirements.txt").read_text("utf-8").splitlines()
    assert name in imported() and name in modules(packages(lines)) and name not in modules(declared())


def test_the_set_up_asks_for_what_is_declared_and_for_nothing_else():
    assert pack_modules() == {MODULES.get(name, name): name for name in declared()}
