"""Published model files with a public link, as the interface's missing-model dialog wants them."""

MODELS = {
    name: {"name": name, "url": url, "directory": directory}
    for name, directory, url in (
        (
            "checkpoint_GlueStick_MD.tar",
            "betwixt",
            "https://github.com/cvg/GlueStick/releases/download/v0.1_arxiv/checkpoint_GlueStick_MD.tar",
        ),
        (
            "superpoint_v1.pth",
            "betwixt",
            "https://github.com/magicleap/SuperPointPretrainedNetwork/raw/master/superpoint_v1.pth",
        ),
        ("yolox_l.onnx", "dwpose", "https://huggingface.co/yzd-v/DWPose/resolve/main/yolox_l.onnx"),
        ("dw-ll_ucoco_384.onnx", "dwpose", "https://huggingface.co/yzd-v/DWPose/resolve/main/dw-ll_ucoco_384.onnx"),
    )
}
