"""The decorator of every class that a config node builds: its signature is the schema, checked when it is made."""

from typing import TypeVar, dataclass_transform

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def setting(cls: type[T]) -> type[T]:
    """A frozen, keyword-only dataclass that raises ValueError for an unknown key, a wrong type or a wrong value."""
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return dataclass(cls, frozen=True, kw_only=True, config=config)  # pyright: ignore[reportReturnType]
