# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Decompositions of matrices of a few columns, and the Newton step made of them."""
import numpy as np

from libc.math cimport fabs, hypot, sqrt
from libc.string cimport memcpy
from scipy.linalg.cython_lapack cimport dgesvd, dsyev

# As in fitting/optimize.py: what a step along negative curvature is shortened by.
cdef double AWAY = 0.25


cdef int work_of(int m) noexcept nogil:
    """Doubles that the functions of this module need as ``work`` for order m."""
    return m * m + 12 * m + 64


cdef void eigen(int m, double* a, double* values, double* work) noexcept nogil:
    """Symmetric a (m, m) becomes its eigenvectors, one a row; ``values`` ascend."""
    cdef char vectors = b'V', lower = b'L'
    cdef int info, size = 12 * m + 64
    dsyev(&vectors, &lower, &m, a, &m, values, work, &size, &info)


cdef void singular_values(
    int k, const double* T, double* axes, double* values, double* others, double* work
) noexcept nogil:
    """T = axes · diag(values) · others, all (k, k) row-major; ``values`` descend."""
    cdef char all_ = b'A'
    cdef int info, size = 12 * k + 64
    memcpy(work, T, k * k * sizeof(double))
    # To LAPACK this is T', so its left and right sides change places.
    dgesvd(&all_, &all_, &k, &k, work, &k, values, others, &k, axes, &k, work + k * k, &size,
           &info)


cdef void make_lower(int k, int columns, double* T, double* other) noexcept nogil:
    """Rotate pairs of columns of T (k, columns) until nothing is above its diagonal.

    ``other`` (k, columns), unless NULL, is rotated along.
    """
    cdef int i, j, r
    cdef double c, s, size, x
    for i in range(k):
        for j in range(i + 1, columns):
            if T[i * columns + j] == 0.0:
                continue
            size = hypot(T[i * columns + i], T[i * columns + j])
            c = T[i * columns + i] / size
            s = T[i * columns + j] / size
            for r in range(k):
                x = T[r * columns + i]
                T[r * columns + i] = c * x + s * T[r * columns + j]
                T[r * columns + j] = c * T[r * columns + j] - s * x
                if other != NULL:
                    x = other[r * columns + i]
                    other[r * columns + i] = c * x + s * other[r * columns + j]
                    other[r * columns + j] = c * other[r * columns + j] - s * x
            T[i * columns + j] = 0.0


cdef double newton_step(
    int m, const double* gradient, const double* hessian, double radius, double* step,
    double* work
) noexcept nogil:
    """``optimize.newton_step``; work (m² + 2m + work_of(m)).  Returns the decrease promised."""
    cdef double* vectors = work
    cdef double* values = work + m * m
    cdef double* along = values + m
    cdef int i, j
    cdef double largest = 0.0, square = 0.0, promised = 0.0, mu = 0.0, x
    memcpy(vectors, hessian, m * m * sizeof(double))
    eigen(m, vectors, values, along + m)
    for i in range(m):
        if values[i] < 0.0:
            values[i] *= -AWAY
        largest = max(largest, values[i])
    for i in range(m):
        values[i] = max(values[i], 1e-10 * largest + 1e-300)
        along[i] = 0.0
        for j in range(m):
            along[i] += vectors[i * m + j] * gradient[j]
        x = along[i] / values[i]
        square += x * x
    if square > radius * radius:
        mu = shift(m, along, values, radius)
    for j in range(m):
        step[j] = 0.0
    for i in range(m):
        x = along[i] / (values[i] + mu)
        promised += along[i] * x - 0.5 * x * x * values[i]
        for j in range(m):
            step[j] -= vectors[i * m + j] * x
    return promised


cdef double shift(int m, const double* along, const double* values, double radius) noexcept nogil:
    """μ with ‖(|H| + μ)⁻¹ g‖ = radius (Moré and Sorensen 1983)."""
    cdef int i, turn
    cdef double mu = 0.0, square, slope, norm, x
    for turn in range(20):
        square = 0.0
        slope = 0.0
        for i in range(m):
            x = along[i] / (values[i] + mu)
            square += x * x
            slope += x * x / (values[i] + mu)
        norm = sqrt(square)
        if fabs(norm - radius) < 1e-3 * radius:
            break
        mu = max(mu + (norm - radius) / radius * norm * norm / slope, 0.0)
    return mu


def newton_step_of(const double[::1] gradient, const double[:, ::1] hessian, double radius):
    """The compiled step (m,) and the decrease that it promises, for comparison."""
    cdef int m = gradient.shape[0]
    step = np.empty(m)
    work = np.empty(m * m + 2 * m + work_of(m))
    cdef double[::1] s = step, w = work
    cdef double promised = newton_step(m, &gradient[0], &hessian[0, 0], radius, &s[0], &w[0])
    return step, promised


def lower_root_of(const double[:, ::1] factor):
    """The lower triangle (k, columns) to which ``make_lower`` rotates a factor."""
    root = np.array(factor)
    cdef double[:, ::1] view = root
    make_lower(view.shape[0], view.shape[1], &view[0, 0], NULL)
    return root
