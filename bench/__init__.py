"""What Linden costs: one load of data, one yardstick, one table. See docs/figures.md."""
