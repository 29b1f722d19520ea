"""What the measuring nodes share: their outputs."""

from comfy_api.latest import io
from torch import Tensor

from ...common.measures.drawing import heat_map, plot, shown
from ...common.measures.measurement import Measurement

CATEGORY = "Betwixt/Measures"


def measure_outputs() -> list:
    """The output sockets of a measuring node."""
    return [
        io.Float.Output(display_name="value", tooltip="The number for the whole clip."),
        io.Float.Output(
            display_name="per_frame", is_output_list=True, tooltip="One number per frame or per pair of neighbours."
        ),
        io.Image.Output(display_name="plot", tooltip="The numbers over the frames."),
        io.Image.Output(
            display_name="heat_map", tooltip="Where the measure sees most, mean over the clip; yellow = most."
        ),
        io.String.Output(display_name="summary", tooltip="Name, number and unit in words."),
    ]


def results(measurement: Measurement, frames: Tensor) -> io.NodeOutput:
    """The values for :func:`measure_outputs`; ``frames`` [T, H, W, 3] are what was measured."""
    text = f"{measurement.name}: {shown(measurement.value, measurement.unit)}"
    if measurement.higher_is_better is not None:
        text += " (higher is better)" if measurement.higher_is_better else " (lower is better)"
    text += f"; {measurement.note}" if measurement.note else ""
    return io.NodeOutput(
        measurement.value,
        list(measurement.per_frame),
        plot(measurement),
        heat_map(measurement, *frames.shape[1:3]),
        text,
    )
