"""What the registry and the Manager read: pyproject.toml, requirements.txt, .comfyignore."""

import re
import sys

import pytest

from support.bootstrap import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it there


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_the_fields_the_registry_requires(project):
    about, comfy = project["project"], project["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{2,99}", about["name"]) and "comfyui" not in about["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", about["version"]) and about["description"]
    assert about["license"] == {"file": "LICENSE"} and (ROOT / "LICENSE").read_text("utf-8").strip().startswith(
        "Apache"
    )
    assert about["requires-python"] == ">=3.10"
    assert "urls" not in about  # optional there; the project has no public address that could be named
    assert "Operating System :: OS Independent" in about["classifiers"]
    assert comfy["PublisherId"] and comfy["DisplayName"]
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])


def test_requirements_are_the_declared_ones_and_leave_the_hosts_alone(project):
    lines = [line for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines() if line]
    assert lines == project["project"]["dependencies"]
    names = {re.split(r"[<>=~!\[; ]", line)[0].lower() for line in lines}
    assert not names & {"torch", "torchvision", "torchaudio", "comfyui-frontend-package"}
    assert "numpy" in lines  # the host decides its version


def test_the_published_archive_has_what_the_nodes_and_commands_need():
    lines = (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    left_out = {line.rstrip("/") for line in lines if line and not line.startswith("#")}
    published = {path.name for path in ROOT.iterdir()} - left_out
    for needed in ("__init__.py", "betwixt.py", "common", "demo", "fcvg_core", "launcher", "nodes", "web", "workflows"):
        assert needed in published
    assert not published & {"tests", "tools", "benchmarks", ".ci"}
