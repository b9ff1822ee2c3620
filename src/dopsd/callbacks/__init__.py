"""What happens around the training steps: evaluation and progress."""
