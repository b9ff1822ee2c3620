"""The token ids that decoding must know."""

from dopsd.setting import setting


@setting
class SpecialTokens:
    """[MASK], end of text (it also fills ended rows), and all that end an answer."""

    mask_id: int
    eos_id: int
    end_ids: tuple[int, ...]
