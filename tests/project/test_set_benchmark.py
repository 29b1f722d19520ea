"""Distances between sets of clips: against scipy, on values known exactly, and with stand-ins for the networks."""

import json

import cv2
import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from betwixt.common.errors import BetwixtError

from support.bootstrap import ROOT


@pytest.fixture(autouse=True)
def importable(host, monkeypatch):
    """Importing ``benchmarks`` takes the checkout from the path again."""
    monkeypatch.syspath_prepend(str(ROOT))


def reference_distance(one: np.ndarray, two: np.ndarray) -> float:
    means, (first, second) = (one.mean(0), two.mean(0)), (np.cov(one.T), np.cov(two.T))
    root = scipy.linalg.sqrtm(first @ second)
    return float(np.sum((means[0] - means[1]) ** 2) + np.trace(first + second) - 2 * np.trace(np.real(root)))


@pytest.mark.parametrize("rows, others, width", [(300, 200, 24), (2000, 500, 8), (70, 90, 64)])
def test_the_distance_is_that_of_scipy(rows, others, width):
    from benchmarks.sets.frechet import frechet_distance

    random = np.random.default_rng(rows)
    one = random.normal(size=(rows, width)) @ random.normal(size=(width, width))
    two = random.normal(size=(others, width)) @ random.normal(size=(width, width)) + random.normal(size=width)
    assert frechet_distance(one, two) == pytest.approx(reference_distance(one, two), rel=1e-4)


def test_fewer_rows_than_features():
    """There scipy's root is inexact; the same trace from the eigenvalues of a small matrix."""
    from benchmarks.sets.frechet import frechet_distance

    random = np.random.default_rng(1)
    one, two = random.normal(size=(9, 200)), 1 + 2 * random.normal(size=(12, 200))
    a, b = ((rows - rows.mean(0)) / np.sqrt(len(rows) - 1) for rows in (one, two))
    small = (a @ b.T) @ (b @ a.T)  # has the eigenvalues of S1 S2 that are not 0
    shared = np.sqrt(np.linalg.eigvalsh(small).clip(0)).sum()
    expected = np.sum((one.mean(0) - two.mean(0)) ** 2) + np.sum(a**2) + np.sum(b**2) - 2 * shared
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-10)


def test_values_known_exactly():
    from benchmarks.sets.frechet import frechet_distance

    rows = np.random.default_rng(2).normal(size=(50, 6))
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(rows, rows + [3, 4, 0, 0, 0, 0]) == pytest.approx(25)
    spread = rows - rows.mean(0)
    assert frechet_distance(spread, 3 * spread) == pytest.approx(4 * np.trace(np.cov(rows.T)))  # (3 - 1)^2 per variance
    one, two = np.array([[0.0], [2.0]]), np.array([[5.0], [9.0]])  # means 1, 7, deviations sqrt 2, sqrt 8
    assert frechet_distance(one, two) == pytest.approx(36 + 2)


def test_a_weight_counts_a_row_as_often():
    from benchmarks.sets.frechet import frechet_distance

    random = np.random.default_rng(3)
    rows, others, weights = random.normal(size=(5, 3)), random.normal(size=(8, 3)), np.array([2, 0, 1, 3, 1])
    expected = frechet_distance(np.repeat(rows, weights, axis=0), others)
    assert frechet_distance(rows, others, weights) == pytest.approx(expected)


@pytest.mark.parametrize("width, least", [(2, 0.85), (8, 0.85)])
def test_the_interval_holds_the_distance_of_the_populations(width, least):
    """Sets drawn from two Gaussians a distance of 4 apart; few rows alone would give more."""
    from benchmarks.sets.frechet import distance_of_sets

    held, values, shift = [], [], 2 / np.sqrt(width)
    for seed in range(60):
        random = np.random.default_rng(seed)
        one, two = ([row[None] for row in random.normal(size=(50, width)) + add] for add in (0, shift))
        found = distance_of_sets(one, two, 100, seed)
        held.append(found.low <= 4 <= found.high)
        values.append(found.value)
        assert found.low < found.high
    assert least <= np.mean(held) <= 1
    assert np.mean(values) > 4.1  # the bias that reflecting takes out


def test_whole_clips_are_drawn_and_sets_are_checked():
    from benchmarks.sets.frechet import distance_of_sets

    random = np.random.default_rng(4)
    clips = [random.normal(size=(1, 3)).repeat(10, 0) + random.normal(scale=0.01, size=(10, 3)) for _ in range(12)]
    others = [rows + 1 for rows in clips]
    apart = distance_of_sets(clips, others, 50)
    loose = distance_of_sets(
        [row[None] for rows in clips for row in rows], [r[None] for rows in others for r in rows], 50
    )
    assert apart.value == pytest.approx(loose.value) and apart.value == pytest.approx(3)
    assert apart.high - apart.low > 2 * (loose.high - loose.low)  # ten like frames are not ten clips
    assert distance_of_sets(clips, others, 50) == apart
    assert distance_of_sets(clips, others, 0) == (apart.value, None, None)
    together = distance_of_sets(clips, others, 50, paired=True)  # whatever is drawn, the two stay 1 apart
    assert together.low == pytest.approx(3) and together.high == pytest.approx(3)
    with pytest.raises(BetwixtError, match="first set has 1 clip"):
        distance_of_sets(clips[:1], others, 5)
    with pytest.raises(BetwixtError, match="NaN"):
        distance_of_sets([*clips, np.full((1, 3), np.nan)], others, 5)


def grid(motion) -> np.ndarray:
    """Positions of the grid's points that move by ``motion(t)`` as a whole."""
    start = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1)
    return np.stack([start + motion(t) for t in range(9)])


def test_histograms_of_known_motion():
    from benchmarks.sets.motion import histograms

    even = histograms(grid(lambda t: np.array([3.0 * t, 0.1 * t]))).reshape(2, 2, 16, 8)
    assert np.allclose(even[0, ..., 0], np.hypot(3, 0.1)) and np.allclose(even[0, ..., 1:], 0)
    assert np.allclose(even[1], 0)  # no acceleration
    faster = histograms(grid(lambda t: np.array([0.05 * t, 0.5 * t * t]))).reshape(2, 2, 16, 8)
    assert np.allclose(faster[1, ..., 1] + faster[1, ..., 2], 1) and np.allclose(faster[1, ..., 4:], 0)
    back = histograms(grid(lambda t: np.array([-2.0 * t, -1.0 * t]))).reshape(2, 2, 16, 8)
    assert np.allclose(back[0, ..., 4], np.sqrt(5))
    one = grid(lambda t: np.zeros(2))
    one[:, 0, 0, 0] += np.arange(9)  # one point of the first cell of 25 moves
    first = histograms(one).reshape(2, 2, 16, 8)[0]
    assert np.allclose(first[:, 0, 0], 1 / 25) and np.allclose(first[:, 1:], 0)
    assert len(histograms(grid(lambda t: np.zeros(2))[:3])) == 2 * 16 * 8


def test_points_are_carried_along_and_stay_in_the_picture():
    from benchmarks.sets.motion import tracks

    flow = np.zeros((4, 40, 60, 2), np.float32)
    flow[..., 0], flow[..., 1] = 5, -3
    positions = tracks(flow)
    assert positions.shape == (5, 20, 20, 2)
    assert np.allclose(positions[0, 10, 4], [4.5 * 3 - 0.5, 10.5 * 2 - 0.5])
    assert np.allclose(positions[2, 10, 4], positions[0, 10, 4] + [10, -6])
    assert positions[..., 0].max() == 59 and positions[..., 1].min() == 0


def moving(step: float, count: int = 7, seed: int = 0) -> np.ndarray:
    """A textured clip that moves ``step`` pixels to the right per frame, uint8 [count, 96, 128, 3]."""
    texture = cv2.resize(np.random.default_rng(seed).random((12, 40, 3), np.float32), (400, 96))
    frames = [cv2.warpAffine(texture, np.float32([[1, 0, step * t - 100], [0, 1, 0]]), (128, 96)) for t in range(count)]
    return np.round(np.stack(frames) * 255).astype(np.uint8)


def test_motion_of_a_clip_is_measured():
    from benchmarks.sets.motion import motion_features

    even = motion_features(moving(2.0)).reshape(2, -1, 4, 4, 8)
    inner = even[0, :, 1:3, 1:3]  # 2 pixels of 128 are 4 of 256
    assert np.allclose(inner[..., 0] + inner[..., 7], 4, atol=0.4) and np.allclose(inner[..., 2:6], 0, atol=0.05)
    assert np.allclose(motion_features(moving(0.0)), 0, atol=1e-3)


def write_clip(folder, frames: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"frame{number}.png"), frame[..., ::-1])


def test_a_folder_of_clips(tmp_path):
    from benchmarks.sets.clips import clips_in, names_in

    frames = moving(1.0, count=12)
    write_clip(tmp_path / "b", frames)
    write_clip(tmp_path / "a", frames[:3])
    (tmp_path / "notes.txt").write_text("not a clip")
    (tmp_path / "empty").mkdir()
    clips = clips_in(tmp_path)
    assert [clip.name for clip in clips] == ["a", "b"]
    assert np.array_equal(clips[1].frames(), frames)  # frame10 stands behind frame9, colours are RGB
    listed = tmp_path / "names.txt"
    listed.write_text("# the split\nb\n\nb\n")
    assert [clip.name for clip in clips_in(tmp_path, names_in(listed))] == ["b"]
    captions = tmp_path / "25_dataset_caption.json"
    captions.write_text(json.dumps([{"folder": "a", "caption": "A."}]))
    assert names_in(captions) == ["a"]


def test_bad_folders_are_told(tmp_path):
    from benchmarks.sets.clips import clips_in, names_in

    with pytest.raises(BetwixtError, match="does not exist"):
        clips_in(tmp_path / "nothing")
    with pytest.raises(BetwixtError, match="holds no clip"):
        clips_in(tmp_path)
    write_clip(tmp_path / "one", moving(1.0, count=2))
    with pytest.raises(BetwixtError, match=r"holds no clip but 2 pictures of its own"):
        clips_in(tmp_path / "one")
    with pytest.raises(BetwixtError, match=r"lacks 1 of 2 clips \(first: two\)"):
        clips_in(tmp_path, ["one", "two"])
    cv2.imwrite(str(tmp_path / "one" / "frame9.png"), np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(BetwixtError, match="sizes 9x8, 128x96"):
        clips_in(tmp_path)[0].frames()
    (tmp_path / "one" / "frame9.png").write_bytes(b"no picture")
    with pytest.raises(BetwixtError, match="frame9.png cannot be read"):
        clips_in(tmp_path)[0].frames()
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(BetwixtError, match="film.mp4 cannot be read"):
        clips_in(tmp_path)[0].frames()
    (tmp_path / "film").mkdir()
    cv2.imwrite(str(tmp_path / "film" / "0.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(BetwixtError, match="two clips named film"):
        clips_in(tmp_path)
    for text in ("", "[1]", "{"):
        (tmp_path / "names.json").write_text(text)
        with pytest.raises(BetwixtError, match="no names of clips"):
            names_in(tmp_path / "names.json")


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """A file with the published names and shapes and small random weights, in half precision."""
    from torchvision.models import inception_v3

    with torch.device("meta"):
        shapes = inception_v3(num_classes=1008, aux_logits=False, init_weights=False).state_dict()
    random = torch.Generator().manual_seed(0)
    weights = {"AuxLogits.fc.weight": torch.zeros(2, 2)}
    for name, shape in shapes.items():
        spread = torch.randn(shape.shape, generator=random, dtype=torch.float16) * 0.05
        weights[name] = spread.abs() + 1 if "running_var" in name or "bn.weight" in name else spread
    path = tmp_path_factory.mktemp("inception") / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(weights, path)
    return path


def test_the_published_inception_pools_in_its_own_way(inception, monkeypatch):
    import torchvision.models

    from benchmarks.sets.backbones import MEASURES, FidPooling

    picture = torch.rand(1, 4, 5, 5)
    with FidPooling() as pooling:
        mean = F.avg_pool2d(picture, kernel_size=3, stride=1, padding=1)
        pooling.last = True
        largest = F.avg_pool2d(picture, kernel_size=3, stride=1, padding=1)
        whole = F.avg_pool2d(picture, kernel_size=5)
    assert mean[0, 0, 0, 0] == pytest.approx(picture[0, 0, :2, :2].mean())  # four cells, not nine
    assert largest[0, 0, 0, 0] == picture[0, 0, :2, :2].max() and whole.shape[-1] == 1
    seen, built, build = {}, [], torchvision.models.inception_v3
    monkeypatch.setattr(torchvision.models, "inception_v3", lambda **given: built.append(build(**given)) or built[0])
    features = MEASURES["fid"].features(inception.parent, torch.device("cpu"))
    for name in ("Mixed_7b", "Mixed_7c"):
        block = getattr(built[0], name)
        block.register_forward_pre_hook(lambda module, given, name=name: seen.update({name: given[0]}))
        block.branch_pool.register_forward_pre_hook(
            lambda module, given, name=name: seen.update({name + "p": given[0]})
        )
    found = features(moving(1.0, count=2))
    assert found.shape == (2, 2048) and found.dtype == np.float64 and np.isfinite(found).all() and found.std() > 0
    assert torch.equal(seen["Mixed_7cp"], F.max_pool2d(seen["Mixed_7c"], 3, 1, 1))
    assert torch.equal(seen["Mixed_7bp"], F.avg_pool2d(seen["Mixed_7b"], 3, 1, 1, count_include_pad=False))


class StandInI3D(torch.nn.Module):
    def forward(self, clip: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        assert clip.shape[1] == 3 and clip.shape[3] == 224 and not rescale and not resize and return_features
        first, last = clip[:, :, 0].mean(dim=(2, 3)), clip[:, :, -1].mean(dim=(2, 3))
        return torch.cat([first, last], dim=1)


@pytest.fixture
def weights(tmp_path):
    """A folder with small networks under the published names."""
    from transformers import VideoMAEConfig, VideoMAEModel

    folder = tmp_path / "weights"
    folder.mkdir()
    torch.jit.script(StandInI3D()).save(str(folder / "i3d_torchscript.pt"))
    torch.manual_seed(0)
    small = {"image_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_frames": 4}
    VideoMAEModel(VideoMAEConfig(**small, intermediate_size=32)).save_pretrained(folder / "videomae")
    return folder


def test_the_features_of_the_networks_for_clips(weights):
    from transformers import VideoMAEModel

    from benchmarks.sets.backbones import MEASURES

    frames, cpu = moving(2.0, count=10), torch.device("cpu")
    i3d = MEASURES["fvd-i3d"].features(weights, cpu)(frames)
    scaled = frames[[0, -1]] / 127.5 - 1
    assert i3d.shape == (1, 6) and np.allclose(i3d.reshape(2, 3), scaled.mean(axis=(1, 2)), atol=0.01)
    videomae = MEASURES["fvd-videomae"].features(weights, cpu)(frames)
    network = VideoMAEModel.from_pretrained(weights / "videomae").eval()
    clip = torch.from_numpy(frames[[0, 3, 6, 9]]).movedim(-1, 1) / 255
    clip = F.interpolate(clip, size=(32, 32), mode="bilinear", align_corners=False)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        tokens = network(((clip - mean[:, None, None]) / deviation[:, None, None])[None]).last_hidden_state
    assert videomae.shape == (1, 16) and np.allclose(videomae, tokens.mean(dim=1).numpy(), atol=1e-5)


def test_a_file_that_is_missing_or_another_is_told(weights):
    from benchmarks.sets.backbones import MEASURES

    cpu = torch.device("cpu")
    said = "FID needs pt_inception.*pth .* or inception_v3.*not in .*weights.*Put it into .*weights, or say with --weig"
    with pytest.raises(BetwixtError, match=said):
        MEASURES["fid"].features(weights, cpu)
    torch.save({"some": torch.zeros(3)}, weights / "inception_v3_google-0cc3c7bd.pth")
    with pytest.raises(BetwixtError, match="inception_v3_google-0cc3c7bd.pth cannot be used. An Inception v3"):
        MEASURES["fid"].features(weights, cpu)
    (weights / "i3d_torchscript.pt").write_bytes(b"nothing")
    with pytest.raises(BetwixtError, match="The TorchScript file of I3D is needed"):
        MEASURES["fvd-i3d"].features(weights, cpu)
    (weights / "videomae" / "model.safetensors").unlink()
    with pytest.raises(BetwixtError, match="VideoMAE's config.json and weights is needed"):
        MEASURES["fvd-videomae"].features(weights, cpu)


def test_the_command_on_folders(tmp_path, weights, capsys):
    from benchmarks.sets.__main__ import COLUMNS, main

    for name, step in (("real", 2.0), ("same", 2.0), ("slow", 0.5)):
        for seed in range(4):
            write_clip(tmp_path / name / f"clip{seed}", moving(step, 10, seed))
    sets = [str(tmp_path / name) for name in ("real", "same", "slow")]
    out = tmp_path / "table.json"
    given = ["--weights", str(weights), "--replicates", "20", "--device", "cpu", "--out", str(out)]
    assert main([*sets, *given]) == 0
    said = capsys.readouterr()
    assert "Left out: FID needs pt_inception" in said.err and "FVD (I3D)" in said.out
    table = [dict(zip(COLUMNS, row, strict=True)) for row in json.loads(out.read_text())["rows"]]
    assert {row["measure"] for row in table} == {"FVD (I3D)", "FVD (VideoMAE)", "motion histograms"}
    for row in table:
        assert row["clips"] == row["real clips"] == 4 and row["95 % from"] <= row["to"]
        assert row["distance"] == pytest.approx(0, abs=1e-6) if row["set"] == "same" else row["distance"] > 0
    motion = next(row for row in table if row["set"] == "slow" and row["measure"] == "motion histograms")
    assert motion["distance"] > 100 and motion["95 % from"] > 50
    assert main([*sets, *given, "--measures", "fid"]) == 2
    assert "FID needs" in capsys.readouterr().err
    assert main([*sets, *given, "--length", "11"]) == 2
    assert "has 10 frames. Each must have the 11 of --length" in capsys.readouterr().err
    assert main([*sets, *given, "--inner", "--measures", "fvd-i3d"]) == 2
    assert "asked of clips of 8 frames. It needs at least 10" in capsys.readouterr().err
    assert main([str(tmp_path / "nothing"), sets[0]]) == 2
    assert "does not exist" in capsys.readouterr().err
