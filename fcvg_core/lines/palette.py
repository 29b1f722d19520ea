"""Colours of the drawn lines: an evenly spaced HUSL palette, shuffled (docs/methods/conditions.md, Palette)."""

import numpy as np

HUE_TURN, HUE_OFFSET, SATURATION, LIGHTNESS = 359.0, 0.01, 89.1, 64.35  # seaborn's "husl" palette
RGB_FROM_XYZ = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))
WHITE_U, WHITE_V = 0.19784, 0.46834
CIE_KAPPA, CIE_EPSILON = 903.3, 0.008856


def _largest_chroma(lightness: float, hue: np.ndarray) -> np.ndarray:
    """Largest CIE LCh(uv) chroma inside the sRGB gamut for each hue in radians: the nearest of its six faces."""
    cube = (lightness + 16) ** 3 / 1560896
    luminance = cube if cube > CIE_EPSILON else lightness / CIE_KAPPA
    sine, cosine = np.sin(hue), np.cos(hue)
    nearest = np.full_like(hue, np.inf)
    for m1, m2, m3 in RGB_FROM_XYZ:
        top = (0.99915 * m1 + 1.05122 * m2 + 1.14460 * m3) * luminance
        bottom = ((0.86330 * m3 - 0.17266 * m2) * sine + (0.12949 * m3 - 0.38848 * m1) * cosine) * luminance
        for face in (0.0, 1.0):
            chroma = lightness * (top - 1.05122 * face) / (bottom + 0.17266 * sine * face)
            nearest = np.where((chroma > 0) & (chroma < nearest), chroma, nearest)
    return nearest


def husl_palette(count: int) -> np.ndarray:
    """``count`` colours of equal lightness and saturation with evenly spaced hues.

    Returns:
        float64 (count, 3), sRGB 0..1, in order of hue.
    """
    hue = np.radians(HUE_TURN * ((np.arange(count) / max(count, 1) + HUE_OFFSET) % 1.0))
    chroma = SATURATION / 100 * _largest_chroma(LIGHTNESS, hue)
    u = np.cos(hue) * chroma / (13 * LIGHTNESS) + WHITE_U
    v = np.sin(hue) * chroma / (13 * LIGHTNESS) + WHITE_V
    y = ((LIGHTNESS + 16) / 116) ** 3
    x = 9 * y * u / (4 * v)
    z = (9 * y - 15 * v * y - v * x) / (3 * v)
    linear = np.stack([x, np.full_like(x, y), z], axis=-1) @ np.array(RGB_FROM_XYZ).T
    return np.where(linear > 0.0031308, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055, 12.92 * linear)


def line_colours(count: int, seed: int) -> np.ndarray:
    """One colour per line: the palette in 8 bit, shuffled, with red and blue exchanged.

    The published drawing writes the palette's triples as BGR, so the channel order that the network was trained on
    is the reverse of the palette's (kept). Its shuffle is unseeded; the same seed gives the same colours here.

    Args:
        count: number of lines.
        seed: 0 or more; values below 2**32 reproduce ``numpy.random.seed(seed); numpy.random.shuffle(palette)``.

    Returns:
        uint8 (count, 3), RGB as it appears in the picture.
    """
    words = seed if seed < 2**32 else [seed & 0xFFFFFFFF, seed >> 32]
    order = np.arange(count)
    np.random.RandomState(words).shuffle(order)
    return (255 * husl_palette(count)).astype(np.uint8)[order, ::-1].copy()
