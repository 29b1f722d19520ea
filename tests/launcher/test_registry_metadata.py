"""What the registry and the Manager read: pyproject.toml, requirements.txt, .comfyignore."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

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


@pytest.mark.long  # asks the package index for what builds it
def test_pip_installs_the_extras_and_copies_nothing(tmp_path):
    """``pip install "FOLDER[farm]"``: a package without files, whose extra names Ray; nothing stays in the folder."""
    before = {path.name for path in ROOT.iterdir()}
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True)
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        text = wheel.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    assert {name.split("/")[0].rsplit(".", 1)[-1] for name in names} == {"dist-info"}
    assert re.search(r'^Requires-Dist: ray\[client\].*extra == "farm"$', text, re.MULTILINE)
    assert {path.name for path in ROOT.iterdir()} == before


def test_the_published_archive_has_what_the_nodes_and_commands_need():
    lines = (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    left_out = {line.rstrip("/") for line in lines if line and not line.startswith("#")}
    published = {path.name for path in ROOT.iterdir()} - left_out
    needed = "__init__.py betwixt.py install.py common demo fcvg_core launcher nodes subgraphs web workflows"
    assert set(needed.split()) <= published
    assert "launcher/kernels.py" not in left_out  # which install.py runs
    assert not published & {"tests", "tools", "benchmarks", ".ci"}


@pytest.fixture
def archive(tmp_path):
    """The pack as the registry publishes it, in the custom_nodes folder of a ComfyUI that is none."""
    left_out = [line.rstrip("/") for line in (ROOT / ".comfyignore").read_text("utf-8").splitlines() if line[:1] != "#"]
    host = tmp_path / "ComfyUI"
    pack = host / "custom_nodes" / "betwixt"
    (host / "comfy").mkdir(parents=True)
    (host / "main.py").touch()
    (host / "comfyui_version.py").write_text('__version__ = "0.30.0"')
    for name in ("betwixt.py", "common", "launcher", "pyproject.toml", "requirements.txt", "workflows"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        (pack / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, pack / name)
    for name in left_out:
        assert (ROOT / name).exists() or name == ".ci", name
        (pack / name).unlink(missing_ok=True)
    return pack


def test_no_file_of_the_archive_runs_pip(archive):
    runs_pip = re.compile(r"""["']-m["'],\s*["']pip["']""")
    assert runs_pip.search((ROOT / "launcher" / "pip.py").read_text("utf-8"))
    assert [path.name for path in archive.rglob("*.py") if runs_pip.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["doctor"], 0, "Ready to run: "),
        (["run", "workflows/api/Estimate flow.json", "--server", "127.0.0.1:9"], 5, "No answer from the server"),
        (["test"], 1, "has no tests; they are in the git repository"),
    ],
)
def test_the_commands_work_from_the_archive(archive, arguments, code, said):
    environment = {key: value for key, value in os.environ.items() if key != "COMFYUI_PATH"}
    command = [sys.executable, "betwixt.py", *arguments]
    done = subprocess.run(command, cwd=archive, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code and said in done.stdout, done.stdout + done.stderr
