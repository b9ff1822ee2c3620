"""Where metrics go beside metrics.csv."""

import netrc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig, OmegaConf

from dopsd import ranks
from dopsd.callbacks.guarded_logger import GuardedLogger
from dopsd.callbacks.sample_tables import Rows, log_samples
from dopsd.config.allowed import parameters_of
from dopsd.config.saved import written_out
from dopsd.job.display import Display
from dopsd.job.found_runs import settings_of
from dopsd.job.plan import Plan
from dopsd.job.run_directory import RunDirectory
from dopsd.report.row import ReportRow

_STEP = "training_step"  # the one axis of all curves on W&B
_FIGURES = (
    *("accuracy", "low", "high", "n", "metrics", "pass_at_k", "accepted", "chance", "mean_tokens"),
    *("mean_forwards", "samples_per_s"),
)


@contextmanager
def opened_logger(
    plan: Plan, run: RunDirectory, config: DictConfig, display: Display, *, job_type: str = "train"
) -> Iterator[list[GuardedLogger]]:
    """The logger of the job, if it has one: given what it asks for of its name and kin, ended at the end."""
    if plan.logger is None:
        yield []
        return
    about = {"save_dir": str(run.path), "job_type": job_type, **_about(run, config)}
    wanted = parameters_of(plan.logger.target)
    given = {name: value for name, value in about.items() if name in wanted}
    make = partial(plan.logger.target, **{**plan.logger.arguments, **given})
    with _wandb_state_in(run.path / "wandb"):
        logger = GuardedLogger(make, title=config.command.arms.logger, say=display.say)
        whole = cast(dict[str, Any], OmegaConf.to_container(written_out(config), resolve=True))
        logger.log_hyperparams({**whole, "arm": _arm(config)})
        try:
            yield [logger]
        except BaseException:
            logger.hand_on(partial(_end, exit_code=1))
            raise
        logger.hand_on(_end)


def log_results(loggers: Sequence[GuardedLogger], summary: Mapping[str, Any]) -> None:
    """All numbers of summary.json: in the run's own summary where a logger has one, else at the last step."""
    numbers = dict(_numbers(summary))
    results = {f"test/{name}" if "/" in name else name: value for name, value in numbers.items()}
    _log(loggers, results, step=summary["training_steps"])


def log_evaluation(
    loggers: Sequence[GuardedLogger], rows: Sequence[ReportRow], shown: Mapping[str, Rows]
) -> None:
    """The figures of each row as evaluation/..., with its name where there are several, and its first answers."""
    for row in rows:
        whole, name = row.as_dict(), f"evaluation/{row.name}".rstrip("/")
        _log(loggers, dict(_numbers({key: whole[key] for key in _FIGURES}, f"{name}/")))
        for logger in loggers:
            log_samples(logger, shown[row.name], 0, key=f"{name}/samples")


def log_probe(loggers: Sequence[GuardedLogger], figures: Mapping[str, Any], picture: Path) -> None:
    """All numbers of a probe as probe/..., its curves point by point, and its drawing where the logger takes one."""
    _log(loggers, dict(_numbers(figures, "probe/")))
    for logger in loggers:
        logger.hand_on(partial(_log_picture, picture=picture))


def _log(loggers: Sequence[GuardedLogger], results: Mapping[str, float], *, step: int = 0) -> None:
    for logger in loggers:
        logger.hand_on(partial(_log_results, results=results, step=step))


def _log_picture(logger: Logger, *, picture: Path) -> None:
    if isinstance(logger, WandbLogger):
        logger.log_image("probe/figure", [str(picture)])


def _numbers(node: Mapping[str, Any] | list[Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Each number under its path; in a list the name is the denoising step where items have one, else the place."""
    items = node.items() if isinstance(node, Mapping) else map(_named, enumerate(node))
    for name, value in items:
        if isinstance(value, Mapping | list):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)


def _named(item: tuple[int, Any]) -> tuple[int, Any]:
    place, value = item
    return (value["step"] if isinstance(value, Mapping) and "step" in value else place), value


def wandb_logger(
    *, project: str, save_dir: str, run_name: str, group: str | None, tags: Sequence[str], job_type: str
) -> WandbLogger:
    """Weights & Biases: as WANDB_MODE says, else online where an account is logged in, else offline.

    All commands that go on with a run are one run there: its id is kept in the run's directory.
    """
    import wandb  # noqa: PLC0415  (slow, and most runs go without)

    if not ranks.is_first():
        return WandbLogger(project=project, save_dir=save_dir)
    mode = os.environ.get("WANDB_MODE") or ("online" if is_logged_in() else "offline")
    run = wandb.init(
        project=project,
        dir=save_dir,
        id=_kept_id(Path(save_dir, "wandb", "id")),
        resume="allow",
        mode=mode,  # pyright: ignore[reportArgumentType]
        name=run_name,
        group=group,
        tags=tags,
        job_type=job_type,
        settings=wandb.Settings(console="off", silent=mode == "offline"),
    )
    run.define_metric(_STEP)
    run.define_metric("*", step_metric=_STEP)
    return _WandbLogger(experiment=run, save_dir=save_dir, project=project)


class _WandbLogger(WandbLogger):
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Every row and table has the training step."""
        super().log_metrics(metrics if step is None else {**metrics, _STEP: step})


def _arm(config: DictConfig) -> str:
    """What the seeds of a setting have in common, for views that group by it."""
    typed = {"method": config.command.arms.get("method")} | settings_of(config.command.overrides)
    return " ".join(f"{key}={value}" for key, value in typed.items())


def _about(run: RunDirectory, config: DictConfig) -> dict[str, object]:
    arms, directory = config.command.arms, run.path.absolute()
    is_in_sweep = (directory.parent / "multirun.yaml").exists()
    return {
        "run_name": directory.name,
        "group": directory.parent.name if is_in_sweep else None,
        "tags": [f"{group}={arms[group]}" for group in ("method", "task", "model") if arms.get(group)],
    }


def _log_results(logger: Logger, *, results: Mapping[str, float], step: int) -> None:
    if isinstance(logger, WandbLogger):
        logger.experiment.summary.update(dict(results))
    else:
        logger.log_metrics(dict(results), step)
        logger.save()


def _end(logger: Logger, exit_code: int = 0) -> None:
    if isinstance(logger, WandbLogger) and ranks.is_first():
        logger.experiment.finish(exit_code)


def _kept_id(file: Path) -> str:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(token_hex(4), encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


@contextmanager
def _wandb_state_in(directory: Path) -> Iterator[None]:
    """Inside, W&B keeps caches and staged files in a directory, unless the user has named others."""
    places = {"WANDB_DATA_DIR": directory / "data", "WANDB_CACHE_DIR": directory / "cache"}
    ours = {name: str(place.absolute()) for name, place in places.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def is_logged_in() -> bool:
    """Whether W&B knows an account here."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
