"""dopsd: post-training of masked diffusion language models by on-policy self-distillation (arXiv 2606.18195)."""

__version__ = "0.1.0"
