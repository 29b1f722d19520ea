"""The flow nodes through the host: DIS, GMFlow from a file, RAFT on the host's OPTICAL_FLOW wire."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.golden import STORED
from support.models import synthetic_weights

SHIFT = 3


def pair(height: int = 96, width: int = 128) -> torch.Tensor:
    """A smooth pattern and the same, three pixels to the right."""
    y, x = torch.meshgrid(torch.arange(height + 0.0), torch.arange(width + 0.0), indexing="ij")
    frames = [0.5 + 0.2 * torch.sin((x - shift) / 5) + 0.2 * torch.cos(y / 4 + (x - shift) / 9) for shift in (0, SHIFT)]
    return torch.stack(frames)[..., None].expand(-1, -1, -1, 3).contiguous()


@pytest.fixture
def nodes(host, tmp_path, monkeypatch):
    import folder_paths
    from betwixt.nodes.flow import estimation as flow
    from comfy_api.latest import io

    folders = dict(folder_paths.folder_names_and_paths)
    folders["optical_flow"] = ([str(tmp_path)], {".pth"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", folders)
    flow.EstimateFlow.hidden = io.HiddenHolder.from_dict({io.Hidden.unique_id: "3"})
    return flow


def estimated(nodes, method: dict, frames=None, **between):
    with torch.inference_mode():
        (model,) = nodes.LoadFlowModel.execute(method).args
        return nodes.EstimateFlow.execute(pair() if frames is None else frames, model, between).args


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_dis_measures_a_shift(nodes, preset):
    flow, wheel, rebuilt = estimated(nodes, {"method": "DIS", "preset": preset}, between="neighbours")
    inside = flow.backward[0, 16:-16, 16:-16]
    assert (inside - torch.tensor([-SHIFT, 0.0])).abs().median() < 0.3
    assert flow.pairs == ((0, 1),) and wheel.shape == rebuilt.shape == (1, 96, 128, 3)
    assert (rebuilt[0] - pair()[1])[16:-16, 16:-16].abs().median() < 0.02


def test_gmflow_from_the_published_layout(nodes, tmp_path):
    manifest = synthetic_weights.load_manifest(STORED / "gmflow" / "full_manifest.json.gz")
    torch.save({"model": synthetic_weights.state_dict(manifest)}, tmp_path / "gmflow_sintel.pth")
    method = {"method": "GMFlow", "file": "gmflow_sintel.pth"}
    flow, _, _ = estimated(nodes, method, pair(61, 93), between="list", pairs="0-1, 1-0")
    assert flow.forward.shape == (2, 61, 93, 2) and torch.isfinite(flow.forward).all()
    torch.testing.assert_close(flow.forward[0], flow.backward[1], atol=1e-3, rtol=0)


def test_gmflow_that_is_not_what_its_name_says_is_refused(nodes, tmp_path):
    torch.save({"model": {}}, tmp_path / "gmflow_sintel-0c07dcb3.pth")
    with pytest.raises(BetwixtError, match="its SHA-256 begins with"):
        nodes.LoadFlowModel.execute({"method": "GMFlow", "file": "gmflow_sintel-0c07dcb3.pth"})


def test_a_missing_gmflow_names_its_source(nodes):
    with pytest.raises(BetwixtError, match="PKUWilliamYang/Rerender"):
        nodes.LoadFlowModel.execute({"method": "GMFlow", "file": "gmflow_sintel-0c07dcb3.pth"})


def test_raft_of_the_hosts_own_loader(nodes, tmp_path):
    import torchvision
    from comfy_extras import nodes_void

    torch.manual_seed(0)
    network = torchvision.models.optical_flow.raft_large(weights=None, progress=False)
    torch.save(network.state_dict(), tmp_path / "raft_large.pth")
    (raft,) = nodes_void.OpticalFlowLoader.execute("raft_large.pth").args
    flow, _, _ = estimated(
        nodes, {"method": "RAFT", "optical_flow": raft}, pair(60, 90), between="from a key frame", key=1
    )
    assert flow.pairs == ((1, 0),) and flow.forward.shape == (1, 60, 90, 2)
    assert torch.isfinite(flow.forward).all()


@pytest.mark.parametrize(
    ("between", "frames", "said"),
    [
        ({"between": "neighbours"}, pair()[:1], "one frame"),
        ({"between": "from a key frame", "key": 2}, pair(), "0..1"),
        ({"between": "list", "pairs": "0-0"}, pair(), "must differ"),
        ({"between": "list", "pairs": "0>x"}, pair(), "'x' in 'pairs'"),
        ({"between": "neighbours"}, pair()[:, :8], "at least 16"),
        ({"between": "neighbours"}, pair() * float("nan"), "NaN"),
    ],
)
def test_mistakes_say_what_to_change(nodes, between, frames, said):
    with pytest.raises(BetwixtError, match=said):
        estimated(nodes, {"method": "DIS", "preset": "fast"}, frames, **between)
