"""What a card of so many gigabytes should choose, computed from :mod:`.memory_model`: one place for ``doctor``, the
README and the notes in the workflows. Imports nothing but the standard library.

The host does the rest by itself: it evaluates both halves of guidance together where they fit, and keeps weights that
do not fit beside an evaluation in system memory, from where they are copied for each.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .memory_model import (
    ENCODER_CHANNELS,
    MARGIN,
    SD15_FACTOR,
    SVD_FACTOR,
    TOONCRAFTER_FACTOR,
    feature_bytes,
    kept_map_bytes,
    most_at_once,
    piecewise_bytes,
    unet_bytes,
    whole_bytes,
)

GIB = 2**30
CARDS = (6, 8, 12, 16, 24)  # GiB
TAKEN = 1.0 * GIB  # of every card by the driver, the desktop and the host's own reserve
SPARE = 0.8 * GIB  # that the host leaves free beside an evaluation
FEATURES_SPARE = 1.0 * GIB  # that is left free before features stay on the card
TOGETHER = 1.5  # times the peak of both halves must be free before the host evaluates them together
HALF = 2  # bytes of a value in half precision
# Parameters of the published networks, counted.
SVD_UNET, CONTROLNEXT, SVD_VAE = 1_524_623_082, 3_526_400, 97_742_775
TOON_UNET, TOON_FIRST_STAGE, TOON_ENCODERS = 1_438_854_980, 99_941_907, 354_032_641 + 683_800_065
SD15_UNET, SD15_CONTROLNET = 859_520_964, 361_279_120
SVD_FRAMES, TOON_FRAMES = 25, 16
CHUNKS = (25, 16, 8, 4, 2)  # of 'Decode Video Latents', which never takes more than the clip
FEATURE_STEPS = 15  # of 20 at strength 0.75
SIZES = ((1024, 576), (896, 512), (768, 448), (640, 384), (512, 320))
RERENDER_SIZES = ((896, 512), (768, 512), (512, 512))

Size = tuple[int, int]


@dataclass(frozen=True)
class Setting:
    """One way to run a stage, and what it holds on the card.

    Attributes:
        system, setting: for people.
        weights, peak: bytes of the weights in half precision, and of the activations beside them.
        measured: the row of the stored card benchmark that ran just this, if one did.
    """

    system: str
    setting: str
    weights: int
    peak: float
    measured: str = ""


@dataclass(frozen=True)
class Choice:
    """What a card should choose for one system.

    Attributes:
        system: e.g. "FCVG".
        work: what is made, e.g. "25 frames".
        size: (width, height) of the pictures; None if not even the smallest of the list fit.
        together: whether the host evaluates both halves of guidance together.
        off_card: bytes of weights that wait in system memory.
        chunk: for 'Decode Video Latents'; None where no node asks for it.
        note: one more fact; empty if there is none.
    """

    system: str
    work: str
    size: Size | None
    together: bool = False
    off_card: float = 0.0
    chunk: int | None = None
    note: str = ""

    def short(self) -> str:
        """For a table or a note: size, guidance, weights, chunk."""
        if self.size is None:
            return "too small"
        parts = ["{}x{}".format(*self.size), "guidance together" if self.together else "guidance one half at a time"]
        if self.off_card:
            parts.append(f"{self.off_card / GIB:.1f} GiB of weights in system memory")
        if self.chunk is not None:
            parts.append(f"chunk {self.chunk}")
        return ", ".join([*parts, *filter(None, [self.note])])

    def __str__(self) -> str:
        if self.size is None:
            return f"{self.system}: this card is too small even for the smallest pictures"
        return f"{self.system}, {self.work}: {self.short()}"


def _evaluation(card: float, weights: int, half: float) -> tuple[bool, float, bool]:
    """(fits, bytes of weights in system memory, both halves together) as the host decides it on a card of so many
    bytes."""
    room = card - TAKEN
    on_card = min(weights, room - half - SPARE)
    return on_card >= 0, weights - on_card, TOGETHER * 2 * half < room - on_card


def _first_stage_room(card: float, parameters: int) -> float:
    return card - TAKEN - HALF * parameters


def _svd_choice(system: str, card: float, half: Callable[[int, int], float]) -> Choice:
    weights, work = HALF * (SVD_UNET + CONTROLNEXT), f"{SVD_FRAMES} frames"
    room = _first_stage_room(card, SVD_VAE)
    for width, height in SIZES:
        fits, off_card, together = _evaluation(card, weights, half(height, width))
        chunks = [chunk for chunk in CHUNKS if piecewise_bytes(chunk, 1, width * height, HALF) <= room]
        if fits and chunks:
            return Choice(system, work, (width, height), together, off_card, chunks[0])
    return Choice(system, work, None)


def fcvg_half(height: int, width: int) -> float:
    """Activations of one half of guidance."""
    return unet_bytes(SVD_FACTOR, SVD_FRAMES, height, width)


def gi_half(height: int, width: int) -> float:
    """The same beside the attention maps that GI keeps."""
    return fcvg_half(height, width) + kept_map_bytes(SVD_FRAMES, height, width)


def fcvg_choice(card: float) -> Choice:
    """For Stable Video Diffusion sampled from both ends, 25 frames, on a card of ``card`` bytes: FCVG, TRF, ViBiD."""
    return _svd_choice("FCVG", card, fcvg_half)


def gi_choice(card: float) -> Choice:
    """The same with GI's attention."""
    return _svd_choice("GI", card, gi_half)


def tooncrafter_choice(card: float) -> Choice:
    """For ToonCrafter and the DynamiCrafter models, 16 frames: 512x320, which most of them were trained at."""
    weights, room = HALF * TOON_UNET, _first_stage_room(card, TOON_FIRST_STAGE)
    largest = None
    for width, height in SIZES:
        fits, off_card, together = _evaluation(
            card, weights, unet_bytes(TOONCRAFTER_FACTOR, TOON_FRAMES, height, width)
        )
        if fits and piecewise_bytes(TOON_FRAMES, 1, width * height, HALF) <= room:
            largest = largest or (width, height)
    if largest is None:  # the last size of the loop is the smallest
        return Choice("ToonCrafter", f"{TOON_FRAMES} frames", None)
    note = "runs up to {}x{}".format(*largest)
    return Choice("ToonCrafter", f"{TOON_FRAMES} frames", (width, height), together, off_card, note=note)


def rerender_choice(card: float) -> Choice:
    """For Rerender's key frames with one ControlNet."""
    weights = HALF * (SD15_UNET + SD15_CONTROLNET)
    for width, height in RERENDER_SIZES:
        half = unet_bytes(SD15_FACTOR, 1, height, width)
        fits, off_card, together = _evaluation(card, weights, half)
        if fits:
            free = card - TAKEN - (weights - off_card) - 2 * half - FEATURES_SPARE
            kept = "on the card" if free > feature_bytes(FEATURE_STEPS, height, width) else "partly in system memory"
            return Choice("Rerender", "key frames", (width, height), together, off_card, note=f"features {kept}")
    return Choice("Rerender", "key frames", None)


# System -> what chooses for it.
CHOOSERS: dict[str, Callable[[float], Choice]] = {
    "FCVG": fcvg_choice,
    "GI": gi_choice,
    "ToonCrafter": tooncrafter_choice,
    "Rerender": rerender_choice,
}


def choices(card: float) -> list[Choice]:
    """For every system, on a card of ``card`` bytes."""
    return [choose(card) for choose in CHOOSERS.values()]


def card_note(system: str) -> str:
    """One line for a workflow's note: what cards of :data:`CARDS` should choose; equal neighbours together."""
    grouped: dict[str, list[int]] = {}
    for gib in CARDS:
        grouped.setdefault(CHOOSERS[system](gib * GIB).short(), []).append(gib)
    parts = [f"{_listed(cards)} GB: {what}" for what, cards in grouped.items()]
    return f"**Cards (computed):** {'; '.join(parts)}."


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def settings() -> list[Setting]:
    """Every system's stages in the settings that people choose between."""
    unet, vae = HALF * (SVD_UNET + CONTROLNEXT), HALF * SVD_VAE
    clip = f"{SVD_FRAMES}x1024x576"

    rows = [
        Setting("FCVG", f"{clip}, guidance together", unet, 2 * fcvg_half(576, 1024), "FCVG 25x1024x576, 25 steps"),
        Setting(
            "FCVG", f"{clip}, one half at a time", unet, fcvg_half(576, 1024), "FCVG 25x1024x576, as a card of 12 GiB"
        ),
        Setting("FCVG", f"{SVD_FRAMES}x768x448, one half at a time", unet, fcvg_half(448, 768)),
        Setting("GI", f"{clip}, one half at a time", unet, gi_half(576, 1024)),
        Setting("FCVG", f"{clip}, decode, chunk 8", vae, whole_bytes(8, 1024 * 576, HALF), "FCVG 25x1024x576, decode"),
    ]
    rows += [
        Setting("FCVG", f"{clip}, decode in pieces, chunk {chunk}", vae, piecewise_bytes(chunk, 1, 1024 * 576, HALF))
        for chunk in CHUNKS
    ]
    stage = HALF * TOON_FIRST_STAGE
    rows.append(Setting("ToonCrafter", "encoders of text and picture", HALF * TOON_ENCODERS, 0.0))
    for width, height in (SIZES[-1], SIZES[0]):
        clip, pixels = f"{TOON_FRAMES}x{width}x{height}", width * height
        measured = f"ToonCrafter {clip}, 50 steps"
        half = unet_bytes(TOONCRAFTER_FACTOR, TOON_FRAMES, height, width)
        at_once = most_at_once(TOON_FRAMES, pixels)
        rows += [
            Setting("ToonCrafter", f"{clip}, guidance together", HALF * TOON_UNET, 2 * half, measured),
            Setting("ToonCrafter", f"{clip}, one half at a time", HALF * TOON_UNET, half),
            Setting("ToonCrafter", f"{clip}, key frames", stage, 2 * MARGIN * ENCODER_CHANNELS * HALF * pixels),
            Setting(
                "ToonCrafter",
                f"{clip}, decode",
                stage,
                piecewise_bytes(TOON_FRAMES, at_once, pixels, HALF),
                f"ToonCrafter {clip}, decode in two passes",
            ),
        ]
    for width, height in (RERENDER_SIZES[-1], RERENDER_SIZES[0]):
        peak = unet_bytes(SD15_FACTOR, 2, height, width) + feature_bytes(FEATURE_STEPS, height, width)
        name = f"key frame {width}x{height}"
        weights = HALF * (SD15_UNET + SD15_CONTROLNET)
        rows.append(Setting("Rerender", f"{name}, features on the card", weights, peak, f"Rerender {name}"))
    return rows
