"""Whole-body poses: load DWPose, extract, draw, and keep POSE_KEYPOINT in files."""

import os

import folder_paths
import numpy as np
from comfy_api.latest import io, ui

from ...common.errors import BetwixtError
from ...common.files.published_files import DWPOSE, YOLOX
from ...common.pictures import rgb_frames, to_float, to_uint8
from ...fcvg_core.poses.bounding_boxes import read_person_boxes
from ...fcvg_core.poses.drawing import draw_poses, overlay_poses
from ...fcvg_core.poses.estimator import PoseEstimator
from ...fcvg_core.poses.onnx_session import open_session
from ...fcvg_core.poses.pose_keypoint import read_pose_keypoints, standard_pose_keypoints, write_pose_keypoints
from .. import sockets
from ..checked_node import CheckedNode
from ..file_inputs import missing_file, published_file_input
from ..host.services.memory import require_memory
from ..host.services.model_files import model_path
from ..host.services.pose_files import annotated_path, load_json, save_json
from ..host.services.progress import NodeProgress

CATEGORY = "Betwixt/FCVG"


class LoadDWPose(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtLoadDWPose",
            display_name="Load DWPose",
            category=CATEGORY,
            description="Loads DWPose's person detector and whole-body pose network. They run through onnxruntime if "
            "it is installed, otherwise through OpenCV on the CPU.",
            search_aliases=["pose", "openpose", "yolox", "onnx"],
            inputs=[
                published_file_input(
                    "detector", YOLOX, "Person detector: yolox_l.onnx in models/dwpose, detection or onnx."
                ),
                published_file_input(
                    "pose_model",
                    DWPOSE,
                    "Whole-body pose network: dw-ll_ucoco_384.onnx in models/dwpose, detection or onnx.",
                ),
            ],
            outputs=[
                sockets.PoseEstimator.Output(
                    display_name="pose_estimator", tooltip="Detector and pose network, for 'Extract Poses'."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, detector, pose_model) -> bool | str:
        answers = missing_file(YOLOX, detector), missing_file(DWPOSE, pose_model)
        return next((answer for answer in answers if answer is not True), True)

    @classmethod
    def execute(cls, detector, pose_model) -> io.NodeOutput:
        slots = ((detector, YOLOX), (pose_model, DWPOSE))
        paths = [model_path(published.folder, name, published.described) for name, published in slots]
        sessions = [open_session(path) for path in paths]
        return io.NodeOutput(PoseEstimator(*sessions, detector, pose_model))


class ExtractPoses(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtExtractPoses",
            display_name="Extract Poses",
            category=CATEGORY,
            description="Finds the people in each picture and their body, hand and face points.",
            search_aliases=["dwpose", "openpose", "pose detection", "keypoints"],
            inputs=[
                sockets.PoseEstimator.Input("pose_estimator", tooltip="From 'Load DWPose'."),
                io.Image.Input("images", tooltip="The pictures, e.g. the two key frames as a batch. Alpha is ignored."),
                io.Boolean.Input(
                    "require_detection",
                    default=False,
                    tooltip="Off, as published: a picture in which no person is found is taken for one person as a "
                    "whole, which gives faint dots. On: it gets no pose; if that happens to all pictures, the node "
                    "stops.",
                ),
                io.BoundingBox.Input(
                    "bboxes",
                    optional=True,
                    force_input=True,
                    tooltip="Boxes from another detector to use instead, e.g. RT-DETR's; only those labelled person.",
                ),
            ],
            outputs=[
                sockets.PoseKeypoint.Output(
                    display_name="poses", tooltip="One frame per picture: points in pixels, with their scores."
                ),
                io.Image.Output(display_name="preview", tooltip="The poses, as FCVG draws them, over the pictures."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, pose_estimator, images, require_detection, bboxes=None) -> io.NodeOutput:
        frames = to_uint8(rgb_frames(images, "images"))
        count = len(frames)
        boxes = [None] * count if bboxes is None else read_person_boxes(bboxes, count)
        progress = NodeProgress(cls.hidden.unique_id)
        poses, previews = [], np.empty_like(frames)
        for index, frame in enumerate(frames):
            pose = pose_estimator.estimate(
                frame,
                require_detection,
                boxes[index],
                lambda share, text, done=index: progress((done + 0.9 * share) / count, text),
            )
            poses.append(pose)
            previews[index] = overlay_poses(frame[None], [pose])[0]
            progress((index + 1) / count, "estimating poses")
        if not any(len(pose) for pose in poses):
            raise BetwixtError(
                f"No person was found in 'images' ({count} pictures).",
                "With 'require_detection' on, at least one picture must show a person.",
                "Switch it off to pose the whole picture, connect 'bboxes', or leave the poses out of the conditions.",
            )
        return io.NodeOutput(write_pose_keypoints(poses), to_float(previews))


class DrawPoses(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        def side(name: str) -> io.Int.Input:
            return io.Int.Input(
                name, default=0, min=0, max=8192, tooltip=f"{name.capitalize()} in pixels; 0 = that of the poses."
            )

        return io.Schema(
            node_id="BetwixtDrawPoses",
            display_name="Draw Poses (FCVG)",
            category=CATEGORY,
            description="Draws poses the way FCVG's condition encoder was trained on: red and blue exchanged against "
            "OpenPose, brightness by score.",
            search_aliases=["openpose", "render pose", "skeleton"],
            inputs=[
                sockets.PoseKeypoint.Input(
                    "poses", tooltip="From 'Extract Poses', the host's SDPose nodes, controlnet_aux or a file."
                ),
                side("width"),
                side("height"),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="One picture per frame, figures on black.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, poses, width, height) -> io.NodeOutput:
        frames = read_pose_keypoints(poses, "poses", (height, width) if width and height else None)
        size = height or frames[0].canvas[0], width or frames[0].canvas[1]
        require_memory(len(frames), *size, 15, "pictures", "Lower 'width' and 'height', or the canvas of the poses.")
        for frame in frames:
            frame.require_aspect(*size, "poses")
        return io.NodeOutput(to_float(draw_poses(frames, *size, NodeProgress(cls.hidden.unique_id))))


def _path(file: object) -> str | None:
    """Path of a file in the input folder, or where "[output]" behind its name says; None: there is none such."""
    try:
        path = folder_paths.get_annotated_filepath(file)
    except (AttributeError, TypeError, ValueError):  # a name that leads out of the folder, or no name
        return None
    return path if os.path.isfile(path) else None


class LoadPoseKeypoints(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        folder = folder_paths.get_input_directory()
        names = [name for name in os.listdir(folder) if name.lower().endswith(".json")] if os.path.isdir(folder) else []
        return io.Schema(
            node_id="BetwixtLoadPoseKeypoints",
            display_name="Load Pose Keypoints",
            category=CATEGORY,
            description="Reads poses from a JSON file in the input folder: one frame or a list of frames in OpenPose's "
            "layout, as 'Save Pose Keypoints', controlnet_aux, pose editors and OpenPose itself (BODY_25) write them.",
            search_aliases=["openpose json", "pose json"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=sorted(names),
                    tooltip="JSON file in the input folder; 'name.json [output]' addresses the output folder.",
                ),
                *(
                    io.Int.Input(
                        name,
                        default=0,
                        min=0,
                        max=16384,
                        optional=True,
                        advanced=True,
                        tooltip=f"{name.capitalize()} of the picture the poses were found in, where the file does not "
                        "say it (OpenPose's own program). 0 = as in the file, or that of the key frames.",
                    )
                    for name in ("width", "height")
                ),
            ],
            outputs=[sockets.PoseKeypoint.Output(display_name="poses", tooltip="The frames in the file.")],
        )

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        return True if file is None or _path(file) is not None else f"There is no file '{file}'."  # None: by a wire

    @classmethod
    def fingerprint_inputs(cls, file, **canvas):
        path = _path(file)
        return None if path is None else os.stat(path).st_mtime_ns

    @classmethod
    def execute(cls, file, width=0, height=0) -> io.NodeOutput:
        canvas = (height, width) if width and height else None
        return io.NodeOutput(standard_pose_keypoints(load_json(annotated_path(file)), file, canvas))


class SavePoseKeypoints(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtSavePoseKeypoints",
            display_name="Save Pose Keypoints",
            category=CATEGORY,
            description="Writes poses to a JSON file in the output folder, as they are: to edit, keep or share them.",
            search_aliases=["openpose json", "pose json", "export pose"],
            inputs=[
                sockets.PoseKeypoint.Input("poses", tooltip="From any node that makes POSE_KEYPOINT."),
                io.String.Input(
                    "filename_prefix",
                    default="poses/pose",
                    tooltip="Beginning of the file name, with subfolder; a number and .json are added.",
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, poses, filename_prefix) -> io.NodeOutput:
        read_pose_keypoints(poses, "poses")
        saved = save_json(poses if isinstance(poses, list) else [poses], filename_prefix)
        return io.NodeOutput(ui=ui.PreviewText(saved))


NODES = [LoadDWPose, ExtractPoses, DrawPoses, LoadPoseKeypoints, SavePoseKeypoints]
