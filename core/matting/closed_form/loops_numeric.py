"""Numeric factorisation and back substitution in plain loops, for :mod:`.numba_backend`.

They also run, very slowly, as plain Python. The public functions are documented in
:mod:`.backend`. What they call, constants included, must stand in this file: numba's cache is
renewed when this file changes, and does not see changes in others.
"""

from __future__ import annotations

import numpy as np

from .backend import Bytes, Floats, Ints, Longs, Singles

# Columns of ``SymbolicFactor.nodes``.
PIXEL, BORDER, WINDOW, FACTOR, FIRST = range(5)
# Positions of known pixels, above those of all unknown ones.
BACKGROUND, FOREGROUND = 2**31 - 2, 2**31 - 1
# ε of closed-form matting; colours count in ninths of a level, so that CᵀC is a whole number
SCALED_EPSILON = 1e-7 * (9 * 255) ** 2
# far below what ε leaves, far above zero: rounding must not turn a pivot negative
TINY = 1e-15
# Rows and columns of a front that are worked on while they lie in the nearest cache, and the
# distance between rows copied there; no power of two, which would map them to the same lines.
PANEL, TILE = 32, 128
STRIDE = TILE + 8


def factorise(
    begin: int,
    end: int,
    nodes: Longs,
    borders: Ints,
    windows: Ints,
    position: Ints,
    image: Bytes,
    width: int,
    factor: Singles,
    rhs: Floats,
    stack: Floats,
    workspace: Floats,
    stopped: Bytes,
) -> int:
    """See :meth:`.backend.Backend.factorise`."""
    local = np.empty(nodes[-1, PIXEL], np.int32)  # row in the current front of each position
    vectors = np.empty((9, 3))
    relative = np.empty(0, np.int64)  # rows in it of a window's pixels, or of a child's border
    panel = np.zeros((PANEL + 1) * STRIDE)
    height = 0
    child = begin - 1
    while child >= nodes[begin, FIRST]:  # update matrices of earlier tasks
        size = nodes[child + 1, BORDER] - nodes[child, BORDER]
        height += size * (size + 3) // 2
        child = nodes[child, FIRST] - 1
    for node in range(begin, end):
        if stopped[0]:
            return -1
        low = nodes[node, PIXEL]
        pivots = nodes[node + 1, PIXEL] - low
        border = borders[nodes[node, BORDER] : nodes[node + 1, BORDER]]
        size = pivots + len(border)
        front = workspace[: size * (size + 1)].reshape((size, size + 1))
        front[:] = 0
        if len(relative) < max(9, size + 1):
            relative = np.empty(2 * size + 9, np.int64)
        for k in range(pivots):
            local[low + k] = k
        for k in range(len(border)):
            local[border[k]] = pivots + k
        for k in range(nodes[node, WINDOW], nodes[node + 1, WINDOW]):
            assemble_window(front, windows[k], width, image, position, local, vectors, relative)
        child = node - 1
        while child >= nodes[node, FIRST]:
            child_border = borders[nodes[child, BORDER] : nodes[child + 1, BORDER]]
            height -= len(child_border) * (len(child_border) + 3) // 2
            extend_add(front, child_border, local, relative, stack, height)
            child = nodes[child, FIRST] - 1
        if not eliminate_pivots(front, pivots, panel, stopped):
            return -1
        k = nodes[node, FACTOR]
        for i in range(pivots):
            copy_row(front[i, i:size], factor[k:])
            k += size - i
            rhs[low + i] = front[i, size]
        for i in range(pivots, size):
            copy_row(front[i, i:], stack[height:])
            height += size + 1 - i
    return height


def copy_row(source: Floats, target: Floats | Singles) -> None:
    """Copy to the beginning of ``target``, which numba compiles faster than an assignment."""
    for i in range(len(source)):
        target[i] = source[i]


def assemble_window(
    front: Floats,
    centre: int,
    width: int,
    image: Bytes,
    position: Ints,
    local: Ints,
    vectors: Floats,
    relative: Longs,
) -> None:
    """Add a window's ``I − V Vᵀ`` to a front, see :mod:`.laplacian`.

    What belongs to known pixels goes to the last column, the right-hand side. ``vectors`` (9, 3)
    and ``relative`` (≥ 9,) are room to work in.
    """
    size = len(front)
    r_sum = 0.0
    g_sum = 0.0
    b_sum = 0.0
    for i in range(9):
        pixel = centre + (i // 3 - 1) * width + i % 3 - 1
        p = position[pixel]
        if p == FOREGROUND:
            relative[i] = -1
        elif p == BACKGROUND:
            relative[i] = -2
        else:
            relative[i] = local[p]
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
    g00 = 1 / np.sqrt(rr)
    g10 = gr * g00
    g20 = br * g00
    g11 = 1 / np.sqrt(gg - g10 * g10)
    g21 = (bg - g20 * g10) * g11
    g22 = 1 / np.sqrt(bb - g20 * g20 - g21 * g21)
    for i in range(9):
        u = vectors[i, 0] * g00
        v = (vectors[i, 1] - g10 * u) * g11
        w = (vectors[i, 2] - g20 * u - g21 * v) * g22
        vectors[i, 0] = u
        vectors[i, 1] = v
        vectors[i, 2] = w
        a = relative[i]
        if a >= 0:
            front[a, a] += 8 / 9 - (u * u + v * v + w * w)
        for j in range(i):
            b = relative[j]
            if a < 0 and b < 0:
                continue
            value = -1 / 9 - (u * vectors[j, 0] + v * vectors[j, 1] + w * vectors[j, 2])
            if a >= 0 and b >= 0:
                front[min(a, b), max(a, b)] += value
            elif a == -1:
                front[b, size] -= value
            elif b == -1:
                front[a, size] -= value


def extend_add(
    front: Floats, child_border: Ints, local: Ints, relative: Longs, stack: Floats, k: int
) -> None:
    """Add a child's update matrix, which begins at ``stack[k]``, to the front of its parent."""
    size = len(front)
    count = len(child_border)
    for i in range(count):
        relative[i] = local[child_border[i]]
    relative[count] = size
    for i in range(count):
        row = front[relative[i]]
        columns = relative[i : count + 1]
        update = stack[k : k + len(columns)]
        for j in range(len(columns)):
            row[columns[j]] += update[j]
        k += len(columns)


def eliminate_pivots(front: Floats, pivots: int, panel: Floats, stopped: Bytes) -> bool:
    """Replace a front's first ``pivots`` rows by those of R, the others by the update matrix.

    Only the upper triangle is read and written; the last column is the right-hand side.
    ``panel`` is room to work in. Returns False if stopped.
    """
    size = len(front)
    for low in range(0, pivots, PANEL):
        if stopped[0]:
            return False
        high = min(low + PANEL, pivots)
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
            subtract_products(front, panel, begin, end, end, high)
        subtract_products(front, panel, low, high, high, size)
    return True


def subtract_products(
    front: Floats, panel: Floats, low: int, high: int, top: int, bottom: int
) -> None:
    """Subtract ``P[:, i]ᵀ P`` from each row i from ``top`` to ``bottom``, to the right of it.

    P are the rows of R from ``low`` to ``high``. Two rows and eight pivots at once are what fits
    into registers. The pivots' rows are copied to a fixed distance from each other, without
    which the compiler does not vectorise.
    """
    width = front.shape[1]
    padded = -(-(high - low) // 8) * 8
    for left in range(top, width, TILE):
        right = min(left + TILE, width)
        for k in range(padded):
            copy = panel[k * STRIDE : k * STRIDE + right - left]
            if low + k < high:
                copy_row(front[low + k, left:right], copy)
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


def back_substitute(
    begin: int,
    end: int,
    nodes: Longs,
    borders: Ints,
    factor: Singles,
    rhs: Floats,
    stopped: Bytes,
) -> None:
    """See :meth:`.backend.Backend.back_substitute`."""
    known = np.empty(0)
    for node in range(end - 1, begin - 1, -1):
        if stopped[0]:
            return
        low = nodes[node, PIXEL]
        pivots = nodes[node + 1, PIXEL] - low
        border = borders[nodes[node, BORDER] : nodes[node + 1, BORDER]]
        size = pivots + len(border)
        if len(known) < size:
            known = np.empty(2 * size)
        for i in range(len(border)):
            known[pivots + i] = rhs[border[i]]
        k = nodes[node + 1, FACTOR]
        for i in range(pivots - 1, -1, -1):
            k -= size - i
            row = factor[k + 1 : k + size - i]
            after = known[i + 1 : size]
            total = rhs[low + i]
            for j in range(len(row)):
                total -= row[j] * after[j]
            known[i] = total / factor[k]
            rhs[low + i] = known[i]
