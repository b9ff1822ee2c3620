"""Numbers that are not finite (NaN, infinity): a network that gives them has no answers and nothing to learn from."""


class NotFiniteError(ArithmeticError):
    """Logits, a loss or gradients that are not finite; the message says which, and where."""
