"""The three systems on a card that pretends to have less memory: what the host offloads then, and what it costs."""

import comfy.model_management as management
import torch

from benchmarks.card import fcvg, rerender, tooncrafter
from benchmarks.card.measuring import Card, as_card

CARDS = (
    ("FCVG 25x1024x576", 12, lambda card, job: _fcvg(card, job)),
    ("FCVG 25x1024x576", 8, lambda card, job: _fcvg(card, job)),
    ("ToonCrafter 16x512x320", 6, lambda card, job: tooncrafter.clip_rows(card, 320, 512, 4)),
    ("Rerender 768x512", 5, lambda card, job: rerender.key_frame_row(card, job, 512, 768, 4)),
)


def _fcvg(card: Card, job: str) -> None:
    clip = fcvg.loaded(card.tiny)
    latents = fcvg.step_row(card, job, clip, clip.controlled, 3)
    fcvg.decode_row(card, f"{job}, decode", clip, latents)


def small_cards(card: Card) -> None:
    if card.device.type != "cuda":
        return
    for name, gib, run in CARDS:
        job = f"{name}, as a card of {gib} GiB"
        with as_card(gib):
            try:
                run(card, job)
            except management.OOM_EXCEPTION:
                card.row(job, note="out of memory")
            except Exception as error:  # the others may fit
                card.row(job, note=f"{type(error).__name__}: {error}"[:200])
        torch.cuda.empty_cache()


RUN = {"small_cards": small_cards}
