"""What can be known of a training's limits before anything is loaded: that they are never reached."""

from typing import TYPE_CHECKING

from dopsd.config.errors import UserError
from dopsd.method.budget import BUDGET, OF_ROLLOUTS

if TYPE_CHECKING:
    from dopsd.job.plan import Plan


def check_limits(plan: "Plan") -> None:
    """Raises UserError where a limit, or the axis of the curve, is something that a method never spends."""
    if plan.method.arguments.get("rollout") is not None:
        return
    limits = plan.stop_at.limits if plan.stop_at else {}
    asked = {name: f"stop_at.{name}={limit:g}" for name, limit in limits.items()}
    asked |= {plan.settings.curve_over: f"curve_over={plan.settings.curve_over}"}
    for name in OF_ROLLOUTS:
        if name in asked:
            spent = ", ".join(it for it in BUDGET if it not in OF_ROLLOUTS)
            raise UserError(f"{asked[name]}: this method samples nothing, it spends {spent}")
