"""Optical flow: choose an estimator, estimate the flow of frame pairs."""

import os

from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.files.published_files import GMFLOW
from ...common.pictures import rgb_frames
from ...rerender_core.flow.estimation import DenseInverseSearch, estimate_flow, neighbour_pairs, pairs_from, parse_pairs
from ...rerender_core.flow.preview import colour_wheel, warp_preview
from .. import sockets
from ..checked_node import CheckedNode
from ..file_inputs import published_file_input
from ..host.services.flow_models import GMFlowModel, RAFTModel
from ..host.services.memory import require_memory
from ..host.services.model_files import model_path, read_weights
from ..host.services.progress import NodeProgress

CATEGORY = "Betwixt/Flow"


class LoadFlowModel(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        weight_free = io.DynamicCombo.Option(
            "DIS",
            [
                io.Combo.Input(
                    "preset",
                    options=list(DenseInverseSearch.PRESETS),
                    default="medium",
                    tooltip="Accuracy of DIS: ultrafast for a first look, medium for results.",
                )
            ],
        )
        gmflow = io.DynamicCombo.Option(
            "GMFlow",
            [
                published_file_input(
                    "file",
                    GMFLOW,
                    "gmflow_sintel-0c07dcb3.pth or a safetensors conversion of it, in models/optical_flow; from "
                    "huggingface.co/PKUWilliamYang/Rerender, folder models.",
                )
            ],
        )
        raft = io.DynamicCombo.Option(
            "RAFT",
            [
                io.Custom("OPTICAL_FLOW").Input(
                    "optical_flow", tooltip="RAFT-large from the host's 'Load Optical Flow Model'."
                )
            ],
        )
        return io.Schema(
            node_id="BetwixtLoadFlowModel",
            display_name="Load Flow Model",
            category=CATEGORY,
            description="Chooses how the motion between frames is measured: DIS needs no file, GMFlow is what "
            "Rerender-A-Video was published with, RAFT comes from the host's own loader.",
            search_aliases=["optical flow", "gmflow", "raft", "dis"],
            inputs=[
                io.DynamicCombo.Input(
                    "method",
                    options=[weight_free, gmflow, raft],
                    tooltip="The flow estimator; each has its own inputs.",
                )
            ],
            outputs=[
                sockets.FlowModel.Output(display_name="flow_model", tooltip="The estimator, for 'Estimate Flow'.")
            ],
        )

    @classmethod
    def execute(cls, method) -> io.NodeOutput:
        match method["method"]:
            case "DIS":
                return io.NodeOutput(DenseInverseSearch(method["preset"]))
            case "GMFlow":
                path = model_path(GMFLOW.folder, method["file"], GMFLOW.described)
                return io.NodeOutput(GMFlowModel(read_weights(path), f"'{os.path.basename(path)}'"))
            case _:
                return io.NodeOutput(RAFTModel(method["optical_flow"]))


class EstimateFlow(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        neighbours = io.DynamicCombo.Option("neighbours", [])
        to_key = io.DynamicCombo.Option(
            "from a key frame",
            [io.Int.Input("key", default=0, min=0, max=99999, tooltip="Number of the key frame, counted from 0.")],
        )
        listed = io.DynamicCombo.Option(
            "list",
            [
                io.String.Input(
                    "pairs",
                    default="0-1",
                    tooltip="Frame pairs, source and target joined by '-', separated by commas, e.g. 0-5, 5-10.",
                )
            ],
        )
        return io.Schema(
            node_id="BetwixtEstimateFlow",
            display_name="Estimate Flow",
            category=CATEGORY,
            description="Measures the motion of frame pairs in both directions and marks what has no counterpart "
            "(forward-backward check of the paper).",
            search_aliases=["optical flow", "motion", "occlusion"],
            inputs=[
                io.Image.Input("frames", tooltip="The clip, at least two frames of one size."),
                sockets.FlowModel.Input("flow_model", tooltip="From 'Load Flow Model'."),
                io.DynamicCombo.Input(
                    "between",
                    options=[neighbours, to_key, listed],
                    tooltip="Which pairs: every frame and its successor, a key frame and all others, or given pairs.",
                ),
            ],
            outputs=[
                sockets.Flow.Output(
                    display_name="flow", tooltip="Forward and backward flow in pixels and the occlusion, per pair."
                ),
                io.Image.Output(
                    display_name="colour_wheel", tooltip="Backward flow per pair: hue = direction, saturation = length."
                ),
                io.Image.Output(
                    display_name="warp_preview",
                    tooltip="Target frames rebuilt from their source frames; pink = no counterpart.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, frames, flow_model, between) -> io.NodeOutput:
        frames = rgb_frames(frames, "frames")
        count = frames.shape[0]
        if count < 2:
            raise BetwixtError(
                "'frames' holds one frame.", "Flow needs at least two frames.", "Connect a clip to 'frames'."
            )
        match between["between"]:
            case "neighbours":
                pairs = neighbour_pairs(count)
            case "from a key frame":
                if between["key"] >= count:
                    raise BetwixtError(
                        f"The key frame is number {between['key']}.",
                        f"The clip has the frames 0..{count - 1}.",
                        "Change 'key'.",
                    )
                pairs = pairs_from(between["key"], count)
            case _:
                pairs = parse_pairs(between["pairs"], count)
        require_memory(
            len(pairs), *frames.shape[1:3], 41, "flow fields", "Estimate fewer pairs, or the flow of smaller pictures."
        )
        flow = estimate_flow(frames, pairs, flow_model, NodeProgress(cls.hidden.unique_id))
        return io.NodeOutput(flow, colour_wheel(flow), warp_preview(frames, flow))


NODES = [LoadFlowModel, EstimateFlow]
