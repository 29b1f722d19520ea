"""Stable Diffusion 1.5 in miniature behind the stock loaders' inputs and outputs."""

from .pack import use_pack


class WordVectors:
    """A CLIP whose tokens are random vectors of the text's letters; as wide as the miniature UNet's context."""

    def tokenize(self, text):
        return text

    def encode_from_tokens_scheduled(self, text):
        from support.models import tiny_sd15

        return tiny_sd15.text(sum(map(ord, text)))


class MiniatureCheckpointLoaderSimple:
    """'Load Checkpoint' with the models of support.models.tiny_sd15."""

    RETURN_TYPES = ("MODEL", "CLIP", "VAE")
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ckpt_name": ("STRING", {"default": ""})}}

    def load(self, ckpt_name):
        use_pack()
        from support.models import tiny_sd15

        weights = tiny_sd15.weights()
        return tiny_sd15.model(weights), WordVectors(), tiny_sd15.vae(weights)


class MiniatureVAELoader:
    """'Load VAE' with the VAE of support.models.tiny_sd15."""

    RETURN_TYPES = ("VAE",)
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"vae_name": ("STRING", {"default": ""})}}

    def load(self, vae_name):
        use_pack()
        from support.models import tiny_sd15

        return (tiny_sd15.vae(tiny_sd15.weights()),)


class MiniatureControlNetLoader:
    """'Load ControlNet Model' with the ControlNet of support.models.tiny_sd15."""

    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"control_net_name": ("STRING", {"default": ""})}}

    def load(self, control_net_name):
        use_pack()
        from support.models import tiny_sd15

        return (tiny_sd15.control_net(tiny_sd15.weights()),)


NODES = (MiniatureCheckpointLoaderSimple, MiniatureControlNetLoader, MiniatureVAELoader)
