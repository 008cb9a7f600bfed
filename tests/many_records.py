"""A store with as many records as years of runs leave, as the store itself writes them but for waiting for the disk: what reading is
measured and tested on. Two seeds of five keep what they made of each test sample, as many as in our published results.

python -m tests.many_records DIR [RUNS]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.store.curves import short
from bench.store.encoding import as_text, pack
from bench.store.machines import apart
from bench.store.places import place as place_of
from bench.store.schema import SCHEMA

MODELS, DATASETS, BUDGETS, SEEDS = 40, 20, 5, 5
EVALUATIONS = 20
KEPT = 2  # seeds of a cell that keep their examples
SAMPLES = 350
MACHINE = {"slug": "box", "cpu": "Box", "cores": 2, "memory_gib": 24, "gpu": "", "driver": "", "cuda": "", "torch": "2.15.0"}
MACHINE |= {"python": "3.11.7", "system": "Linux", "threads": 1, "commit": "8fd733d556c8", "dirty": False}
FAMILIES = ("attention", "convolution", "mlp", "other")
NAMED = ("backbone_attention", "backbone_conv", "backbone_mlp", "backbone_none")


def model(place: int) -> str:
    return NAMED[place] if place < len(NAMED) else f"model_{place:02}"


def run(place: int, target: np.ndarray, draw: np.random.Generator) -> dict[str, Any]:
    """The record of the run in a place of the grid: seeds turn fastest, then models, data sets and budgets."""
    rest, seed = divmod(place, SEEDS)
    rest, m = divmod(rest, MODELS)
    b, d = divmod(rest, DATASETS)
    score = float(np.clip(0.5 + 0.01 * m + 0.02 * draw.standard_normal(), 0, 1))
    curve = {"samples": [22016 * (i + 1) for i in range(EVALUATIONS)], "seconds": np.cumsum(draw.random(EVALUATIONS)).tolist()}
    names = ("train_loss", "val_loss", "val_metric", "train_metric", "last_loss")
    curve |= {name: (draw.random(EVALUATIONS) + 0.1).tolist() for name in names}
    said = np.where(draw.random(SAMPLES) < score, target, (target + 1) % 10)
    examples = {"kind": "classes", "prediction": pack(said.astype("|u1")), "target": pack(target)} if seed < KEPT else None
    scores = {which: {"loss": 1.2 - score, "accuracy": score, "cross_entropy": 1.2 - score} for which in ("best", "last")}
    budget = {"name": f"budget_{b}", "samples": 440000 // (b + 1), "batch": 64, "lr": 0.001, "optimizer": "adamw", "schedule": "cosine"}
    budget |= {"decay": 1.0, "warmup": 0.05, "momentum": 0.0, "weight_decay": 0.01, "clip": 0.0, "init_std": 0.0, "dtype": "float32"}
    budget |= {"evaluations": EVALUATIONS, "seconds": 3600.0, "seeds": SEEDS, "choose": "val"}
    return {
        "kind": "run",
        "recipe": f"{b:04}{d:06}{m:06}",
        "model": model(m),
        "dataset": f"data_{d:02}",
        "budget": budget,
        "device": "cpu",
        "machine": MACHINE,
        "metric": {"name": "accuracy", "better": "higher", "percent": True},
        "summary": "synthetic",
        "version": 1,
        "conditions": f"c{b:03}{d:03}",
        "own_recipe": "",
        "source": f"source {m}",
        "family": FAMILIES[m % 4],
        "notes": "",
        "alone": "",
        "continued_from": 0,
        "seed": seed,
        "status": "ok",
        "reason": "",
        "costs": {"params": 40919 + m, "params_active": 40919 + m, "flops": 1159980 + m, "peak_bytes": 7343176 + m},
        "curve": curve,
        "best_samples": 440000,
        "train_seconds": 50 + score,
        "together": 1,
        "test": scores,
        "derived": dict.fromkeys(("auroc", "balanced_accuracy", "macro_f1", "macro_precision", "macro_recall"), score),
        "packages": {"einops": "0.8.2", "sacrebleu": "2.6.0", "sklearn": "1.9.1", "numpy": "2.4.6"},
        "code": f"code {m} {d}",
    } | ({} if examples is None else {"examples": examples})


def timing(m: int, d: int, batch: int, draw: np.random.Generator) -> dict[str, Any]:
    samples = (1 + m + 0.1 * draw.random(200)).astype("<f4")
    return {
        "kind": "latency",
        "model": model(m),
        "dataset": f"data_{d:02}",
        "device": "cpu",
        "batch": batch,
        "dtype": "float32",
        "threads": 1,
        "source": f"source {m}",
        "reason": "",
        "samples_ms": pack(samples),
        "warm_up_calls": 11,
        "settled": True,
        "noop_ms": 7e-5,
        "validity": [],
        "notes": [],
        "machine": MACHINE,
        "exact": {"params": 40919, "flops": 1159980, "operators": 16, "peak_bytes": 3608692},
    }


def fill(folder: Path, runs: int = MODELS * DATASETS * BUDGETS * SEEDS) -> int:
    """Write so many runs and, for every model and data set of the grid, two latencies; returns how many records that are."""
    draw = np.random.default_rng(0)
    target = draw.integers(0, 10, SAMPLES).astype("|u1")

    def put(record: dict[str, Any]) -> None:
        record = {"schema": SCHEMA, "created": "2026-11-22T09:17:07.699612+00:00"} | record
        named, facts = apart(record["machine"])
        for one in (facts, record | {"machine": named}):
            if one is not None and not ((path := folder / place_of(one)).exists() and one is facts):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(as_text(one))

    for place in range(runs):
        record = run(place, target, draw)
        put(record | {"curve": short(record["curve"])})
    models = [(m, d) for m in range(MODELS) for d in range(DATASETS) if m * SEEDS < runs and (d * MODELS + m) * SEEDS < runs]
    for m, d in models:
        for batch in (1, 64):
            put(timing(m, d, batch, draw))
    return runs + 2 * len(models)


if __name__ == "__main__":
    print(fill(Path(sys.argv[1]), *map(int, sys.argv[2:3])), "records")
