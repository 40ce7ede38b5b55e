"""The tree of nodes, and its division into tasks for threads.

Nodes are numbered in postorder: a node's subtree is made of successive nodes, from its first
descendant up to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .backend import Floats, Longs

# A task is at most this share of all operations, unless it is small anyway.
_SHARE = 1 / 24
_SMALL = 1e7


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Successive nodes for one thread: a subtree, or one of the nodes above the subtrees.

    Attributes
    ----------
    begin, end
        The nodes from ``begin`` to ``end``, without the latter.
    stack
        Entries that the stack of update matrices needs.
    children
        Numbers of the tasks whose update matrices it takes, ascending.
    """

    begin: int
    end: int
    stack: int
    children: tuple[int, ...]


def children(node: int, first: Sequence[int] | Longs) -> list[int]:
    """Return a node's children, the last one first.

    Parameters
    ----------
    node
        0..T − 1.
    first
        (T,), each node's first descendant.
    """
    found: list[int] = []
    child = node - 1
    while child >= first[node]:
        found.append(child)
        child = int(first[child]) - 1
    return found


def divide_into_tasks(first: Longs, update: Longs, operations: Floats) -> tuple[Task, ...]:
    """Divide the tree into subtrees of moderate size, and single nodes above them.

    Parameters
    ----------
    first
        int64 (T,), each node's first descendant.
    update
        int64 (T,), entries of each node's update matrix.
    operations
        float64 (T,), multiplications that each node's elimination takes.

    Returns
    -------
    tuple of Task
        All nodes, children before parents.
    """
    count = len(first)
    below: list[int] = first.tolist()
    parent = np.full(count, count)
    for node in range(count):
        for child in children(node, below):
            parent[child] = node
    # of the stack after each node, if one thread did everything
    taken = np.bincount(parent, update, count + 1)[:count].astype(np.int64)
    height = np.cumsum(update - taken)
    total = np.concatenate(([0.0], np.cumsum(operations)))
    limit = max(total[-1] * _SHARE, _SMALL)
    ranges: list[tuple[int, int]] = []
    node = count - 1
    while node >= 0:  # parents before children, from the last node down
        is_small = total[node + 1] - total[below[node]] <= limit
        begin = below[node] if is_small else node
        ranges.append((begin, node + 1))
        node = begin - 1
    ranges.reverse()
    number = {end - 1: i for i, (_, end) in enumerate(ranges)}
    tasks: list[Task] = []
    for begin, end in ranges:
        given = children(begin, below)
        size = int(update[given].sum())
        before = int(height[begin - 1]) - size if begin else 0
        tasks.append(
            Task(
                begin=begin,
                end=end,
                stack=max(size, int(height[begin:end].max()) - before),
                children=tuple(number[child] for child in reversed(given)),
            )
        )
    return tuple(tasks)
