"""ComfyUI-Betwixt: from key frames to video with FCVG, ToonCrafter and Rerender-A-Video."""

if __package__:  # test runners import this file without a package; only ComfyUI's loader may pull in the nodes
    from .nodes.extension import comfy_entrypoint

    WEB_DIRECTORY = "./web"
    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
