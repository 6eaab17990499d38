# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Weighted cross-products of grouped rows, added where a factor's arrangement wants them.

The weights of a generalized model change with every step; what stays is which row belongs where.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t


def add_levels(const int32_t[::1] codes, const double[:, ::1] left, const double[:, ::1] right,
               const double[::1] weights, const int64_t[::1] starts, int64_t stride,
               double[::1] out):
    """out[starts[code] + stride a + b] += w·left[a]·right[b] for each row."""
    cdef int64_t n = codes.shape[0], i
    cdef int k = left.shape[1], m = right.shape[1], a, b
    cdef double f
    cdef double* here
    if n == 0 or k == 0 or m == 0:
        return
    with nogil:
        for i in range(n):
            here = &out[starts[codes[i]]]
            for a in range(k):
                f = left[i, a] * weights[i]
                for b in range(m):
                    here[a * stride + b] += f * right[i, b]


def add_rows(const int32_t[::1] codes, const double[:, ::1] left, const double[::1] right,
             const int64_t[::1] starts, double[::1] out):
    """out[starts[code] + a] += left[a]·right for each row."""
    cdef int64_t n = codes.shape[0], i
    cdef int k = left.shape[1], a
    cdef double f
    cdef double* here
    if n == 0 or k == 0:
        return
    with nogil:
        for i in range(n):
            here = &out[starts[codes[i]]]
            f = right[i]
            for a in range(k):
                here[a] += left[i, a] * f


def add_pairs(const int64_t[::1] starts, const uint8_t[::1] flipped, const double[:, ::1] left,
              const double[:, ::1] right, const double[::1] weights, double[::1] out):
    """out[starts[i]:] += w·left·right' (k, l) of each row, or its transpose where flipped."""
    cdef int64_t n = starts.shape[0], i
    cdef int k = left.shape[1], l = right.shape[1], a, b
    cdef double f
    cdef double* here
    if n == 0:
        return
    with nogil:
        for i in range(n):
            here = &out[starts[i]]
            for a in range(k):
                f = left[i, a] * weights[i]
                if flipped[i]:
                    for b in range(l):
                        here[b * k + a] += f * right[i, b]
                else:
                    for b in range(l):
                        here[a * l + b] += f * right[i, b]


def gather(const int32_t[::1] codes, const double[:, ::1] values, const double[:, ::1] levels,
           double[::1] out):
    """out[i] += values[i]·levels[code] for each row."""
    cdef int64_t n = codes.shape[0], i
    cdef int k = values.shape[1], a
    cdef double total
    if n == 0 or k == 0:
        return
    with nogil:
        for i in range(n):
            total = 0.0
            for a in range(k):
                total += values[i, a] * levels[codes[i], a]
            out[i] += total


def add_step(const int32_t[::1] codes, const double[:, ::1] values, const double[::1] weights,
             const double[::1] first, const double[::1] shift, const int64_t[::1] squares,
             const int64_t[::1] offsets, double[::1] diagonal, double[::1] score,
             double[::1] border):
    """For each row, at its level: diagonal += w·z z', score += z·r, border += z·(r + w·shift).

    z (k,) is its values, w its weight, r its first derivative.
    """
    cdef int64_t n = codes.shape[0], i, at, square
    cdef int k = values.shape[1], a, b
    cdef double w, r, end, z
    if n == 0 or k == 0:
        return
    with nogil:
        if k == 1:
            for i in range(n):
                at, square = offsets[codes[i]], squares[codes[i]]
                z, w, r = values[i, 0], weights[i], first[i]
                diagonal[square] += w * z * z
                score[at] += z * r
                border[at] += z * (r + w * shift[i])
        else:
            for i in range(n):
                at, square = offsets[codes[i]], squares[codes[i]]
                w, r = weights[i], first[i]
                end = r + w * shift[i]
                for a in range(k):
                    z = values[i, a]
                    score[at + a] += z * r
                    border[at + a] += z * end
                    z *= w
                    for b in range(k):
                        diagonal[square + a * k + b] += z * values[i, b]


def forms(const int32_t[::1] codes, const double[:, ::1] values, const double[:, :, ::1] blocks):
    """z'Bz (n,) of each row's values z (k,) and its level's B (k, k)."""
    cdef int64_t n = codes.shape[0], i
    cdef int k = values.shape[1], a, b
    result = np.empty(n)
    cdef double[::1] out = result
    cdef double total, part
    if k == 0:
        result[:] = 0.0
        return result
    with nogil:
        for i in range(n):
            total = 0.0
            for a in range(k):
                part = 0.0
                for b in range(k):
                    part += blocks[codes[i], a, b] * values[i, b]
                total += values[i, a] * part
            out[i] = total
    return result
