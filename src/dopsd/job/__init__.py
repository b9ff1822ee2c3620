"""What an entry does, once its config is composed: plan, load, measure, train, and leave the files."""

import logging
import warnings

from dopsd.job.curve import draw_curve
from dopsd.job.display import Display, EarlyWarnings
from dopsd.job.evaluating import EvaluationPlan, RowEvaluator
from dopsd.job.examiner import Examiner
from dopsd.job.fitting import TrainingResult, fit
from dopsd.job.forecast import forecast
from dopsd.job.hardware import Hardware
from dopsd.job.loggers import log_evaluation, log_probe, log_results, opened_logger
from dopsd.job.plan import Plan
from dopsd.job.probing import circumstances, prepare_probe, run_probe
from dopsd.job.reporting import ReportOptions, compare, leave_report
from dopsd.job.resuming import check_resume_point
from dopsd.job.run_directory import RunDirectory
from dopsd.job.selection import Selection
from dopsd.job.shared_base import shared_base
from dopsd.job.short_of_memory import memory_explained
from dopsd.job.start_block import start_block
from dopsd.job.student import Student
from dopsd.job.summary import TestResult, summarise, test_weights, title_of, versions
from dopsd.job.table import markdown, show_table
from dopsd.report.manifest import git_revision

__all__ = [
    "Display",
    "EarlyWarnings",
    "EvaluationPlan",
    "Examiner",
    "Hardware",
    "Plan",
    "ReportOptions",
    "RowEvaluator",
    "RunDirectory",
    "Selection",
    "Student",
    "TestResult",
    "TrainingResult",
    "check_resume_point",
    "circumstances",
    "compare",
    "draw_curve",
    "fit",
    "forecast",
    "git_revision",
    "leave_report",
    "log_evaluation",
    "log_probe",
    "log_results",
    "markdown",
    "memory_explained",
    "opened_logger",
    "prepare_probe",
    "run_probe",
    "shared_base",
    "show_table",
    "start_block",
    "summarise",
    "test_weights",
    "title_of",
    "versions",
]

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its notes on hardware and tips
for message in (
    ".*does not have many workers.*",  # a step costs seconds, its prompts nothing
    ".*in eval mode at the start of training.*",  # Method.on_train_start switches to train mode
    ".*'set_vital' is deprecated.*",
    ".*LeafSpec.* is deprecated.*",
    ".*is_gradient_checkpointing. is deprecated.*",
    ".*FSDP2-wrapped module .* returned a view.*",  # nobody changes a loss in place
):
    warnings.filterwarnings("ignore", message=message)
