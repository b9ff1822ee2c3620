"""What a typed parameter accepts: checked by pydantic, told to the user in words."""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

_LISTS = (list, tuple, Sequence)
_TYPED = (*_LISTS, Annotated)
_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a text", NoneType: "null"}


def parameters_of(target: Any) -> dict[str, Parameter]:
    """The keyword parameters of a function or class, with those of its parents where it passes **kwargs on."""
    found: dict[str, Parameter] = {}
    for owner in [target, *getattr(target, "__mro__", ())[1:-1]]:
        own = signature(owner, eval_str=True).parameters
        found = {**{k: p for k, p in own.items() if p.kind in _NAMED}, **found}
        if all(p.kind != Parameter.VAR_KEYWORD for p in own.values()):
            break
    return found


_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def checked(value: Any, annotation: Any) -> Any:
    """The value as the annotated type; raises ValueError saying what is allowed."""
    if annotation is Parameter.empty:
        return value
    try:
        if isinstance(value, bool) and bool not in _plain_types(annotation):
            raise ValueError
        return _adapter(annotation).validate_python(value)
    except PydanticUserError:  # a type that pydantic knows nothing about is its class's own business
        return value
    except (ValidationError, ValueError):
        raise ValueError(f"must be {in_words(annotation)}") from None


def in_words(annotation: Any) -> str:
    """What an annotation allows, as the end of the sentence `it must be ...`."""
    if get_origin(annotation) is Annotated:
        base, *constraints = get_args(annotation)
        return in_words(base) + _range(constraints)
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(shown, get_args(annotation)))
    if get_origin(annotation) in (Union, UnionType):
        return _any_of(get_args(annotation))
    if get_origin(annotation) in _LISTS:
        return "a list of " + ", ".join(
            map(_part_in_words, (p for p in get_args(annotation) if p is not Ellipsis))
        )
    if get_origin(annotation) is Mapping:
        return f"{in_words(get_args(annotation)[1])} for each name"
    return _WORDS.get(annotation, f"a {getattr(annotation, '__name__', annotation)}")


def _part_in_words(annotation: Any) -> str:
    """The same for a part of a list, which may have keys of its own."""
    if not is_dataclass(annotation):
        return in_words(annotation)
    keys = (
        f"{key}: {in_words(parameter.annotation)}" for key, parameter in parameters_of(annotation).items()
    )
    return f"{{{', '.join(keys)}}}"


def _any_of(choices: Sequence[Any]) -> str:
    """Literals as one list, and no more than what a user can type."""
    literals = [value for choice in choices if get_origin(choice) is Literal for value in get_args(choice)]
    merged = [Literal[*dict.fromkeys(literals)]] if literals else []
    skipped = {int} if float in choices else set()
    typable = [
        choice for choice in choices if choice in _WORDS.keys() - skipped or get_origin(choice) in _TYPED
    ]
    return " or ".join(map(in_words, [*merged, *typable]))


def shown(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k}: {shown(v)}' for k, v in value.items())}}}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _adapter(annotation: Any) -> TypeAdapter:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a type with a configuration of its own
        return TypeAdapter(annotation)


def _plain_types(annotation: Any) -> set[Any]:
    """All types that an annotation is made of; Any stands for every one."""
    if annotation is Any or annotation is object:
        return {bool}
    if get_origin(annotation) is Literal:
        return {type(choice) for choice in get_args(annotation)}
    return {annotation}.union(*map(_plain_types, get_args(annotation) if get_origin(annotation) else ()))


def _range(constraints: list[Any]) -> str:
    """The bounds among an annotation's constraints: pydantic Fields, or the marks that they are made of."""
    marks = [mark for c in constraints for mark in (c.metadata if isinstance(c, FieldInfo) else [c])]
    bound = {type(mark): getattr(mark, _BOUNDS[type(mark)][0]) for mark in marks if type(mark) in _BOUNDS}
    if bound.keys() == {Ge, Le}:
        return f" from {bound[Ge]} to {bound[Le]}"
    return " " + " and ".join(f"{_BOUNDS[kind][1]} {value}" for kind, value in bound.items()) if bound else ""


_BOUNDS = {Ge: ("ge", "of at least"), Gt: ("gt", "above"), Le: ("le", "of at most"), Lt: ("lt", "below")}
