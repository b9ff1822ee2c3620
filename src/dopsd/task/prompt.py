"""A prompt from a file, word for word, for reproducing somebody's evaluation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """A text with {names}; every other brace in it stands for itself, so LaTeX needs no escaping."""

    text: str

    def fill(self, fields: Mapping[str, object]) -> str:
        """The text with each {name} replaced once."""
        pattern = "|".join(re.escape(f"{{{name}}}") for name in fields)
        return re.sub(pattern, lambda found: str(fields[found[0][1:-1]]), self.text)


def read_template(file: str, needed: Sequence[str]) -> PromptTemplate:
    """The template in a file, less its last line break; raises ValueError where a name is missing from it."""
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8-sig").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"task.prompt_template={file!r}: cannot be read ({error})") from error
    missing = [f"{{{name}}}" for name in needed if f"{{{name}}}" not in text]
    if missing:
        raise ValueError(f"task.prompt_template={file!r}: must contain {', '.join(missing)}")
    return PromptTemplate(text=text)
