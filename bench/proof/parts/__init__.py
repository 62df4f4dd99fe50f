"""One module a part; each has `prove(run: Run) -> Evidence`."""
