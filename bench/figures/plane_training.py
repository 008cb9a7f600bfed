"""How a function over the plane was learned: an animation of the snapshots that a run kept, drawn by numpy and PIL for speed."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from bench.figures.kinds import of_cell
from bench.figures.plane import COLOURS, LEVELS, SIDE, STEP, Box, Scale, drawable, extent, finding, last_step, places, scale, signed, values
from bench.figures.subject import NoPicture, Subject
from bench.tables.formatting import number, quality
from datasets.data import Data

ZOOM = 6  # pixels from one place to the next
PANEL = (SIDE - 1) * ZOOM + 1
LEFT, TOP, WIDTH, HEIGHT = 38, 82, 480, 514  # of the panel, of the frame
FRAME_MS, LAST_MS = 83, 2000  # twelve frames a second
BETWEEN = 3  # frames from one moment to the next
GREYS = 16  # after the map's colours the palette has black to white, for text and points
BLACK, WHITE = LEVELS, LEVELS + GREYS - 1
RING = np.array([[0, 1, 1, 1, 0], [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], [1, 2, 2, 2, 1], [0, 1, 1, 1, 0]])  # 1 edge, 2 colour
CROSS = np.array([[0, 1, 0], [1, 2, 1], [0, 1, 0]])


def palette() -> bytes:
    """The same for all frames: the map, then greys."""
    greys = np.repeat(np.linspace(0, 255, GREYS).round(), 3).reshape(-1, 3)
    return np.vstack([COLOURS(range(LEVELS))[:, :3] * 255, greys]).round().astype(np.uint8).tobytes()


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """matplotlib's own, which is there wherever it is."""
    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size, layout_engine=ImageFont.Layout.BASIC)


def moments(subject: Subject) -> list[tuple[int, nn.Module]]:
    """(training samples seen, model then) from the start to the last step, whose weights are kept in full precision."""
    snapshots = subject.kept["snapshots"]
    if not snapshots:
        raise NoPicture("the run kept no weights from along the way; train it again with --retrain")
    on_the_way = [(samples, subject.at(snapshots[samples])) for samples in sorted(snapshots) if samples < last_step(subject)]
    return [*on_the_way, (last_step(subject), subject.module)]


def painted(heights: Tensor, own: Scale) -> np.ndarray:
    """Values (SIDE, SIDE), from the bottom up -> bands (PANEL, PANEL) from the top down, interpolated, lines between them black."""
    fine = F.interpolate(heights.flip(0)[None, None], (PANEL, PANEL), mode="bilinear", align_corners=True)[0, 0].numpy()
    bands = own.bands(fine)
    steps = bands // (STEP if own.contours else LEVELS // 2)
    line = np.zeros(bands.shape, bool)
    line[:-1] |= steps[:-1] != steps[1:]
    line[:, :-1] |= steps[:, :-1] != steps[:, 1:]
    if not own.contours:  # one line, twice as wide
        line[1:] |= line[:-1]
        line[:, 1:] |= line[:, :-1]
    bands[line] = BLACK
    return bands


def stamped(data: Data, own: Scale, box: Box) -> np.ndarray:
    """Test points as crosses with a white edge, training points as rings with a black one, (PANEL, PANEL); 255 where there are none."""
    layer = np.full((PANEL + 8, PANEL + 8), 255, np.uint8)  # a margin, so that no stamp is cut
    for split, stamp, edge in ((data.test, CROSS, WHITE), (data.train, RING, BLACK)):
        half = len(stamp) // 2
        colours = own.bands(split.y.flatten().double().numpy())
        for (x, y), colour in zip(pixels(split.x, box).tolist(), colours.tolist(), strict=True):
            under = layer[y + 4 - half : y + 5 + half, x + 4 - half : x + 5 + half]
            under[stamp == 1], under[stamp == 2] = edge, colour
    return layer[4:-4, 4:-4]


def pixels(points: Tensor, box: Box) -> Tensor:
    """Points (n, 2) as the panel's columns and rows from the top, (n, 2) integers."""
    low, high = torch.tensor(box).view(2, 2).unbind(1)
    share = (points - low) / (high - low)
    return (torch.stack([share[:, 0], 1 - share[:, 1]], 1) * (PANEL - 1)).round().long().clamp(0, PANEL - 1)


def ground(subject: Subject, own: Scale, box: Box) -> Image.Image:
    """What all frames share, in grey: title, axes, the names of the colours, the whole of the progress line."""
    image = Image.new("L", (WIDTH, HEIGHT), 255)
    draw = ImageDraw.Draw(image)
    draw.text((8, 7), title := over_seeds(subject), 0, fitting(title))
    draw.text((8, 27), finding(subject)[0] + f" after the last step, seed {subject.run['seed']}", 0, font(12))
    for axis, (low, high) in enumerate((box[:2], box[2:])):
        for tick in ticks(low, high):
            at = (PANEL - 1) * (tick - low) / (high - low)
            if axis == 0:
                draw.line((LEFT + at, TOP + PANEL, LEFT + at, TOP + PANEL + 3), 0)
                draw.text((LEFT + at, TOP + PANEL + 5), label(tick), 0, font(11), anchor="ma")
            else:
                draw.line((LEFT - 4, TOP + PANEL - 1 - at, LEFT - 1, TOP + PANEL - 1 - at), 0)
                draw.text((LEFT - 6, TOP + PANEL - 1 - at), label(tick), 0, font(11), anchor="rm")
    draw.text((LEFT + PANEL // 2, TOP + PANEL + 20), "x₁", 0, font(12), anchor="ma")
    draw.text((8, TOP - 4), "x₂", 0, font(12), anchor="ls")
    right = LEFT + PANEL + 24
    for share, value in ((0, own.low), (0.5, (own.low + own.high) / 2), (1, own.high)):
        draw.text((right + 3, TOP + (PANEL - 1) * (1 - share)), label(value), 0, font(11), anchor="lm")
    sideways = Image.new("L", (200, 18), 255)
    ImageDraw.Draw(sideways).text((100, 2), own.label, 0, font(12), anchor="ma")
    image.paste(sideways.rotate(90, expand=True), (right + 28, TOP + PANEL // 2 - 100))
    drawn = f"{len(subject.data.train):,} training points: black edge. {len(subject.data.test):,} test points: white edge"
    draw.text((8, HEIGHT - 28), drawn, 0, font(11))
    draw.text((LEFT + PANEL, TOP - 4), "between evaluations the map is faded", 96, font(11), anchor="rs")
    draw.rectangle((LEFT, HEIGHT - 9, LEFT + PANEL - 1, HEIGHT - 7), 204)
    return image


def over_seeds(subject: Subject) -> str:
    """Which cell it is, and the mean over its seeds: the one that is drawn may be a lucky one."""
    row = subject.row
    n = len(row.values)
    return (
        f"{subject.title}: {quality(row.value, row.metric)} on test, {f'mean of {n} seeds' if n > 1 else 'one seed'}"
        if n
        else subject.title
    )


def fitting(text: str) -> ImageFont.FreeTypeFont:
    """The largest bold font in which a text stays within the frame."""
    return next((own for size in (14, 13, 12, 11, 10) if (own := font(size, bold=True)).getlength(text) < WIDTH - 16), font(9, bold=True))


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers within the limits."""
    size = 10.0 ** np.floor(np.log10(high - low))
    step = next(size * k for k in (0.2, 0.5, 1, 2) if (high - low) / (size * k) < 7)
    return [float(step * i) for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def label(value: float) -> str:
    return signed(round(value, 9)).lstrip("+")


def frames(subject: Subject) -> list[Image.Image]:
    """Frames in the order of training, `BETWEEN` from one moment to the next, where the map fades over; all with the same palette
    and scale. NoPicture as `plane` and `moments` say."""
    task, data = subject.task, subject.data
    drawable(task)
    times = moments(subject)
    own, box = scale(task, data), extent(data)
    shared, points, x = ground(subject, own, box), stamped(data, own, box), places(box)
    losses = dict(zip(subject.run["curve"]["samples"], subject.run["curve"]["train_loss"], strict=True))
    bar = np.repeat(np.linspace(LEVELS, 0, PANEL, endpoint=False).astype(np.uint8).clip(0, LEVELS - 1)[:, None], 12, 1)
    maps = [torch.from_numpy(values(module, task, x)).view(SIDE, SIDE) for _, module in times]
    seen = [samples for samples, _ in times]
    made = []
    for frame_number in range(BETWEEN * (len(times) - 1) + 1):
        moment, step = divmod(frame_number, BETWEEN)
        share, samples = step / BETWEEN, seen[moment]
        then = min(moment + 1, len(times) - 1)
        canvas = shared.copy()
        draw = ImageDraw.Draw(canvas)
        how = f"training loss {number(losses[samples])}" if samples else "not trained yet"
        draw.text((8, 46), f"{samples:,} of {last_step(subject):,} samples seen, {how}", 0, font(12))
        if done := samples + share * (seen[then] - samples):
            draw.rectangle((LEFT, HEIGHT - 10, LEFT + round((PANEL - 1) * done / last_step(subject)), HEIGHT - 6), 0)
        frame = LEVELS + np.asarray(canvas) // (256 // GREYS)
        heights = torch.lerp(maps[moment], maps[then], share)
        frame[TOP : TOP + PANEL, LEFT : LEFT + PANEL] = np.where(points == 255, painted(heights, own), points)
        frame[TOP : TOP + PANEL, LEFT + PANEL + 8 : LEFT + PANEL + 20] = bar
        image = Image.fromarray(frame.astype(np.uint8))
        image.putpalette(palette())
        made.append(image)
    return made


@of_cell(lambda task: task.input.kind == "points", suffix="webp")
def plane_training(subject: Subject) -> bytes:
    """The function from before the first step to the last, with the data on it."""
    first, *rest = (image.convert("RGB") for image in frames(subject))
    buffer = io.BytesIO()
    times = [FRAME_MS] * len(rest) + [LAST_MS]
    first.save(buffer, "WebP", save_all=True, append_images=rest, duration=times, loop=0, lossless=True, method=4)
    return buffer.getvalue()
