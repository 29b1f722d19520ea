"""What people type when they look for a node, in English, Chinese and Korean.

The interface searches a node's aliases in whatever language it is shown, so all three stand in the schema.
"""

KEY_FRAMES = ["keyframe", "keyframes", "key frame", "key frames", "关键帧", "키프레임", "키 프레임"]
INBETWEENS = [
    "inbetween", "in-between", "first last frame", "first frame last frame", "start end frame", "flf2v", "morph",
    "tween", "frame interpolation", "interpolate", "补间", "补间动画", "插帧", "中间帧", "首尾帧", "중간 프레임",
    "프레임 보간", "보간", "동화", "첫 프레임 마지막 프레임", *KEY_FRAMES,
]  # fmt: skip
STYLED_VIDEO = [
    "video stylization", "video style transfer", "style transfer", "vid2vid", "video to video", "paint a video",
    "视频风格化", "视频转绘", "风格迁移", "영상 스타일화", "영상 스타일 변환", "비디오 스타일", *KEY_FRAMES,
]  # fmt: skip
