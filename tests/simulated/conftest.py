"""On a simulated card, in a process of their own: tests/project/test_simulated_cuda.py runs them."""

from collections import Counter

import pytest
import torch

from support.bootstrap import use_host

if not (torch.cuda.is_available() and torch.cuda.get_device_name() == "Simulated"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def host():
    """ComfyUI as it is on a card."""
    return use_host(cpu=False)


@pytest.fixture(scope="session")
def card(host):
    """The device the host computes on."""
    import comfy.model_management as management

    device = management.get_torch_device()
    assert device.type == "cuda"
    return device


@pytest.fixture(scope="session", autouse=True)
def inference():
    """As nodes are executed; for the fixtures of a module as well."""
    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def no_races(card):
    from support.card_tensors import Card

    before = Card.races.copy()
    yield
    assert Card.races - before == {}


@pytest.fixture
def placed(card, monkeypatch):
    """Make the host keep a share of every model's weights on the card from now on, the rest beside the processor."""
    import comfy.model_management as management

    whole, whole_list = management.LoadedModel.model_load, management.load_models_gpu
    limited: list[bool] = []

    def place(share: float) -> None:
        management.unload_all_models()

        def load(models, *args, force_full_load=False, **kwargs):
            limited.append(share < 1 and not force_full_load)
            try:
                whole_list(models, *args, force_full_load=force_full_load, **kwargs)
            finally:
                limited.pop()

        def load_one(self, memory=0, force_patch_weights=False):
            most = max(share * self.model_memory(), 0.1) if limited and limited[-1] else 0
            return whole(self, most, force_patch_weights)

        monkeypatch.setattr(management, "load_models_gpu", load)
        monkeypatch.setattr(management.LoadedModel, "model_load", load_one)

    yield place
    management.unload_all_models()


@pytest.fixture
def per_step(card):
    """(work(steps), of so many and one more) -> what the second result is, and what a step more asked for."""
    from support.card_tensors import counted

    def measure(work, steps: int = 1) -> tuple[object, Counter]:
        found = []
        for count in (steps, steps + 1):
            with counted() as happened:
                result = work(count)
            found.append(happened)
        return result, found[1] - found[0]

    return measure


@pytest.fixture(scope="session")
def tooncrafter(card, tmp_path_factory):
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint

    from support.models import tooncrafter_stand_ins

    path = tmp_path_factory.mktemp("tooncrafter") / "model.ckpt"
    torch.save({"state_dict": tooncrafter_stand_ins.tooncrafter()}, path)
    return load_checkpoint(str(path))


@pytest.fixture(scope="session")
def sketch_encoder(card, tmp_path_factory):
    from betwixt.nodes.host.tooncrafter.sketch_guidance import load_sketch_encoder

    from support.models import tooncrafter_stand_ins

    path = tmp_path_factory.mktemp("sketches") / "sketch_encoder.ckpt"
    torch.save(tooncrafter_stand_ins.sketch_encoder(), path)
    return load_sketch_encoder(str(path))
