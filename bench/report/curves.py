"""DIR/curves/<dataset>.png: loss on val and train while models learn, against samples and, where a clock was read, seconds."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.labels import label_ends, logarithmic
from bench.report.plots import BAND, STYLE, headline, key, plain
from bench.tables.formatting import amount, seeded
from bench.tables.look import looks
from bench.tables.rows import Row
from models import naming

LOSSES = {"val_loss": "validation loss", "train_loss": "training loss"}
WIDTH, PANEL, HEAD, FOOT, LEFT = 11.0, 2.6, 1.2, 0.8, 0.7  # inches
FAILING = 100  # times what 99 of 100 means stay below: a curve beyond is cut, so that one model that fails does not flatten the others


def averaged(row: Row, field: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Samples, mean seconds, and mean, lowest and highest of a curve over the seeds, up to where all seeds have it.

    Seconds are of the machine whose training seconds are shown, nan where it trained none of them.
    """
    curves = [run["curve"] for run in row.runs]
    n = min(len(curve["samples"]) for curve in curves)
    values = np.array([curve[field][:n] for curve in curves], float)
    clocks = [run["curve"]["seconds"][:n] for run in row.clocked]
    seconds = np.mean(clocks, 0) if clocks else np.full(n, np.nan)
    return np.array(curves[0]["samples"][:n]), seconds, values.mean(0), values.min(0), values.max(0)


def finding(dataset: str, rows: Sequence[Row]) -> str:
    """Which model ends with the lowest loss on val, and on train."""
    said = []
    for field, words in LOSSES.items():
        ends = {row.model: float(averaged(row, field)[2][-1]) for row in rows}
        best = min(ends, key=lambda model: (not np.isfinite(ends[model]), ends[model]))
        said.append((best, f"the lowest {words} ({plain(ends[best])})" if len(ends) > 1 else f"a {words} of {plain(ends[best])}"))
    (first, val), (second, train) = said
    return f"{dataset}: {first} ends with {val}" + (f" and {train}" if first == second else f", {second} with {train}")


def panel(axes: Axes, rows: Sequence[Row], field: str, timed: bool, named: bool) -> None:
    """One loss of all models: the mean over seeds, and a band from the lowest to the highest."""
    look, ends, bands, means = looks(rows), {}, [np.array([])], [np.array([])]
    for row in rows:
        samples, seconds, mean, low, high = averaged(row, field)
        x, own = seconds if timed else samples, look[row.model]
        keep = np.isfinite(mean) & (mean > 0) & np.isfinite(x) & ((x > 0) | (not timed))
        axes.plot(x[keep], mean[keep], color=own.colour, ls=(0, own.dashes) if own.dashes else "-", lw=1.6)
        axes.fill_between(x[keep], low[keep], high[keep], color=own.colour, alpha=BAND, lw=0)
        if keep.any():
            ends[row.model] = (float(x[keep][-1]), float(mean[keep][-1]))
            axes.plot(*ends[row.model], marker=own.marker, ms=4, color=own.colour, zorder=3, clip_on=False)
            means.append(mean[keep])
            bands += [low[keep], high[keep]]
    axes.set(yscale="log", xscale="log" if timed else "linear")
    if ends:
        every = np.concatenate(bands)
        every = every[np.isfinite(every) & (every > 0)]
        top = min(every.max(), FAILING * np.percentile(np.concatenate(means), 99))
        axes.set_ylim(every.min() / 1.1, 1.1 * top)
        logarithmic(axes.yaxis)
    axes.set_title(f"{LOSSES[field]} against {'seconds' if timed else 'samples'}")
    axes.set_xlabel(f"training seconds per seed, {rows[0].trainer}" if timed else "samples seen, with repeats")
    if timed and ends:
        axes.set_xlim(axes.dataLim.x0 / 1.2, 1.2 * axes.dataLim.x1)
        logarithmic(axes.xaxis)
    elif not timed:
        axes.xaxis.set(major_locator=matplotlib.ticker.MaxNLocator(6), major_formatter=lambda value, _: amount(value) or "0")
    if named:
        label_ends(axes, ends, {name: one.colour for name, one in look.items()})


@matplotlib.rc_context(STYLE)
def picture(dataset: str, rows: Sequence[Row]) -> Figure:
    """A row a loss, samples beside seconds; where another machine trained all, the losses stand side by side."""
    drawn = [row for row in rows if row.runs and (row.values or row.model == naming.plain(row.model))]  # no variant that val passed over
    clocked = any(row.clocked for row in drawn)
    places = [(field, timed) for field in LOSSES for timed in ((False, True) if clocked else (False,))]
    height = HEAD + len(places) / 2 * (PANEL + FOOT) - 0.25
    names = 0.3 + 0.062 * max(len(row.model) for row in drawn)  # inches
    wide = (WIDTH - LEFT - names - (0.7 if clocked else LEFT + names)) / 2
    figure = Figure(figsize=(WIDTH, height))
    for place, (field, timed) in enumerate(places):
        down, across = divmod(place, 2)
        left = LEFT + across * (wide + names + (0.45 if clocked else LEFT))
        bottom = height - HEAD - down * (PANEL + FOOT) - PANEL
        axes = figure.add_axes((left / WIDTH, bottom / height, wide / WIDTH, PANEL / height))
        panel(axes, drawn, field, timed, not timed)
    how = seeded(len(row.runs) for row in drawn)
    band = "" if how == "one seed" else ": means, bands from the lowest to the highest"
    told = f"Budget {drawn[0].budget}, {how}{band}. A marker is a line's end{'' if clocked else '. Trained on another machine: no seconds'}"
    headline(figure, finding(dataset, drawn), told)
    key(figure, looks(drawn).values(), HEAD - 0.42)
    return figure
