"""From the contents of the published SuperPoint and GlueStick files to the networks
(docs/methods/lines.md, Weight files)."""

import torch

from ....common.files.checkpoints import describe_state_dict, load_strict, unwrap_state_dict, wrong_weights
from ....common.files.published_files import GLUESTICK, SUPERPOINT
from .network import GlueStick, Layout
from .superpoint import SuperPoint


def load_superpoint(contents: dict, file: str = "The file", operations=torch.nn) -> SuperPoint:
    """The SuperPoint network of ``superpoint_v1.pth``, or of a conversion with the same tensor names; float32.

    Args:
        contents: of the file, nested as they are.
        file: what to call it in an error.

    Raises:
        BetwixtError: other or incomplete weights; says what they are.
    """
    weights, wanted, remedy = unwrap_state_dict(contents), "SuperPoint", f"Choose {SUPERPOINT.described}."
    if describe_state_dict(weights) != wanted:
        raise wrong_weights(weights, wanted, remedy, file)
    network = SuperPoint(SuperPoint.widths_of(weights), operations=operations, dtype=torch.float32)
    load_strict(network, weights, wanted, remedy, file)
    return network.eval().requires_grad_(False)


def load_gluestick(contents: dict, file: str = "The file", operations=torch.nn) -> GlueStick:
    """The matcher of ``checkpoint_GlueStick_MD.tar``, or of a conversion with the same tensor names; float32.

    The file holds the whole pipeline as it was trained: what has ``matcher.`` in its name is the matcher. A file
    without such names is taken for the matcher alone. Arguments as for :func:`load_superpoint`.

    Raises:
        BetwixtError: other or incomplete weights; says what they are.
    """
    weights, wanted, remedy = unwrap_state_dict(contents), "a GlueStick line matcher", f"Choose {GLUESTICK.described}."
    matcher = {name.replace("matcher.", ""): value for name, value in weights.items() if "matcher." in name} or weights
    if describe_state_dict(matcher) != wanted:
        raise wrong_weights(weights, wanted, remedy, file)
    network = GlueStick(Layout.of(matcher), operations=operations, dtype=torch.float32)
    load_strict(network, matcher, wanted, remedy, file)
    return network.eval().requires_grad_(False)
