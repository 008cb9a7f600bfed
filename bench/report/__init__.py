"""What a reader of a results folder gets: its page, its files of tables, its plots; from the store alone."""
