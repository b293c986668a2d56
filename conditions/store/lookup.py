"""The tree behind the search for the intervals that cover a run.

An index on first and final run alone is of no use in a long tag: half of all rows begin before the run, and half
end after it. Here every interval is kept at one node of a binary tree over the line of runs (it exists as
arithmetic only): the topmost node that lies inside the interval. An interval that covers a run is kept at a node on
the path from the root to that run. At a node left of the run, it covers the run when it ends late enough; at one
to the right, when it begins early enough. Each is a range at the end of an index, so a search reads the covering
rows only, after at most 62 probes (Kriegel, Pötke, Seidl: Managing intervals efficiently in object-relational
databases, VLDB 2000).
"""

from __future__ import annotations

from typing import Final

from conditions.iov import RUN_BITS

LEVELS: Final = 2 * RUN_BITS  # the root is 2 ** LEVELS, where every interval without an end is kept


def fork_of(first_key: int, final_key: int) -> int:
    """The node that keeps an interval: the number inside it that two divides most often.

    Places count from one in the tree, so that the node 0, which has no level, is never met.

    >>> fork_of(2, 6)  # 3..7 in the tree
    4
    """
    level = (first_key ^ (final_key + 1)).bit_length() - 1
    return (final_key + 1) >> level << level


def path_to(key: int) -> tuple[list[int], list[int]]:
    """The nodes that may keep an interval that covers a run: those left of it, and the others.

    At a left node an interval covers the run when final_key >= key, at the others when first_key <= key.

    >>> path_to(4)[0]  # place 5 in the tree
    [4]
    """
    place = key + 1
    own_level = (place & -place).bit_length() - 1
    left: list[int] = []
    right: list[int] = []
    for level in range(own_level, LEVELS + 1):
        node = (place >> level | 1) << level
        (left if node < place else right).append(node)
    return left, right
