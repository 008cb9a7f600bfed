"""DIR/routes.png: what each way of mixing reaches on each route."""

from __future__ import annotations

from typing import Any

import matplotlib
from matplotlib.figure import Figure

from bench.report.plots import GREY, PLAIN, headline
from bench.tables.formatting import number, seeded
from bench.tables.routes import ABLE, HALFWAY, MISSED, NAMES, ROUTES, SOLVED, UNABLE, Reached

WIDTH, ROW, HEAD, FOOT, LEFT = 9.6, 0.62, 0.85, 0.45, 2.0  # inches
DARK = 0.55  # R² from which on text is white


def title(found: dict[tuple[str, str], Reached]) -> str:
    """The finding: who solves the most routes."""
    if all(one.budget == "smoke" for one in found.values()):
        return "A smoke run: too short to solve a route"
    solved = {
        name: sum((one := found.get((model, route))) is not None and one.value.mean >= SOLVED for route in ROUTES)
        for model, name in NAMES.items()
    }
    run = len({route for _, route in found})
    best = max(solved.values())
    leaders = [name for name, count in solved.items() if count == best]
    if not best:
        return f"Nothing solves any of {run} routes yet"
    return f"{' and '.join(leaders).capitalize()} solve{'s' * (len(leaders) == 1)} {best} of {run} routes, more than any other mixer"


@matplotlib.rc_context(PLAIN)
def picture(found: dict[tuple[str, str], Reached]) -> Figure | None:
    """Rows are routes, columns mixers, the darker the higher R² on test. None if nothing was run."""
    rows = [route for route in ROUTES if any(place[1] == route for place in found)]
    if not rows:
        return None
    height = HEAD + ROW * len(rows) + FOOT
    drawn = Figure(figsize=(WIDTH, height))
    axes = drawn.add_axes((LEFT / WIDTH, FOOT / height, 1 - (LEFT + 0.1) / WIDTH, ROW * len(rows) / height))
    shades = matplotlib.colormaps["Blues"]
    for y, route in enumerate(rows):
        for x, (model, _) in enumerate(NAMES.items()):
            one = found.get((model, route))
            value = 0.0 if one is None else min(1.0, max(0.0, one.value.mean))
            box: dict[str, Any] = {"facecolor": shades(0.85 * value) if one else "white", "edgecolor": "white", "lw": 2}
            axes.add_patch(matplotlib.patches.Rectangle((x - 0.5, y - 0.5), 1, 1, **box, hatch=None if one else "///", alpha=1))
            ink = "white" if value > DARK else "#222222"
            large: dict[str, Any] = {"fontsize": 10, "fontweight": "bold" if one else "normal"}
            axes.text(x, y - 0.16, figure(one.value.mean) if one else "not run", ha="center", va="center", color=ink, **large)
            axes.text(x, y + 0.2, details(one, model, route), ha="center", va="center", color=ink, fontsize=7)
    axes.set(xlim=(-0.5, len(NAMES) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(NAMES)), list(NAMES.values()), fontsize=9)
    axes.set_yticks(range(len(rows)), [f"{route}\n{ROUTES[route]}" for route in rows], fontsize=8.5)
    axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    how, budgets = seeded(one.seeds for one in found.values()), ", ".join(sorted({one.budget for one in found.values()}))
    interval = "" if how == "one seed" else ", 95 % interval"
    samples = f"below it the samples until val had R² {HALFWAY:g}{', a median over seeds' * bool(interval)}"
    headline(drawn, title(found), f"R² on test, {how}{interval}, budget {budgets}; {samples}")
    note = f"✓ a control came out: able mixers reach {SOLVED:g}, those that cannot see their partner stay below {MISSED:g}; ✗ it did not"
    note += "; no mark: nothing was foretold."
    drawn.text(0.12 / WIDTH, 0.12 / height, note, fontsize=7.5, color=GREY)
    return drawn


def figure(value: float) -> str:
    """Two digits behind the point, and no zero with a sign."""
    return f"{value:.2f}".replace("-", "−" if value <= -0.005 else "")


def details(one: Reached | None, model: str, route: str) -> str:
    """Interval, samples and control, of one place."""
    if one is None:
        return ""
    parts = [f"[{figure(one.value.low)}, {figure(one.value.high)}]"] if one.seeds > 1 else ["one seed"]
    parts += [f"{number(one.samples / 1000)}k"] if one.samples is not None else []
    control = (model, route) in ABLE | UNABLE and one.budget != "smoke"
    return "  ".join([*parts, *(["✗" if one.fails(model, route) else "✓"] * control)])
