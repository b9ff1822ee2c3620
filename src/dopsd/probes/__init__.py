"""The paper's probes: measurements of a model that say what self-distillation has to work with."""

from dopsd.probes.drift import Drift
from dopsd.probes.overlap import Overlap
from dopsd.probes.probe import Finding, NothingFoundError, Probe, Subject
from dopsd.probes.toy_verification import ToyVerification

__all__ = ["Drift", "Finding", "NothingFoundError", "Overlap", "Probe", "Subject", "ToyVerification"]
