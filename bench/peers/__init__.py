"""Our models beside those of others, timed by turns."""
