"""Running ONNX files: through onnxruntime where it is installed, else through OpenCV
(docs/methods/poses.md, Running ONNX files)."""

import importlib.util
import logging
import os
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from ...common.errors import BetwixtError
from ...common.files.onnx_header import TensorInfo, read_onnx_header

logger = logging.getLogger(__name__)

ACCELERATORS = (
    "CUDAExecutionProvider",
    "DmlExecutionProvider",
    "CoreMLExecutionProvider",
    "ROCMExecutionProvider",
)
CPU = "CPUExecutionProvider"


class Session(Protocol):
    """What is used of ``onnxruntime.InferenceSession``; any object with these methods will do."""

    def get_inputs(self) -> Sequence[TensorInfo]: ...

    def get_outputs(self) -> Sequence[TensorInfo]: ...

    def run(self, names: Sequence[str] | None, feed: dict[str, np.ndarray]) -> list[np.ndarray]: ...


class OpenCVSession:
    """An ONNX file in OpenCV's dnn module."""

    def __init__(self, path: str):
        self._inputs, self._outputs = read_onnx_header(path)
        self._net = cv2.dnn.readNetFromONNX(path)

    def get_inputs(self) -> Sequence[TensorInfo]:
        return self._inputs

    def get_outputs(self) -> Sequence[TensorInfo]:
        return self._outputs

    def run(self, names: Sequence[str] | None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        for name, value in feed.items():
            self._net.setInput(value, name)
        return list(self._net.forward(list(names or [output.name for output in self._outputs])))


def open_session(path: str, runtime: str | None = None) -> Session:
    """Load an ONNX file for inference.

    Args:
        path: the file.
        runtime: "onnxruntime" or "opencv"; None = onnxruntime if it is installed. onnxruntime uses the first
            accelerator it lists (CUDA, DirectML, CoreML, ROCm) and otherwise, or if that fails, the CPU.

    Raises:
        BetwixtError: the file is empty, truncated, no ONNX file, or the runtime refuses it.
    """
    read_onnx_header(path)
    if runtime is None:
        runtime = "onnxruntime" if importlib.util.find_spec("onnxruntime") else "opencv"
    name = os.path.basename(path)
    try:
        session = _open_onnxruntime(path) if runtime == "onnxruntime" else OpenCVSession(path)
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise BetwixtError(
            f"'{name}' cannot be loaded by {runtime} ({type(error).__name__}: {reason}).",
            "A complete ONNX file with operations that the runtime knows is needed.",
            f"Download it again; if it stays, install or update onnxruntime. The file is {path}",
        ) from error
    where = session.get_providers()[0] if runtime == "onnxruntime" else "OpenCV"
    logger.info("Betwixt: %s runs on %s.", name, where.removesuffix("ExecutionProvider"))
    return session


def _open_onnxruntime(path: str) -> Session:
    import onnxruntime  # seconds on some machines

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about graph optimisation
    available = onnxruntime.get_available_providers()
    accelerator = next((provider for provider in ACCELERATORS if provider in available), None)
    if accelerator is None:
        return onnxruntime.InferenceSession(path, options, providers=[CPU])
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[accelerator, CPU])
    except Exception as error:
        logger.warning("Betwixt: %s failed, running on the CPU instead: %s", accelerator, error)
        return onnxruntime.InferenceSession(path, options, providers=[CPU])
    if accelerator not in session.get_providers():  # it says so only in its own log
        logger.warning("Betwixt: %s could not start (wrong CUDA or cuDNN version?), running on the CPU.", accelerator)
    return session
