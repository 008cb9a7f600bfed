"""PNGs of few colours, a third as large: those that matter stay exactly as they are."""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np
from PIL import Image

UNITS = np.array([65536, 256, 1])
NEAR = 1.5  # of 255, in each of red, green and blue: what blending on the paper does to a colour that was asked for


def fewer(pixels: np.ndarray, frequent: int, others: int = 0, kept: Collection[tuple[float, ...]] = ()) -> bytes:
    """A PNG of the picture (height, width, 3), bytes, without dithering. The same bytes for the same pixels.

    Exact are the `frequent` colours that most pixels have, and of `kept`, (red, green, blue) up to 255, those that occur. `others`
    are spread over what is left, and every pixel gets the nearest: pale colours of large areas are not mixed with each other.
    """
    found, at, counts = np.unique(pixels.astype(np.int64) @ UNITS, return_inverse=True, return_counts=True)
    rgb = (found[:, None] // UNITS & 255).astype(np.float32)
    order = np.argsort(-counts, kind="stable")
    exact = dict.fromkeys(order[:frequent].tolist())
    for colour in kept:
        close = order[np.abs(rgb[order] - np.array(colour)).max(1) <= NEAR]
        exact |= dict.fromkeys(close[:1].tolist())
    palette, rest = rgb[list(exact)], np.setdiff1d(order, list(exact))
    if others and len(rest):
        left = Image.fromarray(np.repeat(rgb[rest], counts[rest], 0).astype(np.uint8)[None])
        spread = left.quantize(others, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).getpalette()
        palette = np.concatenate([palette, np.array(spread, np.float32).reshape(-1, 3)[:others]])
    nearest = ((palette**2).sum(1) - 2 * rgb @ palette.T).argmin(1).astype(np.uint8)
    image, buffer = Image.fromarray(nearest[at].reshape(pixels.shape[:2])), io.BytesIO()
    image.putpalette(palette.astype(np.uint8).tobytes())
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()
