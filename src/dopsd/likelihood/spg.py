"""A lower bound for responses to make likelier, an upper bound for those to make less likely."""

from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.masking import exact_count_mask, independent_mask, mask_prompts
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood, rows_of, sample_keys
from dopsd.setting import setting

Share = Annotated[float, Field(ge=0, le=1)]


@setting
class SandwichedBounds(Likelihood):
    """Advantage above 0: v = mean over views of the mean log p of a view's masked tokens; else w U + (1 - w) v.

    U = (1/beta) mean over i of log mean over views z of p(y_i | x, z)^beta 1{i masked in z} / t_z; t_z is the share of
    the answer that z masks, i runs over the tokens masked in any view, w = `upper_share` (1: EUBO, 1/2: mix). SPG
    (arXiv 2510.09541); v and U are means over tokens, no bounds of the sequence's log p. A view masks an exact number
    of one block's tokens, all that follows, and with probability `context_mask` each token before, in the prompt too.
    """

    samples: Annotated[int, Field(ge=1)]
    beta: Annotated[float, Field(gt=0)]
    upper_share: Share
    context_mask: Share
    per_token = False

    def most_views(self, length: int, steps: int) -> int:
        """As many as there are samples."""
        return self.samples

    def views(self, responses: Responses, *, mask_id: int) -> Views:
        """`samples` views of each response, in different blocks as long as there are any; the weight is 1 / t."""
        row = rows_of(responses, self.samples)
        of, of_view = responses[row], sample_keys(responses.keys, self.samples).flatten()
        among, (_, canvas), block_length = of.scored, of.tokens.shape, of.trajectory.block_length
        block = self._blocks(responses.scored, block_length, responses.keys).flatten()[:, None]
        of_column = torch.arange(canvas, device=row.device) // block_length
        drawn = exact_count_mask(of_view, among & (of_column == block))
        before = independent_mask(derive(of_view, Purpose.MASKED_CONTEXT), self.context_mask, canvas)
        masked = drawn | (among & (of_column > block)) | (among & (of_column < block) & before)
        return Views.of(
            row=row,
            prompts=mask_prompts(of.prompts, of_view, self.context_mask, mask_id),
            canvas=of.tokens.masked_fill(masked | ~among, mask_id),
            finished=of.tokens,
            read=masked,
            weight=among.sum(1) / masked.sum(1).double(),
        )

    def combine(
        self,
        views: Views,
        log_p: Float[Tensor, "N K"],
        rows: int,
        *,
        positive: Bool[Tensor, "{rows}"],
    ) -> Float[Tensor, "{rows}"]:
        """One value a response, for which the sign of its advantage matters."""
        number = views.row.bincount(minlength=rows)
        mean = log_p.where(views.is_real, 0.0).sum(1) / views.is_real.sum(1)
        lower = mean.new_zeros(rows).index_put((views.row,), mean, accumulate=True) / number.clamp(min=1)
        upper = self._upper(views, log_p, number)
        return lower.where(positive, self.upper_share * upper + (1 - self.upper_share) * lower)

    def _blocks(
        self, scored: Bool[Tensor, "B L"], block_length: int, keys: Int[Tensor, "B"]
    ) -> Int[Tensor, "B samples"]:
        """The block that each view is about: those of the answer in random order, and again where they are few."""
        has_some = scored.unflatten(1, (-1, block_length)).any(-1)
        columns = torch.arange(has_some.shape[1], device=keys.device)
        score = uniform(derive(derive(keys, Purpose.LIKELIHOOD_BLOCK)[:, None], columns))
        order = score.masked_fill(~has_some, -1.0).argsort(1, descending=True)
        turn = torch.arange(self.samples, device=keys.device) % has_some.sum(1, keepdim=True).clamp(min=1)
        return order.gather(1, turn)

    def _upper(
        self, views: Views, log_p: Float[Tensor, "N K"], number: Int[Tensor, "rows"]
    ) -> Float[Tensor, "rows"]:
        """U of each response, from the logarithms: no probability is too small."""
        first = number.cumsum(0) - number
        place = torch.arange(len(views), device=number.device) - first[views.row]
        at_view = torch.stack([views.row, place], 1)[:, None].expand(-1, views.columns.shape[1], -1)
        row, view = at_view[views.is_real].unbind(1)
        column = views.columns[views.is_real]
        shape = len(number), int(number.max()), views.canvas.shape[1]
        terms = log_p.new_full(shape, -torch.inf).index_put(
            (row, view, column), self.beta * log_p[views.is_real] + views.weight[views.is_real].log()
        )
        ever = (terms > -torch.inf).any(1)
        token = (terms.logsumexp(1) - number[:, None].log()).where(ever, 0.0) / self.beta
        return token.sum(1) / ever.sum(1).clamp(min=1)
