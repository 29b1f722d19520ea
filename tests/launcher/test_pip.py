"""Failures of the real pip, told with reason and remedy."""

import io
import sys
import tarfile

import pytest
from betwixt.launcher.failures import SetupFailed
from betwixt.launcher.pip import Pip, explain


@pytest.fixture
def pip(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return Pip(sys.executable, tmp_path, tmp_path / "pip.log")


def write_source_distribution(folder, name: str) -> None:
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for path, text in (("setup.py", ""), ("PKG-INFO", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")):
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def test_another_file_than_the_tested_one_is_refused(pip, tmp_path):
    write_source_distribution(tmp_path, "thing")
    (tmp_path / "wanted.txt").write_text(f"thing==1.0 --hash=sha256:{'0' * 64}\n")
    options = [
        "--no-index",
        "--find-links",
        str(tmp_path),
        "--require-hashes",
        "--no-deps",
        "--dest",
        str(tmp_path / "to"),
    ]
    with pytest.raises(SetupFailed, match="another file than the one this release was tested with") as failure:
        pip.run("Fetch", ["download", *options, "--requirement", str(tmp_path / "wanted.txt")])
    assert failure.value.step == "Fetch" and "cache purge" in failure.value.remedy
    assert "0" * 64 in str(failure.value)  # pip's own words are kept
    assert not (tmp_path / "to").exists() or not list((tmp_path / "to").iterdir())


def test_no_network(pip):
    with pytest.raises(
        SetupFailed, match="(?s)package index could not be reached.*goes on where it stopped"
    ) as failure:
        pip.run("Install", ["install", "--index-url", "http://127.0.0.1:9/simple", "no-such-thing"])
    assert "pip config list" in failure.value.remedy


def test_no_such_package(pip):
    with pytest.raises(SetupFailed, match="no build of this package for this Python"):
        pip.run("Install", ["install", "--no-index", "no-such-thing"])


def test_unknown_failures_show_what_pip_said(pip):
    with pytest.raises(SetupFailed, match="no such option: --nonsense"):
        pip.run("Install", ["install", "--nonsense"])


@pytest.mark.parametrize(
    ("output", "reason", "remedy"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
            "TMPDIR",
        ),
        ("OSError: [WinError 112] There is not enough space on the disk", "disk is full", "TMPDIR"),
        ("[Errno 13] Permission denied: '/x'", "could not be written", "belongs to you"),
        (
            "Temporary failure in name resolution\nERROR: No matching distribution found for a",
            "not be reached",
            "proxy",
        ),
        ("HTTP error 503 while getting x", "not be reached", "proxy"),
    ],
)
def test_explanations(tmp_path, output, reason, remedy):
    told = explain(output, tmp_path / "not" / "there", "python")
    assert reason in told[0] and remedy in told[1]


def test_success_is_silent(pip, capfd):
    pip.run("List", ["list"])
    assert capfd.readouterr().out == "" and "pytest" in pip.log.read_text()
