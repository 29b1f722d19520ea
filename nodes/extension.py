"""The extension ComfyUI loads: collects the nodes of every module; one that fails is left out, with its reason."""

import importlib
import logging
import sys
from pathlib import Path

import folder_paths
from comfy_api.latest import ComfyExtension, io

from .host.services.example_inputs import place_example_inputs
from .host.services.installation import warn_of_odd_installation
from .host.services.model_files import register_model_folders

logger = logging.getLogger(__name__)

NODE_MODULES = (  # of this package; each lists its node classes in NODES
    "fcvg.gluestick",
    "fcvg.lines",
    "fcvg.poses",
    "fcvg.conditions",
    "fcvg.models",
    "fcvg.conditioning",
    "clips.segments",
    "clips.saved_segments",
    "fcvg.sampling",
    "fcvg.decode",
    "inbetween.layers",
    "inbetween.rendering",
    "inbetween.guides",
    "inbetween.ltx_guides",
    "tooncrafter.models",
    "tooncrafter.conditioning",
    "tooncrafter.sampling",
    "tooncrafter.decode",
    "tooncrafter.sketches",
    "flow.estimation",
    "measures.clip",
    "measures.comparison",
    "measures.prompt_fit",
    "ebsynth.painting",
    "clips.frame_preparation",
    "rerender.keyframe_selection",
    "rerender.encode",
    "rerender.constraints",
    "rerender.keyframes",
)


def nodes_of(name: str) -> list[type[io.ComfyNode]]:
    """The node classes of one module, or an empty list when it cannot be loaded.

    Every schema is built here, because an exception later would take all nodes of the pack from the server.
    """
    try:
        nodes = list(importlib.import_module(f".{name}", __package__).NODES)
        for node in nodes:
            node.GET_SCHEMA()
    except Exception as error:  # whatever it is, the other modules must stay usable
        logger.error(
            "Betwixt: the nodes of '%s' are not available: %s: %s. Update ComfyUI and run "
            "'pip install -r requirements.txt' of this pack with ComfyUI's Python.",
            name,
            type(error).__name__,
            error,
        )
        return []
    return nodes


class BetwixtExtension(ComfyExtension):
    async def on_load(self) -> None:
        register_model_folders()
        # The host's module; without a server it is not there.
        warn_of_odd_installation(getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {}))
        place_example_inputs(Path(folder_paths.get_input_directory()))

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [node for module in NODE_MODULES for node in nodes_of(module)]


async def comfy_entrypoint() -> BetwixtExtension:
    return BetwixtExtension()
