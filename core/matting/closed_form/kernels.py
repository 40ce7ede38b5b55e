"""Loops that factor and solve closed-form matting's equations, in the Python that numba compiles.

Nothing here imports numba or other modules of the package, and everything also runs, very
slowly, as plain Python. What the arrays hold is explained in :mod:`.dissection`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

# Columns of the table of nodes.
PIXEL, BOUNDARY, WINDOW, FACTOR, FIRST = range(5)
# Positions of known pixels, above those of all unknown ones.
BACKGROUND, FOREGROUND = 2**31 - 2, 2**31 - 1
# ε of closed-form matting; colours count in ninths of a level, in which C'C is a whole number
SCALED_EPSILON = 1e-7 * (9 * 255) ** 2
# far below what ε leaves, far above zero: rounding must not turn a pivot negative
TINY = 1e-15
# rows and columns of a front that are worked on while they lie in the nearest cache
PANEL, TILE = 32, 128
STRIDE = TILE + 8


def factor(
    begin: int,
    end: int,
    nodes: Longs,
    bounds: Ints,
    windows: Ints,
    position: Ints,
    image: Bytes,
    width: int,
    factors: Singles,
    right: Floats,
    stack: Floats,
    work: Floats,
    stopped: Bytes,
) -> int:
    """Eliminate the nodes from ``begin`` to ``end``, whose updates end up on the stack.

    Returns the height of the stack, or -1 when stopped.
    """
    place = np.empty(nodes[-1, PIXEL], np.int32)  # of a position in the current front
    vectors = np.empty((9, 3))
    where = np.empty(0, np.int64)
    panel = np.zeros((PANEL + 1) * STRIDE)
    height = 0
    child = begin - 1
    while child >= nodes[begin, FIRST]:  # updates of an earlier call
        size = nodes[child + 1, BOUNDARY] - nodes[child, BOUNDARY]
        height += size * (size + 3) // 2
        child = nodes[child, FIRST] - 1
    for node in range(begin, end):
        if stopped[0]:
            return -1
        low = nodes[node, PIXEL]
        inner = nodes[node + 1, PIXEL] - low
        bound = bounds[nodes[node, BOUNDARY] : nodes[node + 1, BOUNDARY]]
        size = inner + len(bound)
        front = work[: size * (size + 1)].reshape((size, size + 1))
        front[:] = 0
        if len(where) < max(9, size + 1):
            where = np.empty(2 * size + 9, np.int64)
        for k in range(inner):
            place[low + k] = k
        for k in range(len(bound)):
            place[bound[k]] = inner + k
        for k in range(nodes[node, WINDOW], nodes[node + 1, WINDOW]):
            add_window(front, windows[k], width, image, position, place, vectors, where)
        child = node - 1
        while child >= nodes[node, FIRST]:
            lower = bounds[nodes[child, BOUNDARY] : nodes[child + 1, BOUNDARY]]
            height -= len(lower) * (len(lower) + 3) // 2
            add_update(front, lower, place, where, stack, height)
            child = nodes[child, FIRST] - 1
        if not eliminate(front, inner, panel, stopped):
            return -1
        k = nodes[node, FACTOR]
        for i in range(inner):
            factors[k : k + size - i] = front[i, i:size]
            k += size - i
            right[low + i] = front[i, size]
        for i in range(inner, size):
            stack[height : height + size + 1 - i] = front[i, i:]
            height += size + 1 - i
    return height


def add_window(
    front: Floats,
    centre: int,
    width: int,
    image: Bytes,
    position: Ints,
    place: Ints,
    vectors: Floats,
    where: Longs,
) -> None:
    """Add a window's ``I − V Vᵀ``; known pixels go to the last column, the right-hand side."""
    size = len(front)
    r_sum = 0.0
    g_sum = 0.0
    b_sum = 0.0
    for i in range(9):
        pixel = centre + (i // 3 - 1) * width + i % 3 - 1
        p = position[pixel]
        if p == FOREGROUND:
            where[i] = -1
        elif p == BACKGROUND:
            where[i] = -2
        else:
            where[i] = place[p]
        r = float(image[pixel, 0])
        g = float(image[pixel, 1])
        b = float(image[pixel, 2])
        vectors[i, 0] = 9 * r
        vectors[i, 1] = 9 * g
        vectors[i, 2] = 9 * b
        r_sum += r
        g_sum += g
        b_sum += b
    rr = SCALED_EPSILON
    gg = SCALED_EPSILON
    bb = SCALED_EPSILON
    gr = 0.0
    br = 0.0
    bg = 0.0
    for i in range(9):
        r = vectors[i, 0] - r_sum
        g = vectors[i, 1] - g_sum
        b = vectors[i, 2] - b_sum
        rr += r * r
        gg += g * g
        bb += b * b
        gr += g * r
        br += b * r
        bg += b * g
        vectors[i, 0] = r
        vectors[i, 1] = g
        vectors[i, 2] = b
    r00 = 1 / np.sqrt(rr)
    r10 = gr * r00
    r20 = br * r00
    r11 = 1 / np.sqrt(gg - r10 * r10)
    r21 = (bg - r20 * r10) * r11
    r22 = 1 / np.sqrt(bb - r20 * r20 - r21 * r21)
    for i in range(9):
        u = vectors[i, 0] * r00
        v = (vectors[i, 1] - r10 * u) * r11
        w = (vectors[i, 2] - r20 * u - r21 * v) * r22
        vectors[i, 0] = u
        vectors[i, 1] = v
        vectors[i, 2] = w
        a = where[i]
        if a >= 0:
            front[a, a] += 8 / 9 - (u * u + v * v + w * w)
        for j in range(i):
            b = where[j]
            if a < 0 and b < 0:
                continue
            value = -1 / 9 - (u * vectors[j, 0] + v * vectors[j, 1] + w * vectors[j, 2])
            if a >= 0 and b >= 0:
                front[min(a, b), max(a, b)] += value
            elif a == -1:
                front[b, size] -= value
            elif b == -1:
                front[a, size] -= value


def add_update(
    front: Floats, lower: Ints, place: Ints, where: Longs, stack: Floats, k: int
) -> None:
    """Extend-add: a child's update matrix, rows of its upper triangle, and right-hand side."""
    size = len(front)
    count = len(lower)
    for i in range(count):
        where[i] = place[lower[i]]
    where[count] = size
    for i in range(count):
        row = front[where[i]]
        columns = where[i : count + 1]
        update = stack[k : k + len(columns)]
        for j in range(len(columns)):
            row[columns[j]] += update[j]
        k += len(columns)


def eliminate(front: Floats, inner: int, panel: Floats, stopped: Bytes) -> bool:
    """Factor the first rows as R of RᵀR, and subtract from the others what they explain."""
    size = len(front)
    for low in range(0, inner, PANEL):
        if stopped[0]:
            return False
        high = min(low + PANEL, inner)
        for begin in range(low, high, 8):
            end = min(begin + 8, high)
            for i in range(begin, end):
                row = front[i, i:]
                for k in range(begin, i):
                    above = front[k, i:]
                    a = above[0]
                    for j in range(len(row)):
                        row[j] -= a * above[j]
                a = 1 / np.sqrt(max(row[0], TINY))
                for j in range(len(row)):
                    row[j] *= a
            subtract(front, panel, begin, end, end, high)
        subtract(front, panel, low, high, high, size)
    return True


def subtract(front: Floats, panel: Floats, low: int, high: int, top: int, bottom: int) -> None:
    """Subtract from the rows ``top`` to ``bottom`` what those from ``low`` to ``high`` explain.

    Two rows and eight pivots at once are what fits into registers. The pivots' rows are copied
    to a fixed distance from each other, without which the compiler gives up.
    """
    width = front.shape[1]
    pivots = -(-(high - low) // 8) * 8
    for left in range(top, width, TILE):
        right = min(left + TILE, width)
        for k in range(pivots):
            copy = panel[k * STRIDE : k * STRIDE + right - left]
            if low + k < high:
                copy[:] = front[low + k, left:right]
            else:
                copy[:] = 0
        for i in range(top, min(right, bottom), 2):
            begin = max(i, left)
            row = front[i, begin:right]
            beside = panel[PANEL * STRIDE : PANEL * STRIDE + len(row)]
            if i + 1 < bottom:
                beside = front[i + 1, begin:right]
            for k in range(low, high, 8):
                k1, k2, k3 = min(k + 1, high - 1), min(k + 2, high - 1), min(k + 3, high - 1)
                k4, k5, k6 = min(k + 4, high - 1), min(k + 5, high - 1), min(k + 6, high - 1)
                k7 = min(k + 7, high - 1)
                a0, a1, a2, a3 = front[k, i], front[k1, i], front[k2, i], front[k3, i]
                a4, a5, a6, a7 = front[k4, i], front[k5, i], front[k6, i], front[k7, i]
                n = min(i + 1, width - 1)
                b0, b1, b2, b3 = front[k, n], front[k1, n], front[k2, n], front[k3, n]
                b4, b5, b6, b7 = front[k4, n], front[k5, n], front[k6, n], front[k7, n]
                p = panel[(k - low) * STRIDE + begin - left :]
                for j in range(len(row)):
                    p0, p1, p2, p3 = p[j], p[j + STRIDE], p[j + 2 * STRIDE], p[j + 3 * STRIDE]
                    p4, p5 = p[j + 4 * STRIDE], p[j + 5 * STRIDE]
                    p6, p7 = p[j + 6 * STRIDE], p[j + 7 * STRIDE]
                    row[j] -= (a0 * p0 + a1 * p1 + a2 * p2 + a3 * p3) + (
                        a4 * p4 + a5 * p5 + a6 * p6 + a7 * p7
                    )
                    beside[j] -= (b0 * p0 + b1 * p1 + b2 * p2 + b3 * p3) + (
                        b4 * p4 + b5 * p5 + b6 * p6 + b7 * p7
                    )


def substitute(
    begin: int,
    end: int,
    nodes: Longs,
    bounds: Ints,
    factors: Singles,
    right: Floats,
    stopped: Bytes,
) -> None:
    """Replace the right-hand side by the solution, in the nodes from ``end`` to ``begin``."""
    known = np.empty(0)
    for node in range(end - 1, begin - 1, -1):
        if stopped[0]:
            return
        low = nodes[node, PIXEL]
        inner = nodes[node + 1, PIXEL] - low
        bound = bounds[nodes[node, BOUNDARY] : nodes[node + 1, BOUNDARY]]
        size = inner + len(bound)
        if len(known) < size:
            known = np.empty(2 * size)
        for i in range(len(bound)):
            known[inner + i] = right[bound[i]]
        k = nodes[node + 1, FACTOR]
        for i in range(inner - 1, -1, -1):
            k -= size - i
            row = factors[k + 1 : k + size - i]
            after = known[i + 1 : size]
            total = right[low + i]
            for j in range(len(row)):
                total -= row[j] * after[j]
            known[i] = total / factors[k]
            right[low + i] = known[i]
