"""Fair training, honest measuring: the harness of attention-bench."""

INTERFACE = 1  # of models.build, datasets.task and Task.sample: trees with another one cannot be compared (bench/gate)
