"""Estimators of a response's likelihood: views to score, and what their log-probabilities add up to. Plain torch."""
