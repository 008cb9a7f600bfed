"""What people ask of results: two models side by side, a trained one opened again. Reads, never trains."""
