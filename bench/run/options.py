"""The options of a run, the same for `pytest bench` and `python -m bench run`."""

from __future__ import annotations

import argparse
from typing import Any

from bench.plan import variants
from bench.plan.plugins import PLUGIN

OPTIONS: dict[str, dict[str, Any]] = {
    "--models": {"help": "names, patterns, variants, comma-separated: 'mlp,back*,vit[depth=3,6],vit@lr=1e-3' (default: all)"},
    "--datasets": {"help": "names or patterns, comma-separated (default: all that need no network)"},
    "--budget": {"help": "smoke, default, paper, … (python -m bench list --budgets; default: default)"},
    "--seeds": {"metavar": "N", "help": "train seeds 0 … N-1 (default: the budget's own number)"},
    "--devices": {"help": "cpu, cuda or both: the first trains, all are timed (default: what there is, GPU first)"},
    "--dtypes": {"help": "fp32, bf16 or both: arithmetics to time (default: the budget's own)"},
    "--data": {"metavar": "ROOT", "help": "where real data lie (default: $ATTENTION_BENCH_DATA or ~/.cache/attention-bench)"},
    "--download": {"action": "store_true", "help": "fetch real data that are asked for and not in the data root"},
    "--results": {"metavar": "DIR", "help": "where results go (default: results/local)"},
    "--plugin": PLUGIN,
    "--workers": {"metavar": "N", "help": "processes that train, one thread each (default: as many as cores and memory permit)"},
    "--engine": {"default": "local", "help": "where cells are trained: local, or ray with the extra 'cluster' (default: local)"},
    "--address": {"metavar": "HOST:PORT", "help": "of a Ray cluster (default: one of this machine, started for the session)"},
    "--shard": {"metavar": "I/N", "help": "only the I-th of N parts of the cells, the same whatever is in the store"},
    **variants.OPTIONS,
    "--untuned": {"action": "store_true", "help": "with the tasks' plain recipes, not with what tuning found"},
    "--retrain": {"action": "store_true", "help": "train again what is in the store"},
    "--keep-weights": {"action": "store_true", "help": "keep the weights of models over 64 MiB, too"},
}


def add(command: argparse.ArgumentParser, *names: str) -> None:
    """The options of these names, or all of them."""
    for name in names or OPTIONS:
        command.add_argument(name, **OPTIONS[name])
