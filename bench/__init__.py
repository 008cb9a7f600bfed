"""Fair training, honest measuring: the harness of attention-bench."""
