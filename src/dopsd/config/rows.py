"""The rows of an evaluation: a config for each of the weights and each of the lengths that were asked for."""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence

from hydra.conf import HydraConf
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from dopsd.config.errors import UserError
from dopsd.config.of_the_run import OF_THE_DECODING, OF_THE_MODEL, OF_THE_TASK, as_in_the_run, refuse_unread
from dopsd.config.paths import literal
from dopsd.config.saved import chosen_arms, key_of, remembered_overrides, with_command
from dopsd.config.start import with_adapter
from dopsd.config.trust import ForeignCodeError
from dopsd.config.weights import Weights, weights_at

log = logging.getLogger(__name__)

_OF_AN_EVALUATION = (
    "checkpoint adapter weights split samples temperature seed evaluation_sampler evaluation eval_limit "
    "eval_batch_size eval_batch_tokens long_prompts name trainer logger paths debug baseline compare html"
)
APPROXIMATE = ("threshold", "cache")
_CHANGING_NOTHING = (None, "exact")
READ_BY_EVALUATION = (*OF_THE_MODEL, *OF_THE_TASK, *OF_THE_DECODING, *APPROXIMATE, *_OF_AN_EVALUATION.split())
_ROWS = "rows"
EXACT = "decoding=exact"


def rows_of(config: DictConfig, hydra: HydraConf | DictConfig) -> dict[str, DictConfig]:
    """One config a row, by the row's name (empty for the only one); none where reports are compared.

    With a checkpoint, what was not typed is as it was in that run. Where decoding is approximate and no baseline is
    named, a row of exact decoding stands before each. Raises UserError for what cannot be evaluated.
    """
    overrides = remembered_overrides(hydra)
    refuse_unread(overrides, READ_BY_EVALUATION, "an evaluation")
    if config.compare is not None:
        return {}
    return dict(_rows(config, chosen_arms(hydra), overrides))


def approximate_settings(sampler: object) -> dict[str, object]:
    """The settings by which a sampler, or a node that describes one, is not exact."""
    values = {key: getattr(sampler, key) for key in APPROXIMATE}
    return {key: value for key, value in values.items() if value not in _CHANGING_NOTHING}


def exact_row_of(name: str) -> str:
    """The name of the row that decodes exactly what this row decodes approximately."""
    return "/".join(filter(None, (name, EXACT)))


def put_together(rows: Mapping[str, DictConfig]) -> DictConfig:
    """The first row with all of them inside, as text: one config that processes can be given."""
    whole = copy.deepcopy(next(iter(rows.values())))
    texts = {name: literal(OmegaConf.to_yaml(row)) for name, row in rows.items()}
    with open_dict(whole):
        whole[_ROWS] = [{"name": name, "text": text} for name, text in texts.items()]
    return whole


def taken_apart(config: DictConfig) -> dict[str, DictConfig]:
    """The rows of a config that was put together."""
    rows = {row.name: OmegaConf.create(row.text) for row in config[_ROWS]}
    return {name: row for name, row in rows.items() if isinstance(row, DictConfig)}


def _rows(
    config: DictConfig, arms: dict[str, str], overrides: Sequence[str]
) -> Iterator[tuple[str, DictConfig]]:
    lengths = _lengths(config, overrides)
    without_lengths = [override for override in overrides if key_of(override) != "gen_length"]
    for weights, (of_the_run, arms_of_the_run) in _of_runs(config, without_lengths):
        of_the_run.checkpoint = None if weights.run is None else literal(str(weights.run))
        of_the_run.weights = weights.which
        with_adapter(with_command(of_the_run, arms | arms_of_the_run, overrides), overrides)
        for length in lengths:
            row = copy.deepcopy(of_the_run)
            if length is not None:
                _set_length(row, length, overrides)
            parts = (weights.name, f"gen_length={length}" if len(lengths) > 1 else "")
            name = "/".join(filter(None, parts))
            if row.baseline is None and approximate_settings(row.evaluation_sampler):
                yield exact_row_of(name), _exactly(row)
            yield name, row


def _of_runs(
    config: DictConfig, overrides: Sequence[str]
) -> Iterator[tuple[Weights, tuple[DictConfig, dict[str, str]]]]:
    """The weights with what is taken over from their runs; of several, those that name foreign code are left out."""
    every = weights_at(config.checkpoint, config.weights)
    refused = 0
    for weights in every:
        try:
            yield weights, as_in_the_run("evaluate", weights.run, overrides, trust=config.trust)
        except ForeignCodeError as error:
            refused += 1
            if refused == len(every):
                raise
            log.warning("left out: %s", error.message)


def _exactly(row: DictConfig) -> DictConfig:
    exact = copy.deepcopy(row)
    for key in approximate_settings(exact.evaluation_sampler):
        exact[key] = exact.evaluation_sampler[key] = None
    return exact


def _lengths(config: DictConfig, overrides: Sequence[str]) -> list[object]:
    """What was typed for gen_length, one or several; None for the usual length."""
    if not any(key_of(override) == "gen_length" for override in overrides):
        return [None]
    lengths = list(config.gen_length) if isinstance(config.gen_length, ListConfig) else [config.gen_length]
    if not lengths:
        raise UserError("gen_length=[]: must be an integer of at least 1, or several")
    return lengths


def _set_length(row: DictConfig, length: object, overrides: Sequence[str]) -> None:
    """A length, with the usual share of denoising steps unless their number was typed."""
    if isinstance(length, int) and not any(key_of(override) == "denoising_steps" for override in overrides):
        steps, rest = divmod(row.denoising_steps * length, row.gen_length)
        if rest:
            usual = f"{row.denoising_steps} steps for {row.gen_length} tokens"
            raise UserError(
                f"gen_length={length}: the usual {usual} are no whole number here, give denoising_steps"
            )
        row.denoising_steps = steps
    row.gen_length = length
