"""Names of the host that the pack uses, looked up in the sources of a ComfyUI tree."""

import pytest
from betwixt.launcher.host_names import HostTree, missing_names


@pytest.fixture
def trees(tmp_path):
    """(ComfyUI folder, pack folder), small ones."""
    host, pack = tmp_path / "host", tmp_path / "pack"
    (host / "comfy").mkdir(parents=True)
    (pack / "nodes").mkdir(parents=True)
    (host / "comfy" / "base.py").write_text(
        "class Base:\n    def __init__(self, a, *, b=1): pass\n    def shared(self): pass\n"
    )
    (host / "comfy" / "models.py").write_text(
        "import torch\nfrom .base import Base as Parent\ntry:\n    FAST = True\nexcept ImportError:\n    FAST = False\n"
        "class Model(Parent):\n    kinds = {}\n    class Config:\n        size = 1\ndef load(path, safe=False): pass\n"
    )
    return host, pack


def test_what_is_there_is_found(trees):
    host, pack = trees
    (pack / "nodes" / "a.py").write_text(
        "import comfy.models\nfrom comfy.models import Model as M\nimport torch\n"
        "x = comfy.models.load('p', safe=True)\ny = M(1, b=2)\nz = M.Config.size, M.shared, comfy.models.FAST\n"
        "w = comfy.models.torch.anything, torch.nothing\n"
        "try:\n    from comfy.models import Newer\nexcept ImportError:\n    Newer = None\n"
    )
    missing, count = missing_names(host, pack)
    assert missing == [] and count >= 7


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import comfy.gone", "nodes/a.py:1: comfy.gone is not there"),
        ("from comfy.models import Gone", "nodes/a.py:1: comfy.models.Gone is not there"),
        ("import comfy.models\ncomfy.models.save()", "nodes/a.py:2: comfy.models.save is not there"),
        ("from comfy.models import Model\nModel.Config.gone", "comfy.models.Model.Config.gone is not there"),
        ("from comfy.models import load\nload('p', mmap=True)", "comfy.models.load takes no argument 'mmap'"),
        ("from comfy.models import load\nload(1, 2, 3)", "comfy.models.load takes 2 arguments, not 3"),
        ("from comfy.models import Model\nModel(1, c=2)", "comfy.models.Model takes no argument 'c'"),
        ("from comfy.models import Model\nModel(1, 2)", "comfy.models.Model takes 1 arguments, not 2"),
    ],
)
def test_what_is_not_as_used_is_named_with_its_place(trees, source, fault):
    host, pack = trees
    (pack / "nodes" / "a.py").write_text(source)
    (missing,) = missing_names(host, pack)[0]
    assert str(missing).endswith(fault)


def test_the_pinned_host_has_everything(host):
    missing, count = missing_names(host)
    assert missing == [] and count > 100
    assert HostTree(host).resolve("comfy.model_management.no_such_function") is None
