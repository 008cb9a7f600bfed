"""Running cells: what is missing, the workers that train it, and the driver that alone writes the store."""
