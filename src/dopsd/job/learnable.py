"""What can be known of a training before anything is loaded: that it could learn nothing."""

from typing import Any

from omegaconf import DictConfig

from dopsd.config.build import typed_key
from dopsd.config.errors import UserError
from dopsd.distillation.divergence import Objective
from dopsd.distillation.later_state import LaterStateTeacher
from dopsd.distillation.supervision import AllMasked, StudentRanked, TeacherRanked
from dopsd.distillation.teacher import SuffixTeacher
from dopsd.method.learning import Learning
from dopsd.method.teacher_weights import EMAWeights, FixedWeights, LiveWeights
from dopsd.rollout import Rollout

_STUDENTS_OWN = (FixedWeights, LiveWeights, EMAWeights)
"""Teachers that start from the student's weights: shown nothing more than it, they say what it says."""


def check_learnable(arguments: dict[str, Any], config: DictConfig) -> None:
    """Raises UserError where a method with these arguments would learn nothing, or try the same again and again."""
    rollout, teacher = arguments.get("rollout"), arguments.get("teacher")
    supervision = arguments.get("supervision")
    counts_what_is_shown = isinstance(supervision, AllMasked) and not supervision.honest
    if not isinstance(rollout, Rollout):
        return
    _check_tries(rollout, config)
    if isinstance(teacher, LaterStateTeacher) and not counts_what_is_shown:
        _check_gap(teacher, supervision, rollout, config)
    if isinstance(teacher, SuffixTeacher) and not (counts_what_is_shown and teacher.retain_ratio == 1):
        is_students_own = isinstance(arguments.get("teacher_weights"), _STUDENTS_OWN)
        _check_ratio(teacher, rollout, config, is_students_own=is_students_own)
    learning, objective = arguments.get("learning"), arguments.get("objective")
    if isinstance(learning, Learning):
        _check_states(learning, rollout, config)
    if isinstance(objective, Objective) and objective.renormalise and objective.vocab_top_k == 1:
        key = typed_key(config, "objective.vocab_top_k")
        raise UserError(f"{key}=1: two distributions over one entry are always equal; must be at least 2")


def check_revealing(arguments: dict[str, Any], config: DictConfig) -> None:
    """Raises UserError where a teacher could show a block-causal student nothing that it sees and does not know."""
    teacher, supervision, rollout = (arguments.get(name) for name in ("teacher", "supervision", "rollout"))
    if not isinstance(teacher, SuffixTeacher | LaterStateTeacher) or not isinstance(rollout, Rollout):
        return
    counts_what_is_shown = isinstance(supervision, AllMasked) and not supervision.honest
    is_students_own = isinstance(arguments.get("teacher_weights"), _STUDENTS_OWN)
    if isinstance(teacher, SuffixTeacher) and teacher.region == "later_blocks" and is_students_own:
        key = typed_key(config, "teacher.region")
        raise UserError(f"{key}=later_blocks: must be masked, a block-causal student sees no later blocks")
    if rollout.sampler.block_length == 1 and is_students_own and not counts_what_is_shown:
        key = typed_key(config, "rollout.sampler.block_length")
        raise UserError(
            f"{key}=1: the teacher would be shown no more than a block-causal student sees; must be at least 2"
        )
    if isinstance(teacher, LaterStateTeacher) and not counts_what_is_shown:
        _check_gap(teacher, supervision, rollout, config, in_blocks=True)


def _check_tries(rollout: Rollout, config: DictConfig) -> None:
    sampler = rollout.sampler
    is_same_again = sampler.temperature == 0 and sampler.remasking != "random" and not rollout.dropout
    if is_same_again and rollout.max_attempts > 1:
        temperature, attempts = (
            typed_key(config, key) for key in ("rollout.sampler.temperature", "rollout.max_attempts")
        )
        raise UserError(
            f"{temperature}=0: all {rollout.max_attempts} tries of a prompt would be the same; "
            f"needs {attempts}=1, or a temperature above 0"
        )


def _check_states(learning: Learning, rollout: Rollout, config: DictConfig) -> None:
    """States are left out, or cannot be cut."""
    sampler, parts = rollout.sampler, learning.updates_per_rollout
    if not learning.train_last_block and sampler.blocks == 1:
        key = typed_key(config, "learning.train_last_block")
        raise UserError(f"{key}=false: gen_length={sampler.gen_length} has one block, nothing is left")
    steps = sampler.denoising_steps if sampler.threshold is None else sampler.gen_length
    states = steps - (0 if learning.train_last_block else steps // sampler.blocks)
    if learning.cut == "equal_chunks" and states <= parts:
        key = typed_key(config, "learning.updates_per_rollout")
        raise UserError(f"{key}={parts}: must be less than the {states} states that a trajectory has to cut")


def _check_gap(
    teacher: LaterStateTeacher,
    supervision: object,
    rollout: Rollout,
    config: DictConfig,
    *,
    in_blocks: bool = False,
) -> None:
    """A teacher that is shown the future of all that could be supervised leaves nothing."""
    sampler, typed = rollout.sampler, f"{typed_key(config, 'teacher.gap')}={teacher.gap}"
    needed = "every position that could be supervised; needs topk=masked topk.honest=false"
    if isinstance(supervision, StudentRanked):
        raise UserError(f"{typed}: the teacher would be shown {needed}")
    blocks = 1 if isinstance(supervision, AllMasked) and not in_blocks else sampler.blocks
    steps = (sampler.denoising_steps if sampler.threshold is None else sampler.gen_length) // blocks
    if isinstance(supervision, AllMasked | TeacherRanked) and (
        teacher.gap == "final" or teacher.gap >= steps
    ):
        smaller = f", or at most {steps - 1} steps" if steps > 1 else ""
        raise UserError(f"{typed}: the teacher would be shown {needed}{smaller}")


def _check_ratio(
    teacher: SuffixTeacher, rollout: Rollout, config: DictConfig, *, is_students_own: bool
) -> None:
    """A teacher shown nothing is no harmless case: Adam makes whole steps of gradients that are mere rounding."""
    sampler, ratio = rollout.sampler, teacher.retain_ratio
    typed = f"{typed_key(config, 'teacher.retain_ratio')}={ratio:g}"
    is_of_all = teacher.region == teacher.counted == "masked"
    if is_of_all and ratio == 1:
        raise UserError(
            f"{typed}: the teacher would be shown every masked position, and none is left to learn"
        )
    positions = sampler.gen_length - (0 if is_of_all else sampler.block_length)
    if is_students_own and int(ratio * positions) == 0:
        allowed = f"must be at least 1/{positions}" if positions else "gen_length has one block"
        raise UserError(f"{typed}: the teacher would be shown no more than the student sees; {allowed}")
