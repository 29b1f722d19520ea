"""Pieces of a clip kept without loss, for going on later or elsewhere."""

import hashlib
import json
import os
from pathlib import Path

import comfy.model_management as management
import folder_paths
import torch
from comfy_api.latest import io, ui
from comfyui_version import __version__ as host_version

from ...common.errors import BetwixtError
from ...common.files.pack_version import pack_version
from ...common.files.segments import HIGHEST, numbers_of, read_segment, segment_path, write_segment
from ...common.number_lists import parse_part
from ...common.pictures import rgb_frames
from ..checked_node import CheckedNode
from ..host.services.memory import require_bytes

CATEGORY = "Betwixt/Clips"
LONGEST_NAME = 200  # characters


def _place(name: str, root: str) -> tuple[str, str]:
    """(folder, beginning of the file names) of a segment's name inside a folder of the host.

    Raises:
        BetwixtError: no name, or one that leads out of the folder.
    """
    path = os.path.abspath(os.path.join(root, name))
    inside = Path(path).is_relative_to(os.path.abspath(root))  # other drives as well
    usable = name.strip() == name and name.isprintable() and 0 < len(name) <= LONGEST_NAME
    if not usable or not inside or not os.path.basename(name):
        raise BetwixtError(
            f"'name' is {name[:80]!r}.",
            "A name inside the folder is needed, with or without a subfolder, e.g. segments/shot1.",
            "Change 'name'.",
        )
    return os.path.dirname(path), os.path.basename(path)


def graph_hash(prompt: dict | None, node_id: str | None) -> str | None:
    """SHA-256 of what a node's inputs depend on in an API graph, titles and positions left out."""
    if not prompt or node_id not in prompt:
        return None
    wanted, found = [node_id], {}
    while wanted:
        node = wanted.pop()
        if node in found or node not in prompt:
            continue
        found[node] = {key: prompt[node].get(key) for key in ("class_type", "inputs")}
        links = [value for value in (prompt[node].get("inputs") or {}).values() if isinstance(value, list)]
        wanted += [link[0] for link in links if len(link) == 2 and isinstance(link[0], str)]
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()


def _device() -> str:
    device = management.get_torch_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class SaveSegment(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtSaveSegment",
            display_name="Save Segment",
            category=CATEGORY,
            description="Keeps frames in the output folder without any loss: float values with a manifest and a "
            "checksum. 'Load Segment' goes on with them, later or on another machine.",
            search_aliases=["save frames", "resume", "checkpoint", "cache", "lossless"],
            inputs=[
                io.Image.Input("images", tooltip="Frames; a list of clips becomes one file each."),
                io.String.Input(
                    "name",
                    default="segments/segment",
                    tooltip="Beginning of the file names in the output folder, with subfolder; a number is added.",
                ),
                io.Int.Input(
                    "first",
                    default=1,
                    min=1,
                    max=HIGHEST,
                    tooltip="Number of the first file; the clips of a list count on from it. A file of the same number "
                    "is replaced. With 'gaps' 3-5 of 'Key Frame Pairs' write 3.",
                ),
                io.Mask.Input("masks", optional=True, tooltip="Masks of the same frames, kept in the same files."),
            ],
            outputs=[io.String.Output(display_name="name", tooltip="The name, for 'Load Segment' in the same graph.")],
            is_output_node=True,
            is_input_list=True,
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    @classmethod
    def execute(cls, images, name, first, masks=None) -> io.NodeOutput:
        folder, beginning = _place(name[0], folder_paths.get_output_directory())
        clips = [rgb_frames(clip, "images") for clip in images]
        masks = masks if masks is not None else [None] * len(clips)
        if len(masks) != len(clips) or any(
            mask is not None and mask.shape != clip.shape[:3] for mask, clip in zip(masks, clips, strict=False)
        ):
            raise BetwixtError(
                "'masks' do not fit 'images'.",
                "Each clip needs as many masks as it has frames, of the same size.",
                "Connect the masks of the same frames, or none.",
            )
        about = {
            "graph": graph_hash(cls.hidden.prompt, cls.hidden.unique_id),
            "betwixt": pack_version(),
            "comfyui": host_version,
            "torch": torch.__version__,
            "device": _device(),
            "threads": torch.get_num_threads(),
        }
        os.makedirs(folder, exist_ok=True)
        written = []
        for number, (clip, mask) in enumerate(zip(clips, masks, strict=True), first[0]):
            path = segment_path(folder, beginning, number)
            write_segment(path, clip, mask, about)
            written.append(os.path.relpath(path, folder_paths.get_output_directory()))
        return io.NodeOutput(name[0], ui=ui.PreviewText("\n".join(written)))


class LoadSegment(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtLoadSegment",
            display_name="Load Segment",
            category=CATEGORY,
            description="Reads what 'Save Segment' kept, value for value, and checks that nothing was damaged.",
            search_aliases=["load frames", "resume", "lossless"],
            inputs=[
                io.String.Input(
                    "name",
                    default="segments/segment",
                    tooltip="Beginning of the file names, as in 'Save Segment'; looked for in the output folder, then "
                    "in the input folder.",
                ),
                io.String.Input(
                    "numbers",
                    default="",
                    tooltip="Which of them: '3' or '2-4'. Empty: all from 1 on; none may be missing.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="segments",
                    is_output_list=True,
                    tooltip="One clip per file, as a list, e.g. for 'Join Segments'.",
                ),
                io.Image.Output(display_name="images", tooltip="All frames, one file after the other."),
                io.Mask.Output(
                    display_name="masks",
                    is_output_list=True,
                    tooltip="One mask batch per file; black where none was kept.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, name, numbers):
        if name is None or numbers is None:  # comes over a wire, as from 'Save Segment': that node's inputs decide
            return ""
        try:
            return [(path, os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in _paths(name, numbers)]
        except (BetwixtError, OSError):
            return float("nan")

    @classmethod
    def execute(cls, name, numbers) -> io.NodeOutput:
        paths = _paths(name, numbers)
        size = sum(os.path.getsize(path) for path in paths)  # of float32 values, which are then joined in a copy
        require_bytes(2 * size, f"{len(paths)} segments", "Load fewer at once with 'numbers'.")
        read = [read_segment(path) for path in paths]
        frames = [segment.frames for segment in read]
        sizes = {tuple(clip.shape[1:]) for clip in frames}
        if len(sizes) > 1:
            listed = ", ".join(f"{width}x{height}" for height, width, _ in sorted(sizes))
            raise BetwixtError(
                f"The segments '{name}' have different sizes: {listed}.",
                "The frames of one name must have one size.",
                "Load them one by one with 'numbers', or make them again.",
            )
        masks = [torch.zeros(s.frames.shape[:3]) if s.mask is None else s.mask for s in read]
        return io.NodeOutput(frames, torch.cat(frames), masks)


def _paths(name: str, numbers: str) -> list[str]:
    """The files that are meant.

    Raises:
        BetwixtError: none of that name, one missing in between, a number beyond.
    """
    roots = (folder_paths.get_output_directory(), folder_paths.get_input_directory())
    places = [_place(name, root) for root in roots]
    folder, beginning = next((place for place in places if numbers_of(*place)), places[0])
    there = numbers_of(folder, beginning)
    if not there:
        raise BetwixtError(
            f"There is no segment '{name}'.",
            f"Files such as {Path(segment_path('', name, 1)).name} in the output or the input folder are needed.",
            "Write the 'name' of 'Save Segment', or run the graph that saves them.",
        )
    wanted = parse_part(numbers, "numbers", there[-1], "segments")
    missing = [number + 1 for number in wanted if number + 1 not in set(there)]
    if missing:
        listed = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
        raise BetwixtError(
            f"Of the segments '{name}' the numbers {listed} are missing.",
            f"All of {wanted.start + 1} to {wanted.stop} are needed.",
            "Make the missing ones, or choose others with 'numbers'.",
        )
    return [segment_path(folder, beginning, number + 1) for number in wanted]


NODES = [SaveSegment, LoadSegment]
