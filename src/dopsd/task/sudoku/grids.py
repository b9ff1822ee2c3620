"""All 288 solved 4x4 grids, their fixed division into splits, and which sets of blanks leave one solution."""

from functools import cache
from itertools import accumulate, combinations, permutations, product

import numpy as np
from jaxtyping import Bool, Int, UInt16

from dopsd.task.source.held_out import SHARES, drawn
from dopsd.task.task import SPLITS, Split

CELLS = 16
ROWS = tuple(tuple(range(4 * row, 4 * row + 4)) for row in range(4))
COLUMNS = tuple(tuple(range(column, CELLS, 4)) for column in range(4))
BOXES = tuple(tuple(corner + offset for offset in (0, 1, 4, 5)) for corner in (0, 2, 8, 10))
UNITS = ROWS + COLUMNS + BOXES


def is_solved(grid: str) -> bool:
    """Whether 16 digits hold 1, 2, 3 and 4 once in every row, column and 2x2 box."""
    return all({grid[cell] for cell in unit} == set("1234") for unit in UNITS)


@cache
def grids() -> tuple[str, ...]:
    """Every solved grid, row by row as 16 digits, in order."""
    rows = ["".join(row) for row in permutations("1234")]
    halves = [one + other for one, other in product(rows, rows) if _is_half(one, other)]
    return tuple(top + bottom for top, bottom in product(halves, halves) if is_solved(top + bottom))


@cache
def grid_indices_of(split: Split) -> tuple[int, ...]:
    """Which of `grids()` belong to a split: fixed, so that no seed moves a solution from train to test."""
    keys = list(map(drawn, grids()))
    shuffled = sorted(range(len(keys)), key=keys.__getitem__)
    ends = list(accumulate((round(share * len(keys)) for share in SHARES.values()), initial=0))
    position = SPLITS.index(split)
    return tuple(shuffled[ends[position] : ends[position + 1]])


@cache
def blank_sets(count: int) -> UInt16[np.ndarray, " W"]:
    """Every way to blank `count` cells, as 16-bit sets (bit c is cell c)."""
    sets = [sum(1 << cell for cell in cells) for cells in combinations(range(CELLS), count)]
    return np.array(sets, dtype=np.uint16)


def is_unique(
    grid_indices: Int[np.ndarray, " N"], blanks: UInt16[np.ndarray, " N"]
) -> Bool[np.ndarray, " N"]:
    """Whether blanking a set of cells in a grid, an index into `grids()`, leaves it the only solution."""
    differences = _differences()[grid_indices]  # (N, 287)
    return ((differences & ~blanks[:, None]) != 0).all(axis=1)


@cache
def _differences() -> UInt16[np.ndarray, "288 287"]:
    """For each grid the sets of cells in which the 287 others differ from it."""
    digits = np.array([[int(digit) for digit in grid] for grid in grids()], dtype=np.uint8)
    differs = digits[:, None] != digits[None]
    sets = (differs * (1 << np.arange(CELLS))).sum(axis=-1).astype(np.uint16)
    others = ~np.eye(len(digits), dtype=bool)
    return sets[others].reshape(len(digits), -1)


def _is_half(one: str, other: str) -> bool:
    return all(len(set(one[start : start + 2] + other[start : start + 2])) == 4 for start in (0, 2))
