import io
import os
import pickle
import tarfile
import zipfile
from argparse import Namespace

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.files.foreign_files import refuse_other_files
from betwixt.common.files.weight_files import read_torch_file
from safetensors.torch import save_file

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor(0.5), "n": torch.tensor(3)}
BESIDE = {
    "epoch": 7,
    "losses": {"total": np.float64(0.25), "curve": np.arange(3.0)},
    "conf": Namespace(lr=1e-4, names=["x"]),
    "flags": {"a", "b"},
    "dtype": torch.float16,
}


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("zipped", [True, False])
def test_settings_beside_the_weights_do_not_matter(tmp_path, zipped):
    path = tmp_path / "checkpoint.tar"
    torch.save({"model": WEIGHTS, **BESIDE}, path, _use_new_zipfile_serialization=zipped)
    contents = read_torch_file(str(path))
    assert contents["epoch"] == 7 and contents["flags"] == {"a", "b"} and contents["dtype"] is torch.float16
    assert not hasattr(contents["conf"], "lr")
    for name, value in WEIGHTS.items():
        assert torch.equal(contents["model"][name], value)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_refused_and_not_run(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": WEIGHTS, "extra": RunsCode()}, "bad.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(BetwixtError, match="mkdir"):
        read_torch_file("bad.pth")
    assert not os.path.exists("ran")


@pytest.mark.parametrize(
    "name", ["builtins.eval", "builtins.getattr", "numpy.load.__call__", "torch.load", "os.system"]
)
def test_only_data_can_be_named(tmp_path, name):
    module, _, attribute = name.partition(".")
    raw = b"\x80\x04" + pickle.SHORT_BINUNICODE + bytes([len(module)]) + module.encode()
    raw += pickle.SHORT_BINUNICODE + bytes([len(attribute)]) + attribute.encode() + pickle.STACK_GLOBAL + b"."
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", raw)
        archive.writestr("x/version", "3")
    with pytest.raises(BetwixtError, match=name.rpartition(".")[2]):
        read_torch_file(str(path))


def a_tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return buffer.getvalue()


def a_zip(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


FOREIGN = {
    "empty": b"",
    "a web page": b"\n<!DOCTYPE html><html></html>",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "filled with zeros": bytes(1 << 15),
    "an ONNX model": b"\x08\x08\x12\x07pytorch\x1a\x05",
    "GGUF": b"GGUF\x03\0\0\0",
    "an archive": a_tar(),
    "a zip archive": a_zip("readme.txt"),
    "TorchScript": a_zip("m/constants.pkl", "m/data.pkl"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_files_are_recognised(tmp_path, kind):
    path = tmp_path / "weights.pth"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(BetwixtError, match=kind):
        refuse_other_files(str(path))


def test_files_under_the_other_format_s_name_are_recognised(tmp_path):
    save_file(WEIGHTS, tmp_path / "weights.pth")
    with pytest.raises(BetwixtError, match=r"ends in \.safetensors"):
        refuse_other_files(str(tmp_path / "weights.pth"))
    torch.save(WEIGHTS, tmp_path / "weights.safetensors")
    with pytest.raises(BetwixtError, match=r"ends in \.pth"):
        refuse_other_files(str(tmp_path / "weights.safetensors"))


def test_weight_files_pass(tmp_path):
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    torch.save(WEIGHTS, tmp_path / "b.pth")
    torch.save(WEIGHTS, tmp_path / "c.tar", _use_new_zipfile_serialization=False)
    for path in tmp_path.iterdir():
        refuse_other_files(str(path))
