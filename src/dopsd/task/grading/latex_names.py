"""What the names in an expression stand for, and the names that are known to be mathematics but not read here."""

import cmath
from collections.abc import Callable

from dopsd.task.grading.latex_value import INFINITY, constant


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONSTANTS = {"\\pi": constant(complex(cmath.pi)), "\\infty": constant(INFINITY), "i": constant(1j)}
GREEK = _names(
    r"\alpha \beta \gamma \delta \epsilon \theta \lambda \mu \rho \sigma \phi \omega"
    r" \varepsilon \vartheta \varphi \tau \eta \xi \zeta \kappa \nu \psi \chi"
)
FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    **{"\\sin": cmath.sin, "\\cos": cmath.cos, "\\tan": cmath.tan, "\\ln": cmath.log, "\\log": cmath.log10},
    **{"\\exp": cmath.exp, "\\arcsin": cmath.asin, "\\arccos": cmath.acos, "\\arctan": cmath.atan},
    **{"\\cot": lambda x: 1 / cmath.tan(x), "\\sec": lambda x: 1 / cmath.cos(x)},
    **{"\\csc": lambda x: 1 / cmath.sin(x)},
}
UNREAD_OPERATORS = _names(r"\le \leq \ge \geq < > \ne \neq \equiv \cap \setminus \in \to \mid :")
UNREAD_NAMES = _names(
    r"\sum \int \prod \lim \emptyset \varnothing \mathbb \overline \bar \vec \sinh \cosh \tanh | \lvert \rvert"
    r" \lfloor \lceil \rfloor \rceil \gcd \max \min \deg \angle \triangle"
)
STAND_INS = {**dict.fromkeys(UNREAD_OPERATORS, "+"), **dict.fromkeys(UNREAD_NAMES, "S")}
