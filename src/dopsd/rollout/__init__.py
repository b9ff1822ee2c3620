"""What the student does with prompts: tries, what is kept of them, and what they cost."""

from dopsd.rollout.batch import RolloutBatch
from dopsd.rollout.cost import Cost
from dopsd.rollout.rollout import Rollout

__all__ = ["Cost", "Rollout", "RolloutBatch"]
