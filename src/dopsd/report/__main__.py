"""A report on any set of runs: `python -m dopsd.report runs=runs/train/<time>`."""

from typing import Any

from dopsd.entry.command import command


def _job(config: Any, hydra: Any) -> None:
    from dopsd.config.saved import typed_overrides  # noqa: PLC0415  (slow to import: --help answers without them)
    from dopsd.entry.composing import refuse_unknown_appended  # noqa: PLC0415
    from dopsd.job.run_report import leave_run_report  # noqa: PLC0415

    refuse_unknown_appended(config, typed_overrides(hydra), "report")
    leave_run_report(config)


def main() -> None:
    """The console script."""
    command(_job, "report")


if __name__ == "__main__":
    main()
