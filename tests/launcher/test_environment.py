"""The set-up's steps: which PyTorch, what is kept, what is repaired, how failures are told."""

import collections
import platform
import shutil
import sys

import pytest
from betwixt.launcher import environment as module
from betwixt.launcher.environment import Environment, host_requirements
from betwixt.launcher.failures import SetupFailed
from betwixt.launcher.host_tree import Host
from betwixt.launcher.torch_build import builds, matches, repair_light_build

REQUIREMENTS = """comfyui-frontend-package==1.47.12
comfyui-workflow-templates==0.11.27
torch
torchsde
torchvision
numpy>=1.25.0 # why
pydantic~=2.0
PyOpenGL>=3.1.8

#non essential dependencies:
"""


@pytest.fixture
def host(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "requirements.txt").write_text(REQUIREMENTS)
    (tree / "main.py").touch()
    (tree / "comfyui_version.py").write_text('__version__ = "0.30.0"')
    return Host(tree, "cache")


@pytest.fixture
def environment(tmp_path):
    made = Environment(tmp_path / "venv", cuda=False)
    (tmp_path / "venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    return made


def add_distribution(environment, name: str, version: str, complete: bool = True):
    folder = environment.site_packages / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if complete:
        (folder / "RECORD").touch()
    return folder


class FakePip:
    """Answers with the given outputs, one per call ("" means success)."""

    def __init__(self, *outputs: str):
        self.outputs, self.calls = list(outputs), []

    def attempt(self, arguments):
        self.calls.append(list(arguments))
        output = self.outputs.pop(0)
        return output == "", output


def use_pip(monkeypatch, pip):
    monkeypatch.setattr(Environment, "pip", pip)
    return pip


def test_only_what_a_headless_server_needs_is_required(host):
    lines = host_requirements(host.path)
    assert lines == ["comfyui-frontend-package==1.47.12", "torchsde", "numpy>=1.25.0", "pydantic~=2.0"]


def test_a_driver_decides_between_cuda_and_cpu_builds():
    (cuda,) = builds(True, "linux")
    assert (cuda.torch, cuda.companions) == ("torch==2.14.1", ("torchvision==0.29.1", "torchaudio==2.11.0"))
    cpu, own_index, default = builds(False, "linux")
    assert cpu.torch == own_index.torch == "torch==2.13.0+cpu" and cpu.index == ()
    assert own_index.companions == ("torchvision==0.28.0+cpu", "torchaudio==2.11.0+cpu")
    assert own_index.index[0] == "--index-url" and own_index.index[1].endswith("/cpu")
    assert default.torch == cuda.torch
    for system in ("darwin", "win32"):
        (plain,) = builds(False, system)
        assert plain.torch == "torch==2.13.0"
    assert builds(True, "win32")[0].index[1].endswith("/cu130")


def test_local_versions_match_as_pip_matches_them():
    assert matches("torch==2.13.0", {"torch": "2.13.0+cpu"}) and matches("torch==2.13.0+cpu", {"torch": "2.13.0+cpu"})
    assert not matches("torch==2.13.0+cpu", {"torch": "2.13.0"})
    assert not matches("torch==2.14.1", {"torch": "2.13.0+cpu"}) and not matches("torch==2.14.1", {})


def test_torch_that_fits_is_kept(environment, monkeypatch):
    pip = use_pip(monkeypatch, FakePip())
    for name, version in (("torch", "2.13.0+cpu"), ("torchvision", "0.28.0"), ("torchaudio", "2.11.0")):
        add_distribution(environment, name, version)
    environment.install_torch()
    assert pip.calls == []


def test_builds_are_tried_in_order(environment, monkeypatch, capsys):
    pip = use_pip(monkeypatch, FakePip("No matching distribution found for torch==2.13.0+cpu", "", ""))
    environment.install_torch()
    assert [call[-1] for call in pip.calls] == ["torch==2.13.0+cpu", "torch==2.13.0+cpu", "torchaudio==2.11.0+cpu"]
    assert "--index-url" in pip.calls[1] and "--index-url" not in pip.calls[0]
    assert "not available here" in capsys.readouterr().out


def test_the_default_build_is_the_last_resort(environment, monkeypatch):
    missing = "No matching distribution found"
    pip = use_pip(monkeypatch, FakePip(missing, "NewConnectionError", "", ""))
    environment.install_torch()
    assert [call[-1] for call in pip.calls][2:] == ["torch==2.14.1", "torchaudio==2.11.0"]


@pytest.mark.parametrize(
    ("output", "reason"), [("[Errno 28] No space left on device", "disk is full"), ("ReadTimeoutError", "be reached")]
)
def test_no_other_build_is_tried_when_the_disk_or_the_network_is_the_cause(environment, monkeypatch, output, reason):
    pip = use_pip(monkeypatch, FakePip(output))
    with pytest.raises(SetupFailed, match=f"'Install PyTorch' failed: .*{reason}"):
        environment.install_torch()
    assert len(pip.calls) == 1


def test_a_disk_that_is_too_small_is_seen_before_the_download(environment, monkeypatch):
    pip = use_pip(monkeypatch, FakePip())
    usage = collections.namedtuple("usage", "total used free")(10**10, 10**10, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SetupFailed, match=r"about 3.5 GB are needed in .*, 1.0 GB are free"):
        environment.install_torch()
    assert pip.calls == []


def test_interrupted_installations_are_forgotten_and_others_kept(environment):
    whole = add_distribution(environment, "whole", "1.0")
    torn = add_distribution(environment, "torn", "1.0", complete=False)
    environment.drop_half_installed()
    assert whole.exists() and not torn.exists() and environment.installed() == {"whole": "1.0"}


def test_the_stamp_follows_every_requirement(environment, host, tmp_path, monkeypatch):
    (tmp_path / "venv" / "bin").mkdir()
    (tmp_path / "venv" / "bin" / "python").touch()
    monkeypatch.setattr(Environment, "python", str(tmp_path / "venv" / "bin" / "python"))
    assert not environment.complete(host, tests=False)
    environment.finish(host, tests=False)
    assert environment.complete(host, tests=False) and not environment.complete(host, tests=True)
    environment.finish(host, tests=True)
    assert environment.complete(host, tests=False) and environment.complete(host, tests=True)
    environment.finish(host, tests=False)
    assert environment.complete(host, tests=True)  # completing one purpose does not undo the other
    other = tmp_path / "requirements.txt"
    other.write_text(module.PACK_REQUIREMENTS.read_text() + "another\n")
    with monkeypatch.context() as patch:
        patch.setattr(module, "PACK_REQUIREMENTS", other)
        assert not environment.complete(host, tests=False)
    (host.path / "requirements.txt").write_text(REQUIREMENTS + "another\n")
    assert not environment.complete(host, tests=False)
    environment.finish(host, tests=False)
    assert not Environment(environment.folder, cuda=True).complete(host, tests=False)
    environment.stamp.write_text("{broken")
    assert not environment.complete(host, tests=False)


def test_a_python_without_ensurepip(tmp_path, monkeypatch):
    lame = tmp_path / "python3"
    lame.write_text("#!/bin/sh\necho 'The virtual environment was not created: ensurepip is not available.'\nexit 1\n")
    lame.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(lame))
    with pytest.raises(SetupFailed, match="'Make the Python environment' failed: .*lacks the module venv") as failure:
        Environment(tmp_path / "venv", cuda=False).make()
    assert f"apt install python3.{sys.version_info[1]}-venv" in failure.value.remedy


def test_an_environment_is_made_once_and_made_again_if_it_is_unusable(tmp_path):
    environment = Environment(tmp_path / "venv", cuda=False)
    environment.make()
    (environment.site_packages / "kept.txt").touch()
    environment.make()
    assert (environment.site_packages / "kept.txt").exists()
    shutil.rmtree(environment.site_packages / "pip")  # as if it was interrupted
    environment.make()
    assert (environment.site_packages / "pip").is_dir() and not (environment.site_packages / "kept.txt").exists()


def test_the_light_build_is_repaired_once(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    (tmp_path / "torchvision").mkdir()
    extension = tmp_path / "torchvision" / "extension.py"
    extension.write_text("def _has_ops():\n    return False\n")
    library = tmp_path / "torchaudio" / "lib" / "_torchaudio.so"
    library.parent.mkdir(parents=True)
    library.touch()
    mixed = {"torch": "2.13.0+cpu", "torchvision": "0.28.0", "torchaudio": "2.11.0"}
    assert not repair_light_build(tmp_path, {**mixed, "torchvision": "0.28.0+cpu"})
    assert not repair_light_build(tmp_path, {**mixed, "torch": "2.14.1"})
    assert library.exists()
    assert repair_light_build(tmp_path, mixed) and not library.exists()
    assert extension.read_text().count('define("nms(') == 1
    assert not repair_light_build(tmp_path, mixed)
    assert extension.read_text().count('define("nms(') == 1


def test_packages_that_do_not_work_together_are_told(environment, monkeypatch):
    for name, version in (("torch", "2.14.1"), ("torchvision", "0.29.1"), ("torchaudio", "2.11.0")):
        add_distribution(environment, name, version)
    monkeypatch.setattr(Environment, "python", sys.executable)
    monkeypatch.setattr(module, "PROBE", "raise ImportError('CUDA versions differ')")
    with pytest.raises(SetupFailed, match="(?s)cannot be imported together.*Remove the folder.*CUDA versions differ"):
        environment.repair_and_check()
