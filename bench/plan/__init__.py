"""What is to be done, before any of it is done: the cells of the grid, and the timings asked for."""
