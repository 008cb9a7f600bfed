"""Pictures of few colours, a third as large."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


def compact(figure: Figure) -> bytes:
    """A PNG, a third as large, of the figure's 96 most frequent colours: the map's exactly; at smoothed edges others become the nearest."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(np.int32) @ (65536, 256, 1)
    found, at, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    rgb = (found[:, None] >> np.array([16, 8, 0]) & 255).astype(np.float32)
    palette = rgb[np.argsort(-counts, kind="stable")[:96]]
    nearest = ((palette**2).sum(1) - 2 * rgb @ palette.T).argmin(1).astype(np.uint8)
    image = Image.fromarray(nearest[at].reshape(pixels.shape))
    image.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
