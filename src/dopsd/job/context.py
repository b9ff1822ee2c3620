"""Which prompts leave room for a whole answer in the model's context: none is ever cut."""

from collections.abc import Sequence
from typing import Any

from dopsd.chat import encode_prompt
from dopsd.config.errors import UserError
from dopsd.job.checkpoints import saying
from dopsd.job.plan import Plan
from dopsd.model import load_tokenizer
from dopsd.model.checkpoint import find_directory, read_config
from dopsd.task import Example, Split


def fitting_examples(plan: Plan, split: Split) -> Sequence[Example]:
    """As `fitting`, before there is a network: needs the tokenizer, but no weights."""
    path = plan.model.arguments["path"]
    with saying(f"model.path={path}"):
        tokenizer = load_tokenizer(path)
        context = read_config(find_directory(path, weights=False)).max_sequence_length
    return fitting(plan, split, tokenizer, context=context)


def fitting(plan: Plan, split: Split, tokenizer: Any, *, context: int) -> Sequence[Example]:
    """A split's examples (its first `eval_limit`), less those whose prompt is too long where that is to be skipped.

    Raises UserError where it is not, or where nothing is left.
    """
    examples = plan.examples(split)
    gen_length = plan.evaluation_sampler.gen_length
    prefilled = len(plan.evaluation_prompts.prefilled(tokenizer))
    room = context - gen_length - prefilled
    kept = [example for example in examples if len(encode_prompt(tokenizer, example.prompt)) <= room]
    too_long, policy = len(examples) - len(kept), plan.settings.long_prompts
    if too_long and (policy == "refuse" or not kept):
        raise UserError(
            f"long_prompts={policy}: {too_long} of {len(examples)} {split} prompts "
            f"have more than {room} tokens (the model's {context} less gen_length={gen_length}"
            f"{f' and {prefilled} of evaluation.prefill' if prefilled else ''}); "
            "long_prompts=skip leaves them out and counts them"
        )
    return kept
