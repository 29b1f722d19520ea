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
from ...common.files.file_hash import sha256_of
from ...common.files.onnx_header import TensorInfo, read_onnx_header
from ...common.files.onnx_structure import check_structure
from ...common.files.onnx_windows import check_windows
from ...common.files.published_files import DWPOSE, YOLOX

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
        _require_sound(path)
        self._net = cv2.dnn.readNetFromONNX(path)

    def get_inputs(self) -> Sequence[TensorInfo]:
        return self._inputs

    def get_outputs(self) -> Sequence[TensorInfo]:
        return self._outputs

    def run(self, names: Sequence[str] | None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        for name, value in feed.items():
            self._net.setInput(value, name)
        return list(self._net.forward(list(names or [output.name for output in self._outputs])))


def _require_sound(path: str) -> None:
    """Refuse what could crash OpenCV's importer; the published files are known to import."""
    try:
        check_structure(path)
    except BetwixtError:
        if sha256_of(path) not in (YOLOX.sha256, DWPOSE.sha256):
            raise


def open_session(path: str, runtime: str | None = None) -> Session:
    """Load an ONNX file for inference.

    Args:
        path: the file.
        runtime: "onnxruntime" or "opencv"; None = onnxruntime if it is installed and works. It uses the first
            accelerator it lists (CUDA, DirectML, CoreML, ROCm) and otherwise, or if that fails, the CPU.

    Raises:
        BetwixtError: the file is empty, truncated, no ONNX file, or the runtime refuses it.
    """
    read_onnx_header(path)
    check_windows(path)
    if runtime is None:
        runtime = "onnxruntime" if _onnxruntime_works() else "opencv"
    name = os.path.basename(path)
    try:
        session = _open_onnxruntime(path) if runtime == "onnxruntime" else OpenCVSession(path)
    except BetwixtError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise BetwixtError(
            f"'{name}' cannot be loaded by {runtime} ({type(error).__name__}: {reason}).",
            "A complete ONNX file with operations that the runtime knows is needed.",
            f"Download it again; if it stays, install or update onnxruntime. The file is {path}",
        ) from error
    where = getattr(session, "get_providers", lambda: [CPU])()[0]
    engine = "onnxruntime" if runtime == "onnxruntime" else f"OpenCV {cv2.__version__}"
    logger.info("Betwixt: %s runs through %s on %s.", name, engine, where.removesuffix("ExecutionProvider"))
    return session


def _onnxruntime_works() -> bool:
    if importlib.util.find_spec("onnxruntime") is None:
        return False
    try:
        import onnxruntime

        return bool(onnxruntime.get_available_providers())
    except Exception as error:  # a broken installation: CPU and GPU packages overwrite each other
        logger.warning("Betwixt: onnxruntime is installed but cannot be used, OpenCV is taken instead: %s", error)
        return False


def run_network(session: Session, tensor: np.ndarray, name: str) -> list[np.ndarray]:
    """What a network with one input makes of a tensor, in the order the file declares; names differ between exports.

    Args:
        name: the file, for error texts.

    Raises:
        BetwixtError: it cannot be run on this tensor, or the results are not finite.
    """
    try:
        results = session.run([o.name for o in session.get_outputs()], {session.get_inputs()[0].name: tensor})
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise BetwixtError(
            f"'{name}' cannot be run on a tensor {list(tensor.shape)} ({type(error).__name__}: {reason}).",
            "The published networks run on CPU and GPU.",
            "Download the file again; if it stays, install or update onnxruntime.",
        ) from error
    if not all(np.isfinite(result).all() for result in results):
        raise BetwixtError(
            f"'{name}' returned NaN or infinite values.",
            "A network's output must be finite.",
            "Use the float32 file, or remove onnxruntime's accelerator package to run it on the CPU.",
        )
    return results


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
