"""What a model costs: counted (parameters, FLOPs, bytes) or timed, and whether a timing can be believed."""
