"""Block diffusion in plain torch: trajectories, the sampler, confidence and selection."""
