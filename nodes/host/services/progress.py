"""Progress of long node work, shown in the interface, with cancel."""

import comfy.model_management
import comfy.utils
import numpy as np
from PIL import Image


class NodeProgress:
    """Callable ``progress(share, text)`` for the cores: updates the node's bar and raises when the user cancelled.

    Args:
        node_id: ``cls.hidden.unique_id`` of the running node.
    """

    STEPS = 1000

    def __init__(self, node_id: str | None):
        self._bar = comfy.utils.ProgressBar(self.STEPS, node_id=node_id)

    def __call__(self, share: float, text: str = "", preview=None) -> None:
        """``share``: 0..1 of the work done; ``preview``: picture for the node, PIL image or uint8 RGB [H, W, 3]."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        if isinstance(preview, np.ndarray):
            preview = Image.fromarray(preview)
        picture = None if preview is None else ("JPEG", preview, 512)
        self._bar.update_absolute(round(share * self.STEPS), self.STEPS, picture)
