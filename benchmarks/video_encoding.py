"""Whether the same frames make the same .mp4 file: the host's way of writing videos, and libx264 by itself.

``python -m benchmarks.video_encoding [--count 200]``: one set of noisy frames is written again and again. "Host" is
ComfyUI's own video writer; the others hand libx264 frames that were converted to YUV once, so nothing but the encoder
can differ. Container: everything in the file but the coded frames and their sizes, i.e. header, times and metadata.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import torch

from benchmarks.common import Report, options
from support.bootstrap import use_host

FRAMES, SIDE, RATE = 120, 160, 12


def noisy_frames() -> np.ndarray:
    """uint8 [T, H, W, 3]: a bar that moves over paper."""
    random = np.random.default_rng(0)
    frames = np.full((FRAMES, SIDE, SIDE, 3), (240, 232, 214), np.int16)
    for number, frame in enumerate(frames):
        frame[SIDE // 4 : SIDE // 2, number : number + SIDE // 4] = (180, 40, 30)
    return (frames + random.integers(-8, 8, frames.shape)).clip(0, 255).astype(np.uint8)


def by_host(frames: np.ndarray) -> Callable[[], bytes]:
    from comfy_api.latest import InputImpl, Types

    images = torch.from_numpy(frames).float() / 255
    video = InputImpl.VideoFromComponents(Types.VideoComponents(images=images, frame_rate=Fraction(RATE)))

    def write() -> bytes:
        file = io.BytesIO()
        video.save_to(file)
        return file.getvalue()

    return write


def converted(frames: np.ndarray) -> list[np.ndarray]:
    return [av.VideoFrame.from_ndarray(f, format="rgb24").reformat(format="yuv420p").to_ndarray() for f in frames]


def by_encoder(planes: list[np.ndarray], threads: int | None) -> Callable[[], bytes]:
    """``threads``: None as many as libx264 likes."""

    def write() -> bytes:
        file = io.BytesIO()
        with av.open(file, mode="w", format="mp4") as output:
            stream = output.add_stream("h264", rate=RATE)
            stream.width = stream.height = SIDE
            stream.pix_fmt = "yuv420p"
            if threads is not None:
                stream.codec_context.thread_count = threads
            for plane in planes:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(plane, format="yuv420p")))
            output.mux(stream.encode(None))
        return file.getvalue()

    return write


def contents(file: bytes) -> tuple[str, str]:
    """Hashes of the decoded frames, and of what the container says besides: times, order, parameters, metadata."""
    pictures, told = hashlib.sha256(), hashlib.sha256()
    with av.open(io.BytesIO(file)) as video:
        stream = video.streams.video[0]
        told.update(repr((dict(video.metadata), dict(stream.metadata), stream.time_base, stream.duration)).encode())
        told.update(bytes(stream.codec_context.extradata or b""))
        for packet in video.demux(stream):
            told.update(repr((packet.pts, packet.dts, packet.duration, packet.is_keyframe)).encode())
            for frame in packet.decode():
                pictures.update(frame.to_ndarray().tobytes())
    return pictures.hexdigest(), told.hexdigest()


def main() -> None:
    parser = options(__doc__, threads=1)
    parser.add_argument("--count", type=int, default=200, help="files of each way (default: 200)")
    given = parser.parse_args()
    use_host()
    report, frames = Report("video_encoding", given), noisy_frames()
    planes = converted(frames)
    ways = {
        "host": by_host(frames),
        "libx264, its choice of threads": by_encoder(planes, None),
        "libx264, one thread": by_encoder(planes, 1),
    }
    columns = ["written by", "files", "unlike the most frequent one", "kinds of decoded frames", "kinds of containers"]
    with report.table("repeats", f"{FRAMES} equal frames of {SIDE}x{SIDE}, written again and again", columns) as table:
        for name, write in ways.items():
            found = Counter(write() for _ in range(given.count))
            kinds = zip(*map(contents, found), strict=True)
            table.add(name, given.count, given.count - max(found.values()), *(len(set(kind)) for kind in kinds))
        again = {hashlib.sha256(np.stack(converted(frames)).tobytes()).digest() for _ in range(given.count)}
        table.add("conversion to YUV alone", given.count, len(again) - 1, len(again), None)


if __name__ == "__main__":
    main()
