"""Fills a fresh database with bench people, results and visits by COPY, as its owner."""
