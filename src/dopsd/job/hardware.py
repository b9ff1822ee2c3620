"""What a run computes on: one device, or several processes with a device each."""

import atexit
import os
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy, ParallelStrategy
from lightning.pytorch.strategies.strategy import Strategy
from omegaconf import DictConfig
from torch.optim import Optimizer

from dopsd.config.build import Recipe, typed_key
from dopsd.config.errors import UserError
from dopsd.job.launcher import environment, processes_started
from dopsd.model import divided, whole

_ON_ANY_CPU = 2  # processes, so that several can be tried on one core


class Replicas(DDPStrategy):
    """A whole network in every process; `Method.update` adds up the gradients, so nothing is wrapped around it.

    DistributedDataParallel reduces in every backward; this project's updates have many, and not on all ranks the same.
    """

    def __init__(self) -> None:
        super().__init__()

    def configure_ddp(self) -> None:
        """Leaves the network as it is: every rank loads or draws the same weights."""


class Shards(Replicas):
    """A part of every layer's weights in every process (FSDP2): `dopsd.model.shard` divides the loaded network.

    Checkpoints hold whole tensors, so that a run goes on with any number of processes.
    """

    def on_exception(self, exception: BaseException) -> None:
        """Lightning would move the network to the CPU, which one in the middle of a forward cannot bear."""
        self._lightning_module = None

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The trained weights: the frozen ones need not be brought together."""
        assert self.lightning_module is not None
        weights = self.lightning_module.named_parameters()
        return {name: whole(weight.detach()) for name, weight in weights if weight.requires_grad}

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Divides them again."""
        assert self.lightning_module is not None
        weights = dict(self.lightning_module.named_parameters())
        divided_weights = {
            name: divided(value, weights[name]) for name, value in checkpoint["state_dict"].items()
        }
        super().load_model_state_dict({"state_dict": divided_weights}, strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimizer's moments, whole."""
        state = super().optimizer_state(optimizer)
        every: dict[int, dict[str, Any]] = state["state"]  # pyright: ignore[reportAssignmentType]
        moments = {i: {name: whole(moment) for name, moment in each.items()} for i, each in every.items()}
        return {**state, "state": moments}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Divides them again."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            moments = {
                i: {k: divided(v, weights[i]) if v.ndim else v for k, v in each.items()}
                for i, each in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": moments})


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The devices of a run: `processes` in all, `here` on this machine, which something may have launched already."""

    device: torch.device
    processes: int = 1
    here: int = 1
    is_launched: bool = True
    strategy: Replicas | None = field(default=None, repr=False)

    @classmethod
    def of(cls, recipe: Recipe, config: DictConfig) -> "Hardware":
        """Raises UserError where that hardware is not here, or cannot be used in this way."""
        key, value = typed_key(config, "trainer.devices"), recipe.arguments.get("devices")
        _refuse_missing_devices(f"{key}={value}", recipe)
        try:
            trainer: L.Trainer = recipe(
                strategy=deepcopy(
                    recipe.arguments.get("strategy", "auto")
                ),  # a trainer keeps the one it was given
                plugins=environment(),
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
            )
        except (MisconfigurationException, RuntimeError) as error:
            accelerator = typed_key(config, "trainer.accelerator")
            raise UserError(f"{accelerator}={recipe.arguments.get('accelerator')}: {error}") from error
        try:
            return cls._of(trainer.strategy, trainer.num_nodes)
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{key}={value}: {error}") from error

    @classmethod
    def _of(cls, strategy: Strategy, nodes: int) -> "Hardware":
        started, starter = processes_started()
        if not isinstance(strategy, ParallelStrategy):
            if started > 1:
                raise ValueError(f"{starter} has started {started} processes; trainer=ddp uses them")
            return cls(device=strategy.root_device)
        if not isinstance(strategy, Replicas):
            raise ValueError("several devices need trainer=ddp or trainer=fsdp")
        found, here = strategy.cluster_environment, len(strategy.parallel_devices or ())
        assert found is not None
        found.validate_settings(num_devices=here, num_nodes=nodes)
        _check_count(strategy, here, nodes)
        return cls(
            device=strategy.root_device,
            processes=here * nodes,
            here=here,
            is_launched=found.creates_processes_externally,
            strategy=strategy,
        )

    @classmethod
    def elsewhere(cls) -> "Hardware":
        """Of a job that is sent to another machine, which looks at its own when it starts."""
        return cls(device=torch.device("cpu"))

    @property
    def threads(self) -> int:
        """Of each process here, so that together they use the cores once."""
        return max(1, cores() // self.here)

    @property
    def is_sharded(self) -> bool:
        """Whether the weights are divided over the processes."""
        return isinstance(self.strategy, Shards)

    def join(self) -> None:
        """Waits for the other processes of the run; afterwards `dopsd.ranks` knows them."""
        if self.processes == 1 or dist.is_initialized():
            return
        assert self.strategy is not None
        found = self.strategy.cluster_environment
        assert found is not None
        self.strategy.set_world_ranks()
        os.environ["MASTER_ADDR"] = found.main_address
        os.environ["MASTER_PORT"] = str(found.main_port)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        assert found.world_size() == self.processes
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo",
            rank=found.global_rank(),
            world_size=self.processes,
        )
        atexit.register(dist.destroy_process_group)


def _check_count(strategy: Replicas, here: int, nodes: int) -> None:
    """Raises ValueError where so many processes cannot be, or are not those that have been started."""
    started, starter = processes_started()
    if started > 1 and started != here * nodes:
        raise ValueError(f"{starter} has started {started} processes, and the trainer wants {here * nodes}")
    assert strategy.cluster_environment is not None
    if not strategy.cluster_environment.creates_processes_externally:
        if nodes > 1:
            raise ValueError(f"on {nodes} nodes, start the command on each of them with torchrun or by srun")
        most = max(_ON_ANY_CPU, cores())
        if strategy.root_device.type == "cpu" and here > most:
            raise ValueError(f"must be at most {most} (CPU cores that this process may use: {cores()})")
    if isinstance(strategy, Shards) and here * nodes == 1:
        raise ValueError(
            "trainer=fsdp divides the weights over at least 2 processes; trainer=cpu and trainer=gpu use one"
        )


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _refuse_missing_devices(typed: str, recipe: Recipe) -> None:
    accelerator, wanted = recipe.arguments.get("accelerator"), recipe.arguments.get("devices")
    there = torch.cuda.device_count()
    if accelerator in ("gpu", "cuda") and isinstance(wanted, int) and wanted > there:
        raise UserError(f"{typed}: this machine has {there} CUDA devices")
    if accelerator == "cpu" and not (isinstance(wanted, int) and wanted > 0):
        raise UserError(f"{typed}: must be an integer of at least 1 with trainer.accelerator=cpu")
