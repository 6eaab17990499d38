# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Cross-products of grouped rows, accumulated level by level in one pass over the rows."""
import numpy as np

from libc.stdint cimport int32_t, int64_t


def level_products(const int32_t[::1] codes, const double[:, ::1] left,
                   const double[:, ::1] right, const double[::1] weights, int64_t n_levels):
    """Σ of w·left·right' over the rows of each level, (n_levels, k, m)."""
    cdef int64_t n = codes.shape[0], i
    cdef int k = left.shape[1], m = right.shape[1], a, b
    cdef bint weighted = weights.shape[0] > 0
    cdef double f
    cdef double* out
    result = np.zeros((n_levels, k, m))
    cdef double[:, :, ::1] view = result
    if n == 0 or n_levels == 0 or k == 0 or m == 0:
        return result
    with nogil:
        for i in range(n):
            out = &view[codes[i], 0, 0]
            for a in range(k):
                f = left[i, a]
                if weighted:
                    f = f * weights[i]
                for b in range(m):
                    out[a * m + b] += f * right[i, b]
    return result


def pair_products(const int32_t[::1] rows_codes, const double[:, ::1] left, int64_t n_rows,
                  const int32_t[::1] columns_codes, const double[:, ::1] right, int64_t n_columns,
                  const double[::1] weights):
    """Σ of w·left·right' over the rows of each pair of levels that occurs.

    Returns the pairs' levels, both (m,), sorted by the first, and the blocks (m, k, l).
    """
    cdef int64_t n = rows_codes.shape[0], i, level, at, count = 0, first, slot
    cdef int k = left.shape[1], l = right.shape[1], a, b
    cdef bint weighted = weights.shape[0] > 0
    cdef double f
    cdef double* out
    starts_array = np.zeros(n_rows + 1, dtype=np.int64)
    order_array = np.empty(n, dtype=np.int32)
    cdef int64_t[::1] starts = starts_array
    cdef int32_t[::1] order = order_array
    slots_array = np.full(n_columns, -1, dtype=np.int64)
    cdef int64_t[::1] slots = slots_array
    pair_rows = np.empty(n, dtype=np.int32)
    pair_columns = np.empty(n, dtype=np.int32)
    cdef int32_t[::1] out_rows = pair_rows
    cdef int32_t[::1] out_columns = pair_columns
    with nogil:
        for i in range(n):
            starts[rows_codes[i] + 1] += 1
        for level in range(n_rows):
            starts[level + 1] += starts[level]
        for i in range(n):
            order[starts[rows_codes[i]]] = <int32_t> i
            starts[rows_codes[i]] += 1
        # starts[level] is now where the level ends.
        at = 0
        for level in range(n_rows):
            first = count
            while at < starts[level]:
                i = order[at]
                if slots[columns_codes[i]] < first:
                    slots[columns_codes[i]] = count
                    out_rows[count] = <int32_t> level
                    out_columns[count] = columns_codes[i]
                    count += 1
                at += 1
    blocks = np.zeros((count, k, l))
    cdef double[:, :, ::1] view = blocks
    slots_array.fill(-1)
    if count == 0 or k == 0 or l == 0:
        return pair_rows[:count].copy(), pair_columns[:count].copy(), blocks
    with nogil:
        at = 0
        count = 0
        for level in range(n_rows):
            first = count
            while at < starts[level]:
                i = order[at]
                slot = slots[columns_codes[i]]
                if slot < first:
                    slot = count
                    slots[columns_codes[i]] = slot
                    count += 1
                out = &view[slot, 0, 0]
                for a in range(k):
                    f = left[i, a]
                    if weighted:
                        f = f * weights[i]
                    for b in range(l):
                        out[a * l + b] += f * right[i, b]
                at += 1
    return pair_rows[:count].copy(), pair_columns[:count].copy(), blocks


def add_modes(const int32_t[::1] codes, const double[:, ::1] values, const double[:, :, ::1] b,
              double[:, ::1] out):
    """Add Zb of R replicates, b (k, n_levels, R), to the rows of out (n, R)."""
    cdef int64_t n = codes.shape[0], i, r, count = out.shape[1]
    cdef int k = values.shape[1], a
    cdef double f
    cdef const double* mode
    cdef double* row
    if n == 0 or k == 0 or count == 0:
        return
    with nogil:
        for i in range(n):
            row = &out[i, 0]
            for a in range(k):
                f = values[i, a]
                mode = &b[a, codes[i], 0]
                for r in range(count):
                    row[r] += f * mode[r]
