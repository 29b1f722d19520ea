"""The encoders beside pruned ToonCrafter and DynamiCrafter files, in miniature behind the stock loaders."""

from .pack import use_pack

HEAD_WIDTH = 16


def tower(prefix: str) -> dict:
    """The tensors of one encoder in the narrow complete file, without their prefix."""
    from support.models import tooncrafter_stand_ins

    weights = tooncrafter_stand_ins.tooncrafter()
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def text_encoder():
    """Stable Diffusion 2's CLIP, as narrow as the stand-in models."""
    use_pack()
    from betwixt.nodes.host.tooncrafter import clip_towers

    return clip_towers.text_encoder(tower("cond_stage_model."), HEAD_WIDTH, "the miniature")


def image_encoder():
    """The narrow ViT-H, whose embeddings are as wide as those of :func:`text_encoder`."""
    use_pack()
    from betwixt.nodes.host.tooncrafter import clip_towers

    return clip_towers.image_encoder(tower("embedder.model.visual."), HEAD_WIDTH, "the miniature")


class MiniatureCLIPVisionLoader:
    """'Load CLIP Vision' with the narrow ViT-H."""

    RETURN_TYPES = ("CLIP_VISION",)
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"clip_name": ("STRING", {"default": ""})}}

    def load(self, clip_name):
        return (image_encoder(),)


NODES = (MiniatureCLIPVisionLoader,)
