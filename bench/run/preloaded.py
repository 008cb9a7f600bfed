"""What every worker needs and a server of workers does once, before it forks them. Nothing here computes with torch.

Data sets and scores import scikit-learn only when they are asked for, so that commands start quickly; a worker always is.
"""

import scipy.stats
import sklearn.datasets
import sklearn.metrics

import bench.run.worker
import datasets
import models
from bench.store import fingerprint

__all__ = ["bench", "scipy", "sklearn"]

for name in datasets.names(published=True):
    fingerprint.shared(name)
for name in models.names(published=True):
    fingerprint.counting(name)
