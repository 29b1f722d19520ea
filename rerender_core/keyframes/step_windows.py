"""When each constraint of Rerender-A-Video acts
(docs/methods/rerender.md, Windows). Steps count from 0, the noisiest."""


def injection_step(total: int, strength: float) -> int | None:
    """The step at which the noised input frame replaces the sample; None = never (start from pure noise).

    Args:
        strength: SDEdit amount; 1 keeps only the noise level of the first step, above 1 or below 0 nothing.
    """
    step = int(total * (1 - strength))  # truncation of a double, as published: 0.8 of 20 steps gives 3
    return step if 0 <= 1 - strength and step < total else None
