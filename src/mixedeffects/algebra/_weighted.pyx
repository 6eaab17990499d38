# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Weighted cross-products of grouped rows, added where a factor's arrangement wants them.

The weights of a generalized model change with every step; what stays is which row belongs where.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t

# Loops over rows whose length k the compiler unrolls where a call gives it as a number.

cdef inline void gather_rows(int k, int64_t n, const int32_t* codes, const double* values,
                             const double* levels, double* out) noexcept nogil:
    cdef int64_t i
    cdef int a
    cdef double total
    cdef const double* own
    for i in range(n):
        own = &levels[<int64_t> codes[i] * k]
        total = 0.0
        for a in range(k):
            total += values[i * k + a] * own[a]
        out[i] += total


cdef inline void step_rows(int k, int64_t n, const int32_t* codes, const double* values,
                           const double* weights, const double* first, const double* shift,
                           const int64_t* squares, const int64_t* offsets, double* diagonal,
                           double* score, double* border) noexcept nogil:
    cdef int64_t i, at
    cdef int a, b
    cdef double w, r, end, z
    cdef const double* own
    cdef double* square
    for i in range(n):
        at, square = offsets[codes[i]], &diagonal[squares[codes[i]]]
        own, w, r = &values[i * k], weights[i], first[i]
        end = r + w * shift[i]
        for a in range(k):
            z = own[a]
            score[at + a] += z * r
            border[at + a] += z * end
            z *= w
            for b in range(k):
                square[a * k + b] += z * own[b]


cdef inline void form_rows(int k, int64_t n, const int32_t* codes, const double* values,
                           const double* blocks, double* out) noexcept nogil:
    cdef int64_t i
    cdef int a, b
    cdef double total, part
    cdef const double* own
    cdef const double* block
    for i in range(n):
        own, block = &values[i * k], &blocks[<int64_t> codes[i] * k * k]
        total = 0.0
        for a in range(k):
            part = 0.0
            for b in range(k):
                part += block[a * k + b] * own[b]
            total += own[a] * part
        out[i] = total


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
    cdef int64_t n = codes.shape[0]
    cdef int k = values.shape[1]
    if n == 0 or k == 0:
        return
    with nogil:
        if k == 1:
            gather_rows(1, n, &codes[0], &values[0, 0], &levels[0, 0], &out[0])
        elif k == 2:
            gather_rows(2, n, &codes[0], &values[0, 0], &levels[0, 0], &out[0])
        else:
            gather_rows(k, n, &codes[0], &values[0, 0], &levels[0, 0], &out[0])


def add_step(const int32_t[::1] codes, const double[:, ::1] values, const double[::1] weights,
             const double[::1] first, const double[::1] shift, const int64_t[::1] squares,
             const int64_t[::1] offsets, double[::1] diagonal, double[::1] score,
             double[::1] border):
    """For each row, at its level: diagonal += w·z z', score += z·r, border += z·(r + w·shift).

    z (k,) is its values, w its weight, r its first derivative.
    """
    cdef int64_t n = codes.shape[0]
    cdef int k = values.shape[1]
    if n == 0 or k == 0:
        return
    with nogil:
        if k == 1:
            step_rows(1, n, &codes[0], &values[0, 0], &weights[0], &first[0], &shift[0],
                      &squares[0], &offsets[0], &diagonal[0], &score[0], &border[0])
        elif k == 2:
            step_rows(2, n, &codes[0], &values[0, 0], &weights[0], &first[0], &shift[0],
                      &squares[0], &offsets[0], &diagonal[0], &score[0], &border[0])
        else:
            step_rows(k, n, &codes[0], &values[0, 0], &weights[0], &first[0], &shift[0],
                      &squares[0], &offsets[0], &diagonal[0], &score[0], &border[0])


def forms(const int32_t[::1] codes, const double[:, ::1] values, const double[:, :, ::1] blocks):
    """z'Bz (n,) of each row's values z (k,) and its level's B (k, k)."""
    cdef int64_t n = codes.shape[0]
    cdef int k = values.shape[1]
    result = np.zeros(n)
    cdef double[::1] out = result
    if n == 0 or k == 0:
        return result
    with nogil:
        if k == 1:
            form_rows(1, n, &codes[0], &values[0, 0], &blocks[0, 0, 0], &out[0])
        elif k == 2:
            form_rows(2, n, &codes[0], &values[0, 0], &blocks[0, 0, 0], &out[0])
        else:
            form_rows(k, n, &codes[0], &values[0, 0], &blocks[0, 0, 0], &out[0])
    return result
