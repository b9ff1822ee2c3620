"""What is typed to choose an arm: a group that only some methods bring is named together with one of them."""

from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from dopsd.entry.composing import CONF, arms


@cache
def choices_of(method: str, entry: str = "train") -> dict[str, str]:
    """The arm of each group of a training by one method, of those of its overlays too."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(CONF, version_base="1.3"):
        choices = compose(entry, [f"method={method}"], return_hydra_config=True).hydra.runtime.choices
    return {group: arm for group, arm in choices.items() if not group.startswith("hydra")}


def groups_of(method: str, entry: str = "train") -> frozenset[str]:
    """The groups alone."""
    return frozenset(choices_of(method, entry))


@cache
def methods_with(group: str) -> tuple[str, ...]:
    """The methods that bring a group, the default one first."""
    if group in groups_of("dopsd") | groups_of("dopsd", "probe"):
        return ("dopsd",)
    return tuple(method for method in arms("method") if group in groups_of(method))


def typed(group: str, arm: str) -> list[str]:
    """The overrides of one arm."""
    method = methods_with(group)[0]
    return [f"{group}={arm}", *([f"method={method}"] if method != "dopsd" else [])]
