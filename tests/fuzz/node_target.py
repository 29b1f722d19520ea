"""Odd values at the inputs of nodes: one to three inputs of a node that is otherwise given sound values."""

import contextlib
import json
import math
import random
from functools import cache
from pathlib import Path

from support.bootstrap import ROOT

from .json_mutators import ODD
from .mutators import damaged
from .target import Target
from .text_targets import ALPHABET, PER_GAP, TEXTS

SIDES = (0, 1, 1, 2, 3, 3, 4, 5, 8, 16, 31, 48, 64, 64, 64, 100)
TYPES = ("float32", "float32", "float32", "float16", "float64", "bfloat16", "uint8", "int64", "bool", "complex64")
FILLS = ("noise", "noise", "noise", "zeros", "ones", "nan", "one nan", "inf", "huge", "tiny", "negative")
MOST_ELEMENTS = 1 << 20
LTX = "BetwixtAddLTXGuides"
WIRES = (
    *("IMAGE", "MASK", "FLOW_MODEL", "CURVE", "TRACKS", "BOUNDING_BOX", "POSE_KEYPOINT", "SIGMAS", "OPTICAL_FLOW"),
    *("MODEL", "CLIP_VISION", "VAE", "LATENT", "CONDITIONING", "FLOW", "STYLIZED_KEYS", "LINE_MATCHES", "PROPAGATION"),
)


@cache
def _inputs() -> list[tuple[str, str]]:
    """(node id, input) of all inputs, as the texts of the interface name them."""
    nodes = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text("utf-8"))
    return [(node, name) for node, texts in nodes.items() for name in texts.get("inputs", {})]


def _tensor(draws: random.Random) -> dict:
    rank = draws.choice((0, 1, 2, 3, 3, 3, 4, 4, 4, 4, 5))
    shape = [draws.choice(SIDES) for _ in range(rank)]
    if rank == 4 and draws.random() < 0.6:
        shape[0], shape[3] = draws.choice((1, 2, 3)), draws.choice((3, 3, 4, 1))
    while math.prod(shape) > MOST_ELEMENTS:
        shape[shape.index(max(shape))] //= 2
    return {"tensor": shape, "type": draws.choice(TYPES), "fill": draws.choice(FILLS), "last": draws.random() < 0.1}


def _plausible(draws: random.Random) -> dict:
    """Frames, masks and latents of any size, as nodes of other packs may make them."""
    count, height, width = draws.choice((1, 1, 2, 3, 4)), draws.choice(SIDES[1:]), draws.choice(SIDES[1:])
    shape = draws.choice(([count, height, width, 3], [count, height, width, 4], [count, height, width]))
    made = {"type": draws.choice(TYPES[:5]), "fill": draws.choice(FILLS[:5]), "last": False}
    if draws.random() < 0.2:
        return {"dictionary": {"samples": {"tensor": [count, 4, height // 8 + 1, width // 8 + 1], **made}}}
    return {"tensor": shape, **made}


def _video_latent(draws: random.Random) -> dict:
    """One like LTX's, often with a noise mask of any shape."""
    frames, side = draws.choice((1, 2, 3)), draws.choice((1, 2, 3))
    samples = [draws.choice((1, 1, 1, 2)), draws.choice((128, 128, 128, 129)), frames, side, 2]
    mask = draws.choice(([frames, side, 2], [frames, 1, side, 2], [1, 1, frames, side, 2], [1, 1, 9, 1, 1], None))
    made = {"fill": draws.choice(FILLS), "last": False}
    latent = {"samples": {"tensor": samples, "type": draws.choice(TYPES[:5]), "fill": "zeros", "last": False}}
    masks = {"tensor": mask, "type": draws.choice(TYPES), **made} if mask and draws.random() < 0.7 else _value(draws, 2)
    return {"dictionary": {**latent, **({"noise_mask": masks} if draws.random() < 0.7 else {})}}


def _value(draws: random.Random, depth: int = 0) -> dict:
    from support.odd_values import odd_values

    if draws.random() < 0.3:
        return _plausible(draws)
    if draws.random() < 0.1:  # what a text field may hold
        return {"plain": damaged(draws.choice(TEXTS + PER_GAP), draws, ALPHABET).decode("utf-8", "surrogateescape")}
    kind = draws.random()
    if kind < 0.15:
        return {"odd": draws.choice(list(odd_values()))}
    if kind < 0.3:
        return {"plain": draws.choice(ODD)}
    if kind < 0.4:
        return {"wire": draws.choice(WIRES)}
    if kind < 0.5 and depth < 2:
        return {"list": [_value(draws, depth + 1) for _ in range(draws.choice((1, 2, 3)))]}
    if kind < 0.65 and depth < 2:
        keys = draws.choice(
            (("samples",), ("samples", "noise_mask"), ("track_path", "track_visibility"), ("points",), ("people",))
        )
        return {"dictionary": {key: _value(draws, depth + 1) for key in keys}}
    if kind < 0.72:
        return {"conditioning": [_tensor(draws), _value(draws, 2)]}
    return _tensor(draws)


def _case(draws: random.Random) -> bytes:
    node, first = draws.choice(_inputs())
    names = [name for other, name in _inputs() if other == node]
    others = draws.sample(names, min(len(names), draws.choice((0, 0, 0, 1, 2))))
    inputs = {name: _value(draws) for name in (first, *others)}
    if draws.random() < 0.2:  # clips of one kind and size at all of them, as nodes that compare want
        inputs = dict.fromkeys(inputs, _plausible(draws))
    if node == LTX and draws.random() < 0.7:  # else every latent is refused at once
        inputs["latent"] = _video_latent(draws)
    return json.dumps({"node": node, "inputs": inputs}).encode()


def _made(spec: dict, wires: dict) -> object:
    """The value a case describes."""
    import torch

    from support.odd_values import odd_values

    if "odd" in spec:
        return odd_values()[spec["odd"]]
    if "plain" in spec:
        return spec["plain"]
    if "wire" in spec:
        return next((value for (_, kind), value in wires.items() if kind == spec["wire"]), None)
    if "list" in spec:
        return [_made(one, wires) for one in spec["list"]]
    if "dictionary" in spec:
        return {key: _made(one, wires) for key, one in spec["dictionary"].items()}
    if "conditioning" in spec:
        tensor, extra = spec["conditioning"]
        return [[_made(tensor, wires), {"pooled_output": _made(extra, wires)}]]
    values = torch.rand(spec["tensor"], generator=torch.Generator().manual_seed(0))
    match spec["fill"]:
        case "one nan":
            values.view(-1)[-1:] = torch.nan
        case "noise":
            pass
        case fill:
            numbers = {"zeros": 0, "ones": 1, "nan": torch.nan, "inf": torch.inf, "huge": 1e30, "tiny": 1e-40}
            values.fill_(numbers.get(fill, -3.0))
    values = values.to(getattr(torch, spec["type"]))
    return values.transpose(0, -1) if spec["last"] and values.ndim > 1 else values  # not contiguous


_bench = None
_lasting = contextlib.ExitStack()


def _begin(folder: Path) -> None:
    """All nodes once on sound values, which loads and compiles whatever they need."""
    global _bench
    from support.bootstrap import use_host

    use_host()
    from support.node_bench import Bench, small_base
    from support.schemas import pack_nodes

    nodes = pack_nodes()  # makes the host know the pack's model folders
    _lasting.enter_context(small_base(folder))  # until the process ends
    _bench = Bench(nodes, folder)
    _bench.run_all()


def _use(path: Path) -> None:
    case = json.loads(path.read_bytes())
    node = next((node for node in _bench.nodes if node.GET_SCHEMA().node_id == case["node"]), None)
    if node is None:
        return  # kept from when there was such a node
    inputs = _bench.inputs(node)
    for name, spec in case["inputs"].items():
        _bench.replace(node, inputs, name, _made(spec, _bench.values))
    _bench.run(node, inputs)


TARGETS = {"nodes": Target(_case, _use, ".json", begin=_begin)}
