"""What d-OPSD learns from of a rollout (eq. 11, 12), and where paper and released code differ in it."""

from typing import Annotated, Literal

from pydantic import Field

from dopsd.distillation.later_state import StateChoice
from dopsd.setting import setting


@setting
class Learning:
    """Which visited states become optimizer steps, and what their losses are averaged over (eq. 11, 12).

    `states_per_trajectory` takes a sample of each trajectory's states in place of all: the same loss on average, and
    fewer forwards. `states` chooses one state, which then is its trajectory's whole loss. `states_until=end_of_text`
    leaves out what the sampler did behind it. `cut` says how several updates divide a trajectory's states; equal chunks
    leave out its last ones, and a trajectory that is too short. An update with `nothing_to_learn` is left out, or steps
    on gradients of 0; the run's `first_update` may have a rate of 0. Raises ValueError where the states cannot be
    divided into the updates.
    """

    learn_from: Literal["accepted", "all"] = "accepted"
    average_over: Literal["learned", "rollouts"] = "learned"
    over_positions: Literal["mean", "sum"] = "mean"
    over_states: Literal["visited", "steps"] = "steps"
    updates_per_rollout: Annotated[int, Field(ge=1)] = 1
    states_per_trajectory: Annotated[int, Field(ge=1)] | None = None
    train_last_block: bool = True
    states_until: Literal["canvas", "end_of_text"] = "canvas"
    cut: Literal["shares_of_time", "equal_chunks"] = "shares_of_time"
    nothing_to_learn: Literal["no_step", "zero_gradient"] = "no_step"
    first_update: Literal["scheduled", "rate_zero"] = "scheduled"
    teacher_dropout: bool = False
    states: StateChoice | None = None

    def __post_init__(self) -> None:
        for name, allowed in (_OF_ONE_STATE if self.states is not None else {}).items():
            if (value := getattr(self, name)) != allowed:
                known = "null" if allowed is None else allowed
                raise ValueError(
                    f"{name}={value}: must be {known} with states=one, one state of each rollout"
                )
        if self.states_per_trajectory is not None and self.states_per_trajectory % self.updates_per_rollout:
            raise ValueError(
                f"states_per_trajectory={self.states_per_trajectory}: must be a multiple of "
                f"updates_per_rollout={self.updates_per_rollout}"
            )


_OF_ONE_STATE = {"updates_per_rollout": 1, "states_per_trajectory": None, "cut": "shares_of_time"}
