"""What is learnt from verdicts: advantages, policy-gradient losses, pairs and preferences: plain torch."""
