"""What every room stands on: the machine a number was measured on, and statistics."""
