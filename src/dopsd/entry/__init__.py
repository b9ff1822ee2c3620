"""Hydra entries: composing, checking every job before it starts, and exit codes."""
