"""How a model is trained and scored: the loop, its batches, what learns, its optimiser, what is kept for pictures."""
