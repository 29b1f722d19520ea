"""Flow between key frames, estimated in groups while they are rendered."""

from collections.abc import Callable, Sequence

from torch import Tensor

from ...common.progress import Progress
from ..flow.estimation import FlowModel, estimate_flow
from .correspondence import correspondence_from
from .rendering import Correspondence

GROUP = 32  # pairs


class FlowAhead:
    """(earlier, later position) -> :class:`Correspondence`, for the renderer.

    A group of pairs is estimated at once, so that the flow network and the picture model do not take turns in memory
    with every key frame; only the newest group is kept, so that memory does not grow with the length of the clip.

    Args:
        frames: float32 [N, H, W, 3], 0..1, the key frames.
        pairs: that will be asked for; the first group is estimated here.
        progress: called with the share of the first group; cancelled: called between the pairs of later groups. Both
            may raise to cancel.
    """

    def __init__(
        self,
        frames: Tensor,
        pairs: Sequence[tuple[int, int]],
        model: FlowModel,
        progress: Progress,
        cancelled: Callable[[], None],
    ):
        self._frames, self._model, self._cancelled = frames, model, cancelled
        self._pairs = sorted(pairs, key=lambda pair: (pair[1], pair[0]))  # in the order of rendering
        self._estimate(0, progress)

    def _estimate(self, begin: int, progress: Progress) -> None:
        self._group = self._pairs[begin : begin + GROUP]
        self._between = correspondence_from(estimate_flow(self._frames, self._group, self._model, progress))

    def __call__(self, earlier: int, later: int) -> Correspondence:
        if (earlier, later) not in self._group:
            self._estimate(self._pairs.index((earlier, later)), lambda share, *told: self._cancelled())
        return self._between(earlier, later)
