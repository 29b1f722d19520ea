"""A narrow RIFE file for the host's 'Load Frame Interpolation Model'; its flow is zero, so it mixes both frames."""

import torch

HEAD, WIDTH, HIDDEN = 4, 8, 16


def weights() -> dict[str, torch.Tensor]:
    """State dict of RIFE 4.7 and later with five blocks of :data:`WIDTH` channels, all zeros."""
    shapes = {"encode.cnn0": (HIDDEN, 3, 3, 3), "encode.cnn1": (HIDDEN, HIDDEN, 3, 3)}
    shapes |= {"encode.cnn2": (HIDDEN, HIDDEN, 3, 3), "encode.cnn3": (HIDDEN, HEAD, 4, 4)}
    betas = {}
    for block in range(5):
        name, inputs = f"blocks.{block}", 7 + 2 * HEAD if block == 0 else 20 + 2 * HEAD
        shapes |= {f"{name}.conv0.0.0": (WIDTH // 2, inputs, 3, 3), f"{name}.conv0.1.0": (WIDTH, WIDTH // 2, 3, 3)}
        shapes |= {f"{name}.convblock.{layer}.conv": (WIDTH, WIDTH, 3, 3) for layer in range(8)}
        shapes[f"{name}.lastconv.0"] = (WIDTH, 52, 4, 4)
        betas |= {f"{name}.convblock.{layer}.beta": torch.zeros(1, WIDTH, 1, 1) for layer in range(8)}
    transposed = ("encode.cnn3", *(f"blocks.{block}.lastconv.0" for block in range(5)))
    tensors = {f"{name}.weight": torch.zeros(shape) for name, shape in shapes.items()}
    biases = {f"{name}.bias": torch.zeros(shape[name in transposed]) for name, shape in shapes.items()}
    return tensors | biases | betas
