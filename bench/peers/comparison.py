"""Our models beside their peers: weights carried over, times taken in turns, ratios with intervals, and the table.

A round makes fresh copies of both, so that each round has memory of its own, warms them up and times them in blocks of
ours, theirs, theirs, ours: what slows the machine down for a while meets both. A round gives one ratio of lower quartiles.
"""

from __future__ import annotations

import csv
import math
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from string import ascii_lowercase

import numpy as np
import pandas as pd
import torch
from torch import nn

from bench.core.stats import Interval
from bench.store.records import Store, set_aside
from bench.tables.formatting import markdown
from bench.tables.lengths import over_processes

ROUNDS = 10
SECONDS = 0.3  # of a round
BLOCKS = 2  # that it has at least
SLOT = 2e-3  # seconds that a turn takes at least: calls of a small model are timed several at once
Call = Callable[[], object]

PLACES = {  # parameters of vit-pytorch's models -> of ours
    r"cls_token": "class_token",
    r"pos_embedding": "positions",
    r"to_patch_embedding\.1": "embed.0",
    r"to_patch_embedding\.2": "embed.1",
    r"to_patch_embedding\.3": "embed.2",
    r"transformer\.layers\.(\d+)\.0\.norm": r"layers.\1.norm",
    r"transformer\.layers\.(\d+)\.0\.to_qkv": r"layers.\1.attention.qkv",
    r"transformer\.layers\.(\d+)\.0\.to_out\.0": r"layers.\1.attention.out",
    r"transformer\.layers\.(\d+)\.0\.reattn_weights": r"layers.\1.attention.mix",
    r"transformer\.layers\.(\d+)\.0\.reattn_norm\.1": r"layers.\1.attention.norm",
    r"transformer\.layers\.(\d+)\.1\.net": r"layers.\1.mlp",
    r"transformer\.norm": "norm",
    r"mlp_head(?=\.\D)": "answer",
    r"mlp_head\.0": "norm",
    r"mlp_head\.1": "answer",
    r"in_proj_": "qkv.",  # torch.nn.MultiheadAttention
    r"out_proj": "out",
}


def transplant(theirs: nn.Module, ours: nn.Module) -> None:
    """Random weights, scales of norms included, in both; every name and shape must find its place."""
    weights = {}
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            p.add_(0.1 * torch.randn_like(p))
            old, new = next((old, new) for old, new in PLACES.items() if re.match(old, name))
            place = re.sub(f"^{old}", new, name)
            weights[place] = p.reshape(ours.get_parameter(place).shape)
    ours.load_state_dict(weights)


def slot(call: Call, times: int) -> float:
    """Seconds of one call, a mean over `times` of them in a row."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def in_turns(ours: Call, theirs: Call, seconds: float = SECONDS) -> tuple[float, float]:
    """Lower quartiles of a call's seconds, ours and theirs, from blocks of ours, theirs, theirs, ours."""
    calls, times = (ours, theirs), []
    took: tuple[list[float], list[float]] = [], []
    for call in calls:
        call()
        times.append(max(1, math.ceil(SLOT / slot(call, 1))))
    stop = time.perf_counter() + seconds
    while len(took[0]) < 2 * BLOCKS or time.perf_counter() < stop:
        for whose in (0, 1, 1, 0):
            took[whose].append(slot(calls[whose], times[whose]))
    mine, others = (float(np.quantile(one, 0.25)) for one in took)
    return mine, others


@dataclass(frozen=True)
class Row:
    """One line of the table: the mean over rounds of log(ours / peer), back as a ratio, with its 95 % interval."""

    model: str
    peer: str
    input: str
    what: str
    batch: int | None
    threads: int
    aim: float | None
    ours_ms: float = math.nan  # the fastest round's, of one call
    peer_ms: float = math.nan
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    rounds: int = 0
    reason: str = ""  # why there are no figures
    facts: str = ""  # machine, versions and commit of its measurement

    @property
    def key(self) -> tuple[object, ...]:
        """What is compared: a later measurement of the same takes its place."""
        return self.model, self.peer, self.input, self.what, self.batch, self.threads

    def line(self) -> str:
        """For the terminal, when it has been measured."""
        what = f"{self.model} / {self.peer}, {self.input}, {self.what}{f', batch {self.batch}' if self.batch else ''}"
        return f"{what}: {self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]" + (f", aim {self.aim:g}" if self.aim else "")


def ratio(rounds: Iterable[tuple[float, float]]) -> Interval:
    """Geometric mean of ours / theirs with its 95 % Student interval: the rounds' logarithms are what is averaged."""
    return over_processes([math.log(ours / theirs) for ours, theirs in rounds])


INTRODUCTION = """**Ratio of times, ours / peer: below 1 ours is faster.** low and high bound the 95 % Student interval over rounds;
each round has fresh copies of both models, which take turns (ours, peer, peer, ours). aim is what the ratio should stay under.

The same for both: process, threads, input, sizes, float32, and, in a *training step*, the loss and torch's fused Adam. Where the
model is built alike the weights were carried over, and the outputs agreed to 1e-5 before anything was timed. Not the same:

- timm's ViT has no LayerNorms around its patch embedding, so its weights are others; its heads are dim / heads = 32 wide, and for
  this comparison ours are too (against vit-pytorch: 64);
- *training step, default Adam*: each as its users train it, ours with the suite's fused Adam, the peer with what
  `torch.optim.Adam(parameters)` gives;
- *training loop*: ours on tensors in memory; the peer's as in PyTorch's MNIST example, a DataLoader that transforms each image,
  torch's own layers (or vit-pytorch's ViT) and default Adam; the same architecture and learning rate.
"""


def ahead(rows: list[Row]) -> str:
    """In how many rows ours is faster, slower, or neither for certain: what the page begins with."""
    timed = [row for row in rows if row.rounds]
    faster, slower = sum(row.high < 1 for row in timed), sum(row.low > 1 for row in timed)
    if not timed:
        return "Nothing was timed yet."
    rest = f", in {left} neither is certain" if (left := len(timed) - faster - slower) else ""
    return f"Ours is faster in {faster} of {len(timed)} rows and slower in {slower}{rest} (by the 95 % interval of the ratio)."


def page(rows: list[Row]) -> str:
    """peers.md: in how many rows ours is faster, what is compared, the table, the machine. Rows measured under other facts are told
    apart by a letter."""

    def shown(value: object, digits: int) -> str:
        return f"{value:.{digits}f}" if isinstance(value, float) and math.isfinite(value) else ""

    facts = list(dict.fromkeys(row.facts for row in rows))
    letters = {one: ascii_lowercase[i % 26] for i, one in enumerate(facts)} if len(facts) > 1 else {}
    lines = [
        {
            "ours": row.model,
            "peer": row.peer,
            "input": row.input,
            "what": row.what,
            "batch": row.batch or "",
            "threads": row.threads,
            "ours, ms": shown(row.ours_ms, 2),
            "peer, ms": shown(row.peer_ms, 2),
            "ratio": f"**{row.ratio:.3f}**" if row.rounds else "",
            "low": shown(row.low, 3),
            "high": shown(row.high, 3),
            "aim": shown(row.aim, 2),
            **({"measured": letters[row.facts]} if letters else {}),
            "": row.reason or ("" if row.aim is None or row.high <= row.aim else "above the aim"),
        }
        for row in rows
    ]
    table = markdown(lines)
    rounds = sorted({row.rounds for row in rows if row.rounds})
    told = "\n\n" + "\n".join(f"- {letters[one]}: {one}" for one in facts) if letters else " " + "".join(facts)
    counted = f"{' or '.join(map(str, rounds)) or 'No'} rounds.{told}\n"
    return "\n\n".join(["# Our models beside their peers", ahead(rows), INTRODUCTION.rstrip(), table, counted])


WORDS, WHOLE = ("model", "peer", "input", "what", "reason", "facts"), ("batch", "threads", "rounds")


def parsed(line: dict[str, str]) -> Row:
    """A line of peers.csv. ValueError or TypeError if it is none."""
    values = {name: text if name in WORDS else int(text) if name in WHOLE else float(text) for name, text in line.items() if text}
    return Row(**{"batch": None, "aim": None, **values})  # type: ignore[arg-type]


def earlier(store: Store) -> list[Row]:
    """The rows of the folder's peers.csv; none if there is none. A file that cannot be read is set aside."""
    path = store.folder / "peers.csv"
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return [parsed(line) for line in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        print(f"attention-bench: {path} cannot be read ({error}); set aside as {set_aside(path)}", file=sys.stderr)
        return []


def write(store: Store, rows: list[Row]) -> None:
    """peers.csv and peers.md of the results folder, each whole or not at all. What was not measured again stays in its place."""
    table = {row.key: row for row in earlier(store)}
    table |= {row.key: row for row in rows if row.rounds or row.key not in table}
    frame = pd.DataFrame([asdict(row) for row in table.values()], columns=[field.name for field in fields(Row)])
    frame["batch"] = frame["batch"].astype("Int64")
    text = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    store.write(store.folder / "peers.csv", text.encode())
    store.write(store.folder / "peers.md", page(earlier(store)).encode())  # the same figures, rounded once
