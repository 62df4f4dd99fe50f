"""The demo: invented people, two years, written through the same services as real ones."""
