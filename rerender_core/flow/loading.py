"""From the contents of a GMFlow weight file to the network."""

import torch

from ...common.errors import BetwixtError
from ...common.files.checkpoints import describe_state_dict, load_strict, unwrap_state_dict, wrong_weights
from ...common.files.published_files import GMFLOW
from .gmflow import GMFlow


def load_gmflow(contents: dict, file: str = "The file", operations=torch.nn) -> GMFlow:
    """The GMFlow network of the published checkpoint, a conversion of it, or its bare state dict; float32.

    Args:
        contents: of the file, nested as they are.
        file: what to call it in an error.

    Raises:
        BetwixtError: other or incomplete weights; says what they are.
    """
    weights, wanted, remedy = unwrap_state_dict(contents), "GMFlow", f"Choose {GMFLOW.described}."
    weights = {name.removeprefix("model."): value for name, value in weights.items()}
    if describe_state_dict(weights) != wanted:
        raise wrong_weights(weights, wanted, remedy, file)
    if "backbone.trident_conv.weight" in weights:
        raise BetwixtError(
            f"{file} holds GMFlow with refinement (two scales).", "GMFlow without refinement is needed.", remedy
        )
    network = GMFlow(operations=operations, dtype=torch.float32)
    load_strict(network, weights, wanted, remedy, file)
    return network.eval().requires_grad_(False)
