"""What the embedded model is taught on."""

from dopsd.task.embedded_mixture.task import EmbeddedMixture

__all__ = ["EmbeddedMixture"]
