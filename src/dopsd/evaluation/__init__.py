"""Decoding a benchmark, and how sure its figures are."""
