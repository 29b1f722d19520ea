"""The measures: processor time per clip, memory over the length of a clip, agreement with other implementations.

``python -m benchmarks.measures [--frames 100] [--size 1024x576]``. Agreement is measured with those of torchmetrics,
piq, scikit-image, cpbd and lpips that are installed; none is a requirement of the pack.
"""

import importlib.util
import json
import sys
from collections.abc import Callable

import cv2
import numpy as np
import torch
from betwixt.common.measures.edges import edge_chamfer
from betwixt.common.measures.keyframes import colour_distance, end_frame_error, mean_lab
from betwixt.common.measures.motion import pace_error, pixel_mse, warp_error
from betwixt.common.measures.perceptual import BACKBONES, LPIPS, lpips
from betwixt.common.measures.sharpness import cpbd, frame_cpbd
from betwixt.common.measures.similarity import ms_ssim, psnr, ssim
from betwixt.common.measures.steadiness import brightness_drift, flicker

from benchmarks.common import Clock, Report, alone, options
from benchmarks.memory import PeakMemory
from support.bootstrap import ROOT
from support.models.perceptual_stand_ins import backbone_weights, head_weights

SHIFT = 2  # pixels per frame
LENGTHS = 50, 500, 2000


def picture(name: str) -> torch.Tensor:
    """float32 [H, W, 3] of one of the demo's pictures."""
    pixels = cv2.imread(str(ROOT / "demo" / "inputs" / name))
    return torch.from_numpy(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)).float() / 255


def works(frames: int, width: int, height: int, distinct: int) -> dict[str, Callable[[], object]]:
    """Every measure on a clip that shifts over a drawing; ``distinct`` frames are held, repeated to the length."""
    drawing = cv2.resize(picture("betwixt_end.png").numpy(), (width + SHIFT * distinct, height))
    parts = [torch.from_numpy(drawing[:, SHIFT * t : SHIFT * t + width].copy()) for t in range(distinct)]
    one = torch.stack(parts).repeat(-(-frames // distinct), 1, 1, 1)[:frames]
    noise = 0.03 * torch.randn(distinct, height, width, 3, generator=torch.Generator().manual_seed(0))
    two = (one + noise.repeat(-(-frames // distinct), 1, 1, 1)[:frames]).clamp(0, 1)
    flow = torch.zeros(1, height, width, 2)
    flow[..., 0] = SHIFT
    flow, hidden = flow.expand(frames - 1, -1, -1, -1), torch.zeros(1, height, width, dtype=torch.bool)
    hidden = hidden.expand(frames - 1, -1, -1)
    return {
        "PSNR": lambda: psnr(one, two),
        "SSIM": lambda: ssim(one, two),
        "MS-SSIM": lambda: ms_ssim(one, two),
        "edge chamfer": lambda: edge_chamfer(one, two),
        "warp error": lambda: warp_error(one, flow, hidden),
        "Pixel-MSE": lambda: pixel_mse(two, flow, hidden),
        "flicker": lambda: flicker(one),
        "brightness drift": lambda: brightness_drift(one),
        "CPBD": lambda: cpbd(one),
        "pace": lambda: pace_error(flow, hidden, np.linspace(0, 1, frames).tolist()),
        "end-frame error": lambda: end_frame_error(one, one[0], one[-1]),
        "colour distance": lambda: colour_distance(one, one[0], one[-1]),
    }


def peak(job: dict) -> float:
    """MiB beside the clip that all measures take at most, on a clip that lies in memory once."""
    drawing = cv2.resize(picture("betwixt_end.png").numpy(), (192, 192))
    one = torch.from_numpy(drawing)[None].expand(job["frames"], -1, -1, -1)
    flow = torch.zeros(1, 192, 192, 2)
    flow[..., 0] = SHIFT
    flow, hidden = flow.expand(job["frames"] - 1, -1, -1, -1), torch.zeros(1, 192, 192, dtype=torch.bool)
    hidden = hidden.expand(job["frames"] - 1, -1, -1)
    with PeakMemory() as memory:
        for measure in (psnr, ssim, ms_ssim, edge_chamfer):
            measure(one, one)
        for measure in (flicker, brightness_drift, cpbd):
            measure(one)
        warp_error(one, flow, hidden)
        colour_distance(one, one[0], one[-1])
    return memory.mebibytes


def others() -> dict[str, Callable[[], dict[str, tuple[float, float]]]]:
    """Package -> what makes {measure: (its number, ours)}."""
    one, two = (picture(f"betwixt_key_{number}.png")[:208] for number in ("00", "05"))
    pair = [part.movedim(-1, 0)[None].double() for part in (one, two)]

    def scikit_image():
        from skimage.color import rgb2lab
        from skimage.metrics import peak_signal_noise_ratio, structural_similarity

        arrays = [part.double().numpy() for part in (one, two)]
        gauss = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        _, places = structural_similarity(*arrays, channel_axis=-1, data_range=1, full=True, **gauss)
        return {
            "PSNR": (peak_signal_noise_ratio(*arrays, data_range=1), psnr(one[None], two[None]).value),
            "SSIM": (float(places[5:-5, 5:-5].mean()), ssim(one[None], two[None]).value),
            "mean L of Lab": (float(rgb2lab(arrays[0])[..., 0].mean()), float(mean_lab(one)[0])),
        }

    def piq():
        import piq

        return {
            "SSIM": (float(piq.ssim(*pair, downsample=False)), ssim(one[None], two[None]).value),
            "MS-SSIM": (float(piq.multi_scale_ssim(*pair)), ms_ssim(one[None], two[None]).value),
        }

    def torchmetrics():
        from torchmetrics.functional.image import peak_signal_noise_ratio

        theirs = peak_signal_noise_ratio(*pair, data_range=1.0)
        return {"PSNR": (float(theirs), psnr(one[None], two[None]).value)}

    def cpbd_package():
        import scipy.ndimage

        scipy.ndimage.imread = None  # cpbd 1.0.7 imports what SciPy no longer has, for its command line only
        import cpbd as package

        grey = cv2.imread(str(ROOT / "demo" / "inputs" / "betwixt_key_00.png"), cv2.IMREAD_GRAYSCALE)
        blurred = {0: grey, **{sigma: cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (0.6, 1, 2)}}
        return {
            f"CPBD, blurred by {sigma}": (float(package.compute(picture_)), frame_cpbd(picture_)[0])
            for sigma, picture_ in blurred.items()
        }

    def lpips_package():
        import lpips as package

        first, second = one[None, :128, :128], two[None, :128, :128]
        found = {}
        for name, backbone in BACKBONES.items():
            weights, head = backbone_weights(backbone), head_weights(backbone)
            short = backbone.head.removesuffix(".pth")
            theirs = package.LPIPS(pretrained=False, net=short, pnet_rand=True, verbose=False)
            state = theirs.state_dict()
            for key in state:
                part = key.split(".")
                if part[0] == "net":
                    state[key] = weights["features." + key.split(".", 2)[2]]
                elif part[0] == "lins":
                    state[key] = head[f"lin{part[1]}." + key.split(".", 2)[2]]
                elif part[0].startswith("lin"):
                    state[key] = head[key]
            theirs.load_state_dict(state)
            with torch.no_grad():
                value = theirs(*(2 * part.movedim(-1, 1) - 1 for part in (first, second)))
            ours = lpips(first, second, LPIPS(backbone, weights, head))
            found[f"LPIPS ({name}), synthetic weights"] = (float(value), ours.value)
        return found

    return {
        "skimage": scikit_image,
        "piq": piq,
        "torchmetrics": torchmetrics,
        "cpbd": cpbd_package,
        "lpips": lpips_package,
    }


def main() -> int:
    parser = options(__doc__, repeats=1, threads=1)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", default="1024x576")
    parser.add_argument("--parts", default="time,memory,agreement")
    given = parser.parse_args()
    if given.job:
        print(json.dumps(peak(json.loads(given.job))))
        return 0
    cv2.setNumThreads(given.threads)
    report, parts = Report("measures", given), given.parts.split(",")
    if "time" in parts:
        width, height = map(int, given.size.split("x"))
        title = f"{given.frames} frames of {given.size}, each measure once, without LPIPS; the flow is given"
        with report.table("time", title, ["measure", "processor seconds"]) as table:
            total = 0.0
            for name, work in works(given.frames, width, height, distinct=10).items():
                with Clock() as clock:
                    work()
                total += clock.processor
                table.add(name, clock.processor)
            table.add("all", total)
    if "memory" in parts:
        with report.table("memory", "Memory beside the clip, 192x192", ["frames", "MiB"]) as table:
            for frames in LENGTHS:
                table.add(frames, float(alone("measures", {"frames": frames})))
    if "agreement" in parts:
        columns = ["package", "measure", "package's number", "ours", "relative difference"]
        with report.table("agreement", "The same pictures in other implementations", columns) as table:
            for package, compare in others().items():
                if importlib.util.find_spec(package) is None:
                    print(f"{package} is not installed")
                    continue
                for measure, (theirs, ours) in compare().items():
                    table.add(package, measure, theirs, ours, abs(theirs - ours) / abs(theirs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
