"""From the contents of a GMFlow weight file to the network."""

import torch

from ..common.errors import BetwixtError
from .gmflow import GMFlow

PUBLISHED = "gmflow_sintel-0c07dcb3.pth (Hugging Face PKUWilliamYang/Rerender, folder models)"


def load_gmflow(contents: dict, operations=torch.nn, device=None) -> GMFlow:
    """The GMFlow network of a published checkpoint, a safetensors conversion of it, or its bare state dict.

    Raises:
        BetwixtError: the weights are not those of one-scale GMFlow.
    """
    state_dict = contents.get("model", contents)
    state_dict = {key.removeprefix("model.").removeprefix("module."): value for key, value in state_dict.items()}
    if "backbone.trident_conv.weight" in state_dict:
        raise BetwixtError(
            "The file holds GMFlow with refinement (two scales).",
            "GMFlow without refinement is needed.",
            f"Choose {PUBLISHED}.",
        )
    with torch.device("meta"):
        expected = GMFlow().state_dict()
    wrong = [key for key, value in expected.items() if key not in state_dict or state_dict[key].shape != value.shape]
    surplus = [key for key in state_dict if key not in expected]
    if wrong or surplus:
        raise BetwixtError(
            f"The file does not hold GMFlow weights: {len(wrong)} of {len(expected)} tensors are missing or of another "
            f"shape (first: {wrong[:1]}), {len(surplus)} are unknown (first: {surplus[:1]}).",
            "The 123 tensors of one-scale GMFlow are needed.",
            f"Choose {PUBLISHED}.",
        )
    model = GMFlow(operations=operations, device=device, dtype=torch.float32)
    model.load_state_dict(state_dict)
    return model.eval()
