"""What the networks hold at their peak, in closed form: told to the host before it makes room, and shown to people.

The factors are counted on the meta device at full size with fused attention; a test compares them. Imports nothing but
the standard library, so that the launcher can compute with them before anything is installed.
"""

from collections.abc import Callable

HOST_UNIT = 0.01 * 2**20  # bytes per latent cell and byte of an element, the unit of the host's memory_usage_factor
# The host's own 2 for SVD is twice the peak; Stable Diffusion 1.5 is the host's.
SVD_FACTOR, TOONCRAFTER_FACTOR, SD15_FACTOR = 0.95, 1.1, 1.0
MARGIN = 1.1  # of what is told of the first stages, for the workspaces of convolutions
PIXELS_AT_ONCE = 2**19  # decoded at a time, these keep a card busy; more takes memory and no less time
FRAMES_AT_ONCE = 8  # so many small frames do as well; 16 are slower on a processor
DECODER_WIDTH = 128  # channels of the last level of all published decoders
WHOLE_CHANNELS = 904  # values per pixel and frame that the host's plain evaluation of SVD's decoder holds at once
# Values per pixel of the picture that exist at once: per picture encoded, per frame of a plain decoder.
ENCODER_CHANNELS, DECODER_CHANNELS = 515, 648
# Values per latent cell that SD1.5's self-attention behind the middle reads, without the widest layers.
SD15_FEATURES = 3 * (640 // 4 + 320)

# Attention heads of SVD's temporal self-attention per latent cell: five layers on each of three levels, one below.
SVD_HEADS = 5 * (5 + 10 / 4 + 20 / 16) + 20 / 64


def unet_bytes(factor: float, frames: int, height: int, width: int, element: int = 2) -> float:
    """Activations of one evaluation with ``frames`` pictures of ``height`` x ``width`` pixels, both halves of guidance
    counted as pictures of their own; ``element`` bytes per value."""
    return HOST_UNIT * factor * element * frames * (height // 8) * (width // 8)


def peak_channels(frames: int, at_once: int, width: int = DECODER_WIDTH) -> int:
    """Most values per pixel of the picture that a clip decoded in pieces holds at once.

    Args:
        frames: of the clip.
        at_once: frames evaluated at a time.
        width: channels of the decoder's last level.
    """
    if at_once >= frames:
        return 6 * frames * width
    # Two activations of the clip beside the work on a piece; or one and a half, while a piece is enlarged.
    return int(width * max(2 * frames + 4 * at_once, 1.5 * frames + 6 * at_once))


def most_at_once(frames: int, pixels: int) -> int:
    """Frames of ``pixels`` pixels to decode at a time where memory allows it."""
    return max(1, min(frames, FRAMES_AT_ONCE, PIXELS_AT_ONCE // pixels))


def piecewise_bytes(frames: int, at_once: int, pixels: int, element: int, width: int = DECODER_WIDTH) -> int:
    """Memory of decoding frames of ``pixels`` pixels in pieces, ``element`` bytes per value."""
    return int(MARGIN * element * pixels * peak_channels(frames, at_once, width))


def whole_bytes(frames: int, pixels: int, element: int) -> int:
    """Memory of the host's own decoding of frames of ``pixels`` pixels with SVD's decoder."""
    return int(MARGIN * WHOLE_CHANNELS * element * pixels * frames)


def that_fit(most: int, needed: Callable[[int], int], free: float) -> int:
    """Frames at a time, 1 to ``most``, of which ``free`` bytes hold the ``needed`` ones."""
    return next((count for count in range(most, 1, -1) if needed(count) <= free), 1)


def kept_map_bytes(frames: int, height: int, width: int, element: int = 2) -> float:
    """Temporal attention maps of one half of guidance that GI keeps from the forward to the backward direction; the
    size must be divisible by 64."""
    return SVD_HEADS * frames**2 * element * (height // 8) * (width // 8)


def feature_bytes(steps: int, height: int, width: int, element: int = 2) -> int:
    """What cross-frame attention keeps of SD1.5 over ``steps`` steps: both halves of guidance, of the anchor and of the
    previous key frame."""
    return 2 * 2 * SD15_FEATURES * element * steps * (height // 8) * (width // 8)
