"""Socket types of the pack; each carries the dataclass named beside it."""

from comfy_api.latest import io

LineMatcher = io.Custom("LINE_MATCHER")  # fcvg_core.line_matches.LineMatcher
LineMatches = io.Custom("LINE_MATCHES")  # fcvg_core.line_matches.LineMatches
PoseEstimator = io.Custom("POSE_ESTIMATOR")  # fcvg_core.pose_estimator.PoseEstimator
PoseKeypoint = io.Custom("POSE_KEYPOINT")  # the ecosystem's list of OpenPose-style dicts, one per frame
ControlNeXt = io.Custom("CONTROLNEXT")  # patcher of fcvg_core.controlnext.ControlNeXt
InbetweenConditioning = io.Custom("INBETWEEN_CONDITIONING")  # fcvg_core.inbetween_conditioning
FirstStage = io.Custom("TOONCRAFTER_FIRST_STAGE")  # nodes.host.tooncrafter_first_stage.FirstStage
References = io.Custom("KEY_FRAME_REFERENCES")  # tooncrafter_core.dual_reference.References
FlowModel = io.Custom("FLOW_MODEL")  # rerender_core.flow.FlowModel
Flow = io.Custom("FLOW")  # rerender_core.flow.Flow
StylisedKeys = io.Custom("STYLIZED_KEYS")  # rerender_core.stylized_keys.StylisedKeys
PatchSettings = io.Custom("PATCH_SETTINGS")  # rerender_core.propagation.PropagationOptions
Propagation = io.Custom("PROPAGATION")  # nodes.ebsynth.PropagatedClip
KeyframeConstraints = io.Custom("KEYFRAME_CONSTRAINTS")  # rerender_core.keyframe_constraints.KeyframeConstraints
MotionLayers = io.Custom("MOTION_LAYERS")  # tuple of fcvg_core.inbetween.layers.MotionLayers, one per gap
