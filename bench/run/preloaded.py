"""What every worker needs and a server of workers does once, before it forks them. Nothing here computes with torch.

Data sets, scores and torch itself import much only when it is asked for, so that commands start quickly; a worker always asks.
"""

import gc

import sacrebleu
import scipy.stats
import sklearn.datasets
import sklearn.metrics
import torch

import bench.run.worker
import datasets
import models
from bench.core.objects import freeze
from bench.store import fingerprint

__all__ = ["bench", "sacrebleu", "scipy", "sklearn"]

torch.optim.SGD([torch.zeros(1)])  # the first optimiser of a process imports torch's compiler, which takes seconds
for name in datasets.names(published=True):
    fingerprint.shared(name)
    fingerprint.packages_of(datasets.source(name))
for name in models.names(published=True):
    fingerprint.counting(name)
gc.collect()
freeze()  # what is imported stays: a worker that looks for cycles, before every timing say, need not look through half a million objects
