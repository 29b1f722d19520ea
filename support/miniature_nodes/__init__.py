"""Custom nodes for the test server: stock loaders whose models come in fixed, large sizes, with miniatures instead.

A graph is switched over to them by :func:`support.runs.miniature_graphs.miniature`.
"""

import os

from . import sd15, tooncrafter, wan
from .pack import use_pack


class MiniatureImageOnlyCheckpointLoader:
    """'Image Only Checkpoint Loader' with the models of support.models.tiny_svd."""

    RETURN_TYPES = ("MODEL", "CLIP_VISION", "VAE")
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ckpt_name": ("STRING", {"default": ""})}}

    def load(self, ckpt_name):
        use_pack()
        from betwixt.nodes.host.svd.model import model_from

        from support.models import tiny_svd

        model, _ = model_from(tiny_svd.unet_weights(), ckpt_name)
        return model, tiny_svd.clip_vision(), tiny_svd.temporal_vae()


class RequireCard:
    """Passes frames on; where SIMULATED_CARD is less than it asks for, raises what the host takes for a full card."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "ask"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "gigabytes": ("FLOAT", {"default": 1.0})}}

    def ask(self, images, gigabytes):
        import comfy.model_management

        if float(os.environ.get("SIMULATED_CARD", "0")) < gigabytes:
            raise comfy.model_management.OOM_EXCEPTION("CUDA out of memory.")
        return (images,)


NODE_CLASS_MAPPINGS = {
    "RequireCard": RequireCard,
    "MiniatureImageOnlyCheckpointLoader": MiniatureImageOnlyCheckpointLoader,
    **{node.__name__: node for node in (*sd15.NODES, *tooncrafter.NODES, *wan.NODES)},
}
