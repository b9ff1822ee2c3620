"""Who has started the processes of a run: torchrun, srun, or nobody yet."""

import os

import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment


def processes_started() -> tuple[int, str]:
    """How many processes like this one have been started, and what has done it.

    An allocation of SLURM starts nothing (sbatch, salloc, a step of one task); Lightning would wait there for others.
    """
    if dist.is_torchelastic_launched():
        return int(os.environ["WORLD_SIZE"]), "torchrun"
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")), "srun"


def environment() -> ClusterEnvironment:
    """How the processes find each other; raises RuntimeError where srun was called so that they cannot.

    SLURM's requeueing is left out: runs go on by `resume`.
    """
    count, starter = processes_started()
    if starter == "torchrun":
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if count > 1 else LightningEnvironment()
