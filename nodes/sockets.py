"""Socket types of the pack; each carries the dataclass named beside it."""

from comfy_api.latest import io

LineMatcher = io.Custom("LINE_MATCHER")  # fcvg_core.lines.matches.LineMatcher
LineMatches = io.Custom("LINE_MATCHES")  # fcvg_core.lines.matches.LineMatches
PoseEstimator = io.Custom("POSE_ESTIMATOR")  # fcvg_core.poses.estimator.PoseEstimator
PoseKeypoint = io.Custom("POSE_KEYPOINT")  # the ecosystem's list of OpenPose-style dicts, one per frame
ControlNeXt = io.Custom("CONTROLNEXT")  # patcher of fcvg_core.sampling.controlnext.ControlNeXt
InbetweenConditioning = io.Custom("INBETWEEN_CONDITIONING")  # fcvg_core.sampling.inbetween_conditioning
FirstStage = io.Custom("TOONCRAFTER_FIRST_STAGE")  # nodes.host.tooncrafter.first_stage.FirstStage
References = io.Custom("KEY_FRAME_REFERENCES")  # tooncrafter_core.dual_reference.References
FlowModel = io.Custom("FLOW_MODEL")  # rerender_core.flow.estimation.FlowModel
Flow = io.Custom("FLOW")  # rerender_core.flow.estimation.Flow
StylisedKeys = io.Custom("STYLIZED_KEYS")  # rerender_core.ebsynth.stylised_keys.StylisedKeys
PatchSettings = io.Custom("PATCH_SETTINGS")  # rerender_core.ebsynth.propagation.PropagationOptions
Propagation = io.Custom("PROPAGATION")  # nodes.ebsynth.painting.PropagatedClip
KeyframeConstraints = io.Custom("KEYFRAME_CONSTRAINTS")  # rerender_core.keyframes.constraints.KeyframeConstraints
InterpolationModel = io.Custom("INTERP_MODEL")  # the host's: patcher of a frame interpolation network
MotionLayers = io.Custom("MOTION_LAYERS")  # tuple of fcvg_core.inbetween.layers.MotionLayers, one per gap
