"""Questions that take a measurement of their own, apart from the grid: each a command, a record, a table and a picture."""
