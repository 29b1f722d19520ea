"""The one exception for mistakes a user can correct."""


class BetwixtError(ValueError):
    """A mistake the user can correct, told in one fixed shape.

    Args:
        wrong: what is wrong, with the offending value ("The start image is 512x320 and the end image 640x360.").
        allowed: what is allowed ("Both key frames must have the same size.").
        remedy: which widget, wire or file to change ("Resize one of them, e.g. with 'Upscale Image'.").
    """

    def __init__(self, wrong: str, allowed: str, remedy: str):
        super().__init__(f"{wrong} {allowed} {remedy}")
        self.wrong, self.allowed, self.remedy = wrong, allowed, remedy
