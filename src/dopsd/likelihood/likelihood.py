"""What every estimator of log p(response | prompt) does."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.noise import Purpose, derive
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views


class Likelihood(ABC):
    """Names the forwards that score a response, and combines their log-probabilities into its value.

    The views depend on tokens and keys alone, so equal keys give the policy, the old policy and the reference the same
    masks. The responses' keys are the completions' own streams, of one update.
    """

    per_token: bool
    """Whether `combine` gives a value for each token, (B, L), or one for each sequence, (B,)."""

    @abstractmethod
    def most_views(self, length: int, steps: int) -> int:
        """How many views a response of so many tokens has at most, which was written in so many steps."""

    @abstractmethod
    def views(self, responses: Responses, *, mask_id: int) -> Views:
        """The forwards for the scored tokens (the counted positions C) of each response, in the order of the rows."""

    def combine(
        self,
        views: Views,
        log_p: Float[Tensor, "N K"],
        rows: int,
        *,
        positive: Bool[Tensor, "{rows}"],
    ) -> Float[Tensor, "{rows} *L"]:
        """The weighted sum over a response's views, of each token or of all; `positive`: where the advantage is."""
        value = views.weight * log_p.where(views.is_real, 0.0)
        if not self.per_token:
            return value.new_zeros(rows).index_put((views.row,), value.sum(1), accumulate=True)
        places = views.row[:, None].expand_as(views.columns), views.columns
        return value.new_zeros(rows, views.canvas.shape[1]).index_put(places, value, accumulate=True)


def sample_keys(keys: Int[Tensor, "B"], samples: int) -> Int[Tensor, "B {samples}"]:
    """A random stream for each sample of each response."""
    return derive(derive(keys, Purpose.LIKELIHOOD_SAMPLE)[:, None], torch.arange(samples, device=keys.device))


def rows_of(responses: Responses, repeats: int) -> Int[Tensor, "N"]:
    """0..B-1, each so many times."""
    return torch.arange(len(responses), device=responses.keys.device).repeat_interleave(repeats)
