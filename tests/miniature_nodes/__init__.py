"""Custom nodes for the test server: stock loaders whose models come in fixed, large sizes, with miniatures instead.

A graph is switched over to them by :func:`tests.miniature_graphs.miniature`.
"""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def _use_pack() -> None:
    """Make ``betwixt`` and ``tests`` importable here; ComfyUI's own folder ``tests`` comes first otherwise."""
    spec = importlib.util.spec_from_file_location("betwixt_tests_bootstrap", ROOT / "tests" / "bootstrap.py")
    bootstrap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    bootstrap.use_pack()


class MiniatureImageOnlyCheckpointLoader:
    """'Image Only Checkpoint Loader' with the models of tests.tiny_svd."""

    RETURN_TYPES = ("MODEL", "CLIP_VISION", "VAE")
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ckpt_name": ("STRING", {"default": ""})}}

    def load(self, ckpt_name):
        _use_pack()
        from betwixt.nodes.host.svd_model import model_from

        from tests import tiny_svd

        model, _ = model_from(tiny_svd.unet_weights(), ckpt_name)
        return model, tiny_svd.clip_vision(), tiny_svd.temporal_vae()


NODE_CLASS_MAPPINGS = {"MiniatureImageOnlyCheckpointLoader": MiniatureImageOnlyCheckpointLoader}
