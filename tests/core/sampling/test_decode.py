import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.sampling.decode import Chunk, decode, plan


def test_chunks_without_overlap_cut_the_clip():
    assert plan(5, 2, 0) == [Chunk(0, 2, 0), Chunk(2, 4, 0), Chunk(4, 5, 0)]
    assert plan(4, 8, 2) == [Chunk(0, 4, 0)]
    assert plan(1, 1, 0) == [Chunk(0, 1, 0)]


def test_overlapping_chunks_have_full_length():
    assert plan(25, 8, 2) == [Chunk(0, 8, 0), Chunk(6, 14, 2), Chunk(12, 20, 2), Chunk(17, 25, 3)]


@pytest.mark.parametrize("frames, length, overlap", [(25, 8, 2), (14, 14, 3), (49, 6, 5), (3, 2, 1), (7, 1, 0)])
def test_every_frame_is_decoded_and_chunks_follow_each_other(frames, length, overlap):
    chunks = plan(frames, length, overlap)
    assert chunks[0].start == 0 and chunks[-1].stop == frames
    for before, after in zip(chunks, chunks[1:], strict=False):
        assert before.start < after.start <= before.stop < after.stop
        assert after.fade == before.stop - after.start
        assert after.fade >= overlap


def test_an_overlap_as_long_as_the_chunk_is_refused():
    for overlap in (-1, 4, 5):
        with pytest.raises(BetwixtError, match="shorter than the chunk"):
            plan(10, 4, overlap)


def numbered(part):
    """Pictures whose value is the chunk's first latent, so that the origin of every frame shows."""
    return part[0, 0, 0, 0].expand(part.shape[0], 2, 2, 3)


def test_shared_frames_fade_linearly():
    latents = torch.arange(6.0).view(6, 1, 1, 1)
    values = decode(numbered, latents, length=4, overlap=2)[:, 0, 0, 0]
    expected = [0, 0, 0 * 2 / 3 + 2 / 3, 0 * 1 / 3 + 2 * 2 / 3, 2, 2]
    assert torch.allclose(values, torch.tensor(expected))


def test_progress_reaches_the_end_and_can_cancel():
    shares = []
    decode(numbered, torch.zeros(5, 1, 1, 1), 2, progress=shares.append)
    assert shares == [0.4, 0.8, 1.0]

    def cancel(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode(numbered, torch.zeros(5, 1, 1, 1), 2, progress=cancel)
