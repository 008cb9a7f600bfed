"""Records -> rows, verdicts, and figures as people read them; nothing here trains or measures."""
