"""API graphs of full-size models cut down to what a CPU samples in seconds."""

import copy

# Stock loaders whose models have fixed, large sizes -> the test server's nodes of the same inputs and outputs.
STOCK_LOADERS = (
    *("ImageOnlyCheckpointLoader", "CheckpointLoaderSimple", "ControlNetLoader", "VAELoader", "CLIPLoader"),
    "CLIPVisionLoader",
)
MINIATURES = {name: f"Miniature{name}" for name in STOCK_LOADERS}
NARROW = ("BetwixtLoadToonCrafter",)  # loaders that read narrow files as they read full ones
NARROW_FILES = {
    "wan_2.1_vae.safetensors",
    "ltx-video-2b-v0.9.5.safetensors",
}  # read by the stock loader, narrow as they are


def fewer(frames: int) -> int:
    """6 for the 16 that ToonCrafter was trained on; other lengths stay others."""
    return frames * 3 // 8


# Widgets that set the amount of work, by class: their value, or what makes it of the wanted one; links are left alone.
SMALL = {
    "BetwixtFitKeyFrames": {"width": 128, "height": 72},
    "BetwixtInbetweenConditioning": {"width": 64, "height": 64, "frame_count": 4},
    "BetwixtInterpolateConditions": {"frame_count": 4},
    "BetwixtInbetweenWithoutModel": {"frame_count": 4},
    "BetwixtGuideFrames": {"frame_count": 4},
    "BetwixtKeyFramePairs": {"frame_count": 4, "frames_per_gap": ""},
    "BetwixtInbetween": {"steps": 2},
    "BetwixtDecodeVideoLatents": {"chunk": 3, "overlap": 1},
    "BetwixtToonCrafterConditioning": {"width": 64, "height": 64, "frame_count": fewer},
    "BetwixtEncodeWithReferences": {"width": 64, "height": 64},
    "BetwixtTrailingSigmas": {"steps": 2},
    "BetwixtRetimeClip": {"frame_count": fewer},
    "BetwixtFitFrames": {"resolution": 64},
    "BetwixtRerenderKeyFrames": {"steps": 3},
    "WanVaceToVideo": {"width": 64, "height": 64, "length": 5},
    "EmptyLTXVLatentVideo": {"width": 64, "height": 64, "length": 9},
    "LTXVScheduler": {"steps": 2},
    "ImageFromBatch": {"length": lambda length: 4 if length == 11 else length},  # true frames of a comparison
    "FrameInterpolate": {"multiplier": 3},
    "EmptyImage": {"width": 64, "height": 64},
    "KarrasScheduler": {"steps": 2},
    "KSampler": {"steps": 2},
}


def needs_miniature(graph: dict) -> bool:
    """Whether a graph loads a model that is replaced, or that has a narrow stand-in."""
    return any(node["class_type"] in (*MINIATURES, *NARROW) for node in graph.values())


def miniature(graph: dict) -> dict:
    """A copy of the graph with small models, sizes and step counts; the graph itself if it needs none of that."""
    if not needs_miniature(graph):
        return graph
    small = copy.deepcopy(graph)
    for node in small.values():
        for name, value in SMALL.get(node["class_type"], {}).items():
            if not isinstance(node["inputs"].get(name), list):
                node["inputs"][name] = value(node["inputs"][name]) if callable(value) else value
        files = {value for value in node["inputs"].values() if isinstance(value, str)}
        if not files & NARROW_FILES:
            node["class_type"] = MINIATURES.get(node["class_type"], node["class_type"])
    return small
