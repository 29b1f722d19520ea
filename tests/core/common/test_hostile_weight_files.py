"""Weight files made to do harm, and damaged ones: the pack's error, nothing changed, nothing grown."""

import hashlib
import io
import logging
import pickle
import random
import struct
import subprocess
import sys
import time
import tracemalloc
import types
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.files.checkpoints import load_strict, non_finite_report
from betwixt.common.files.weight_files import read_torch_file

import betwixt

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor(0.5)}


def text(value):
    return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def named(module, name):
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def write_zip(path, program, records=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/version", "3")
        archive.writestr("x/data.pkl", b"\x80\x02" + program + b".")
        for name, data in records:
            archive.writestr(f"x/{name}", data)
    return str(path)


def write_legacy(path, program, tail=b""):
    magic, version, system = (pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {}))
    path.write_bytes(magic + version + system + b"\x80\x02" + program + b"." + pickle.dumps([], 2) + tail)
    return str(path)


WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])


def storage(count, parts=5, kind="FloatStorage"):
    last = b"" if parts == 5 else pickle.NONE
    return (
        pickle.MARK + text("storage") + named("torch", kind) + text("0") + text("cpu")
        + pickle.BININT + struct.pack("<i", count) + last + pickle.TUPLE + pickle.BINPERSID
    )  # fmt: skip


def tensor(count, shape, parts=5):
    sizes = pickle.MARK + b"".join(pickle.BININT + struct.pack("<i", n) for n in shape) + pickle.TUPLE
    strides = pickle.MARK + (pickle.BININT1 + b"\0") * len(shape) + pickle.TUPLE
    hooks = named("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    return (
        named("torch._utils", "_rebuild_tensor_v2") + pickle.MARK + storage(count, parts) + pickle.BININT1 + b"\0"
        + sizes + strides + pickle.NEWFALSE + hooks + pickle.TUPLE + pickle.REDUCE
    )  # fmt: skip


def under(key, value):
    return pickle.EMPTY_DICT + text(key) + value + pickle.SETITEM


@WRITERS
@pytest.mark.parametrize("function", ["_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_tensor"])
def test_torchs_functions_keep_their_state(tmp_path, write, function):
    target = getattr(torch._utils, function)
    before = target.__defaults__, dict(target.__dict__)
    state = under("__defaults__", pickle.NONE) + pickle.EMPTY_DICT + pickle.TUPLE2
    for built in (state, under("__defaults__", pickle.EMPTY_TUPLE)):
        with pytest.raises(BetwixtError, match="changed state"):
            read_torch_file(write(tmp_path / "x.pth", named("torch._utils", function) + built + pickle.BUILD))
    assert (target.__defaults__, dict(target.__dict__)) == before


def test_a_module_writes_no_patch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = (
        pickle.MARK + text("module") + named("collections", "OrderedDict") + text("f") + text("text") + pickle.TUPLE
    )
    (tmp_path / "in").mkdir()
    for write in (write_zip, write_legacy):
        with pytest.raises(BetwixtError, match="persistent id"):
            read_torch_file(write(tmp_path / "in" / "x.pth", module + pickle.BINPERSID))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@WRITERS
def test_a_random_memo_index_takes_no_memory(tmp_path, write):
    program = pickle.EMPTY_DICT + pickle.LONG_BINPUT + struct.pack("<I", 0xFFFFFFF0)
    path = write(tmp_path / "x.pth", program)
    tracemalloc.start()
    assert read_torch_file(path) == {}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@WRITERS
@pytest.mark.parametrize("container", ["dict", "list", "deep"])
def test_a_checkpoint_that_contains_itself_is_refused(tmp_path, write, container):
    memo, again = pickle.BINPUT + b"\0", pickle.BINGET + b"\0"
    programs = {
        "dict": pickle.EMPTY_DICT + memo + text("state_dict") + again + pickle.SETITEM,
        "list": under("x", pickle.EMPTY_LIST + memo + again + pickle.APPEND),
        "deep": under("x", pickle.EMPTY_LIST * 200 + pickle.APPEND * 199),
    }
    with pytest.raises(BetwixtError, match="itself|deep"):
        read_torch_file(write(tmp_path / "x.pth", programs[container]))


@WRITERS
@pytest.mark.parametrize("key", ["nested tuples", "shared tuples", "colliding numbers"])
def test_keys_that_take_long_to_hash_are_refused(tmp_path, write, key):
    memo, again = pickle.BINPUT + b"\0", pickle.BINGET + b"\0"
    colliding = b"".join(
        pickle.LONG1 + b"\x10" + (k * (2**61 - 1)).to_bytes(16, "little") + pickle.NONE
        for k in range(1 << 59, (1 << 59) + 99)
    )
    programs = {
        "nested tuples": pickle.EMPTY_DICT + pickle.NONE + pickle.TUPLE1 * 300_000 + pickle.NONE + pickle.SETITEM,
        "shared tuples": pickle.EMPTY_DICT
        + pickle.NONE
        + (memo + again + pickle.TUPLE2) * 60
        + pickle.NONE
        + pickle.SETITEM,
        "colliding numbers": pickle.EMPTY_DICT + pickle.MARK + colliding + pickle.SETITEMS,
    }
    with pytest.raises(BetwixtError, match="neither text nor number"):
        read_torch_file(write(tmp_path / "x.pth", programs[key]))


CALLS = {
    "bytearray": named("builtins", "bytearray") + pickle.BININT + struct.pack("<i", 2**31 - 1) + pickle.TUPLE1,
    "encode": named("_codecs", "encode") + text("a" * 50_000) + text("punycode") + pickle.TUPLE2,
    "Size": named("torch", "Size") + pickle.EMPTY_LIST + pickle.TUPLE1,
    "Tensor": named("torch", "Tensor") + (pickle.BININT + struct.pack("<i", 2**30)) * 2 + pickle.TUPLE2,
    "Storage": named("torch.storage", "TypedStorage") + pickle.BININT + struct.pack("<i", 2**30) + pickle.TUPLE1,
    "_get_layout": named("torch.serialization", "_get_layout") + text("strided") + pickle.TUPLE1,
    "_rebuild_from_type_v2": named("torch._tensor", "_rebuild_from_type_v2") + pickle.EMPTY_TUPLE,
}


@WRITERS
@pytest.mark.parametrize("call", CALLS)
def test_calls_that_no_checkpoint_needs_are_refused(tmp_path, write, call):
    with pytest.raises(BetwixtError, match=call):
        read_torch_file(write(tmp_path / "x.pth", under("x", CALLS[call] + pickle.REDUCE)))


def test_operations_are_counted(tmp_path):
    path = write_zip(tmp_path / "x.pth", under("x", pickle.NONE * 1_000_001))
    with pytest.raises(BetwixtError, match="1000000 operations"):
        read_torch_file(path)


def test_storages_have_their_declared_size(tmp_path):
    """torch itself reads past the end of the entry."""
    read_torch_file(write_zip(tmp_path / "good.pth", under("x", tensor(4, (4,))), [("data/0", bytes(16))]))
    with pytest.raises(BetwixtError, match="a storage of 4000 bytes in an entry of 16"):
        read_torch_file(write_zip(tmp_path / "x.pth", under("x", tensor(1000, (4,))), [("data/0", bytes(16))]))
    with pytest.raises(BetwixtError, match="a storage of 16 bytes in an entry of 0"):
        read_torch_file(write_zip(tmp_path / "x.pth", under("x", tensor(4, (4,)))))
    with pytest.raises(BetwixtError, match="a tensor of 8000000000 bytes in a storage of 16"):
        huge = under("x", tensor(4, (20_000, 100_000)))
        read_torch_file(write_zip(tmp_path / "x.pth", huge, [("data/0", bytes(16))]))


def test_legacy_storages_are_in_the_file(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"model": WEIGHTS}, path, _use_new_zipfile_serialization=False)
    raw = path.read_bytes()
    (tmp_path / "short.pth").write_bytes(raw[:-1])
    with pytest.raises(BetwixtError, match="more bytes than the file has"):
        read_torch_file(str(tmp_path / "short.pth"))
    with pytest.raises(BetwixtError, match="list of storages"):
        read_torch_file(write_legacy(path, under("x", tensor(2**30, (1,), parts=6))))


def zip_bytes(**options):
    buffer = io.BytesIO()
    torch.save({"model": WEIGHTS, "epoch": 3, "loss": np.float64(1)}, buffer, **options)
    return buffer.getvalue()


def test_two_tables_of_contents(tmp_path):
    """The first holds TorchScript; readers differ in which one they take."""
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("m/constants.pkl", "x")
        archive.writestr("m/data.pkl", "x")
    good = zip_bytes()
    for raw in (program.getvalue() + good, good + program.getvalue(), good + b"PK\5\6" + bytes(18), good + b"\n"):
        (tmp_path / "x.pth").write_bytes(raw)
        with pytest.raises(BetwixtError, match="table of contents|TorchScript"):
            read_torch_file(str(tmp_path / "x.pth"))


@pytest.mark.parametrize("case", ["compressed", "twice", "two cases", "overlapping"])
def test_archives_that_torch_does_not_write(tmp_path, case):
    path = tmp_path / "x.pth"
    data = b"\x80\x02}."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if case == "compressed" else zipfile.ZIP_STORED) as archive:
        archive.writestr("x/data.pkl", data)
        if case in ("twice", "two cases"):
            with pytest.warns(UserWarning) if case == "twice" else pytest.MonkeyPatch.context():
                archive.writestr("x/data.pkl" if case == "twice" else "x/Data.pkl", data)
        if case == "overlapping":
            archive.writestr("x/data/0", bytes(1000))
            first = archive.getinfo("x/data/0")
            for number in range(1, 9):
                info = zipfile.ZipInfo(f"x/data/{number}")
                info.header_offset, info.file_size, info.compress_size = first.header_offset, 1000, 1000
                info.CRC = first.CRC
                archive.filelist.append(info)
    with pytest.raises(BetwixtError, match="compressed|twice|overlap"):
        read_torch_file(str(path))


@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files_end_in_the_packs_error(tmp_path, legacy):
    raw, path = zip_bytes(_use_new_zipfile_serialization=not legacy), tmp_path / "x.pth"
    draws = random.Random(54)
    refused = 0
    for number in range(300):
        damaged = bytearray(raw)
        for _ in range(draws.choice((1, 1, 4))):
            damaged[draws.randrange(len(damaged))] = draws.randrange(256)
        path.write_bytes(damaged if number % 3 else damaged[: draws.randrange(len(damaged))])
        try:
            read_torch_file(str(path))
        except BetwixtError as error:
            refused += 1
            assert "x.pth" in str(error)
    assert refused > 100


def test_time_is_linear(tmp_path):
    def seconds(count):
        path = write_zip(tmp_path / "x.pth", pickle.EMPTY_DICT + pickle.MARK + b"".join(
            text(f"k{n}") + pickle.EMPTY_LIST for n in range(count)
        ) + pickle.SETITEMS)  # fmt: skip
        times = []
        for _ in range(3):
            begin = time.process_time()
            assert len(read_torch_file(path)) == count
            times.append(time.process_time() - begin)
        return min(times)

    assert seconds(160_000) < 48 * seconds(10_000)  # 256 times if it were quadratic


MEMORY = """
import sys, torch
from betwixt.common.files.weight_files import read_torch_file
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
torch.save({"a": torch.ones(1000)}, sys.argv[1] + ".small")
read_torch_file(sys.argv[1] + ".small")
before = peak()
read_torch_file(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("legacy", [False, True])
def test_memory_is_the_files_size(tmp_path, legacy):
    path = tmp_path / "x.pth"
    torch.save(
        {"model": {f"w{n}": torch.rand(1 << 21) for n in range(16)}}, path, _use_new_zipfile_serialization=not legacy
    )
    root = Path(betwixt.__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], cwd=root, capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 1.1 * path.stat().st_size


def test_weights_that_are_not_finite_are_named(caplog):
    weights = {"a.weight": torch.tensor([1.0, float("nan")]), "b": torch.tensor([float("inf")]), "n": torch.tensor(3)}
    weights["big"] = torch.full((4,), 3e38)
    weights["small"] = torch.tensor([1.0, float("nan")]).to(torch.float8_e4m3fn)
    (line,) = non_finite_report(weights)
    assert "3 tensors (a.weight, b, small)" in line
    assert non_finite_report(WEIGHTS) == []
    network = torch.nn.Linear(2, 1)
    with caplog.at_level(logging.WARNING):
        load_strict(
            network, {"weight": torch.full((1, 2), float("nan")), "bias": torch.zeros(1)}, "a layer", "None.", "'x'"
        )
    assert "'x', a layer: NaN or infinite values in 1 tensors (weight)" in caplog.text


def test_hashes_in_names_are_verified(tmp_path):
    raw = zip_bytes()
    right = hashlib.sha256(raw).hexdigest()[:8]
    wrong = "0c07dcb3"
    for name in (f"net-{right}.pth", "net-20261127.pth", "net-final.pth", "net.pth"):
        (tmp_path / name).write_bytes(raw)
        assert read_torch_file(str(tmp_path / name))["epoch"] == 3
    (tmp_path / f"net-{wrong}.pth").write_bytes(raw)
    with pytest.raises(BetwixtError, match=rf"begins with {right}.*begins with {wrong}.*rename"):
        read_torch_file(str(tmp_path / f"net-{wrong}.pth"))


class Settings(dict):
    """A dict with attributes, as yacs has it."""


class Entries(list):
    pass


def test_filled_settings_objects(tmp_path, monkeypatch):
    module = types.ModuleType("yacs.config")
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    for kind in (Settings, Entries):
        monkeypatch.setattr(kind, "__module__", "yacs.config")
        setattr(module, kind.__name__, kind)
    beside = {"a": Settings(x=1), "b": Entries([1]), "c": defaultdict(list, {"k": [1]}), "order": OrderedDict(z=1)}
    torch.save({"model": WEIGHTS, **beside}, tmp_path / "x.pth")
    contents = read_torch_file(str(tmp_path / "x.pth"))
    assert contents["a"] == {"x": 1} and contents["b"] == [1] and contents["c"] == {"k": [1]}
    assert type(contents["order"]) is dict and torch.equal(contents["model"]["a.bias"], WEIGHTS["a.bias"])


def test_torchs_list_of_safe_names_is_left_as_it_was(tmp_path):
    def dtype():
        raise AssertionError("called")

    dtype.__module__, dtype.__qualname__ = "numpy", "dtype"
    before = set(torch.serialization.get_safe_globals())
    with torch.serialization.safe_globals([dtype]):
        torch.save({"x": np.float64(1)}, tmp_path / "x.pth")
        read_torch_file(str(tmp_path / "x.pth"))
        assert set(torch.serialization.get_safe_globals()) == before | {dtype}
    assert set(torch.serialization.get_safe_globals()) == before


def test_parameters_come_back_as_tensors(tmp_path):
    layer = torch.nn.Linear(2, 2)
    layer.weight.note = "kept by nobody"
    torch.save({"w": layer.bias, **layer.state_dict()}, tmp_path / "x.pth")
    contents = read_torch_file(str(tmp_path / "x.pth"))
    assert {type(value) for value in contents.values()} == {torch.Tensor}
    assert not any(value.requires_grad for value in contents.values())
