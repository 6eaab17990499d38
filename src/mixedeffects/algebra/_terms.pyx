# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The chain rule from a term's covariance to its parameters, on matrices of a few columns."""
import numpy as np

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from scipy.linalg.cython_lapack cimport dgesv


def slopes(const double[:, :] traces, const double[:, :] scores, const double[:, ::1] T,
           double variance):
    """Derivatives of the objective by a term's T and by TT'.

    From the sums over levels of AΛM⁻¹ and of ss' (k, k): half of ∂/∂T = traces − scores T/σ²,
    and ∂/∂(TT') = (half of ∂/∂T) T⁻¹, made symmetric.
    """
    cdef int k = T.shape[0]
    slope_array = np.empty((k, k))
    covariance_array = np.empty((k, k))
    cdef double[:, ::1] slope = slope_array
    cdef double[:, ::1] by_covariance = covariance_array
    cdef double* work = <double*> malloc(2 * k * k * sizeof(double))
    cdef int* pivots = <int*> malloc(k * sizeof(int))
    slopes_of(k, &traces[0, 0], &scores[0, 0], traces.strides[0] // sizeof(double), &T[0, 0],
              variance, &slope[0, 0], &by_covariance[0, 0], work, pivots)
    free(work)
    free(pivots)
    return slope_array, covariance_array


cdef void slopes_of(
    int k, const double* traces, const double* scores, int64_t stride, const double* T,
    double variance, double* slope, double* by_covariance, double* work, int* pivots
) noexcept nogil:
    """``slopes`` of blocks whose rows lie ``stride`` apart; work (2, k, k), pivots (k,)."""
    cdef int i, j, l, info
    cdef double x
    cdef double* left = work
    cdef double* right = work + k * k
    for i in range(k):
        for j in range(k):
            x = 0.0
            for l in range(k):
                x += scores[i * stride + l] * T[l * k + j]
            slope[i * k + j] = traces[i * stride + j] - x / variance
            # Column-major twins of T' and of slope' for T'X' = slope'.
            left[i * k + j] = T[i * k + j]
            right[i * k + j] = slope[i * k + j]
    dgesv(&k, &k, left, &k, pivots, right, &k, &info)
    for i in range(k):
        for j in range(k):
            by_covariance[i * k + j] = 0.5 * (right[i * k + j] + right[j * k + i])


def express(const double[:, :, ::1] jacobian, const double[:, ::1] rotation,
            const double[:, ::1] T, const double[:, ::1] slope,
            const double[:, ::1] by_covariance, bint free_term, int64_t first,
            double[::1] gradient, double[:, ::1] correction, double[:, ::1] carry):
    """A term's part of the gradient, of the Hessian's second term and of ∂(TT')/∂θ.

    ``jacobian`` (m, k, k) of T before the ``rotation`` Q (k, k), T = Q T̃; filled are
    2⟨slope, Ṫ⟩, 2⟨∂/∂(TT'), Ṫ_pṪ_q'⟩ and, for a free term, the lower triangle of
    ṪT' + TṪ' by row, at ``first`` and behind.
    """
    cdef int m = jacobian.shape[0], k = T.shape[0]
    cdef double* work = <double*> malloc(2 * m * k * k * sizeof(double))
    express_term(m, k, &jacobian[0, 0, 0], &rotation[0, 0], &T[0, 0], &slope[0, 0],
                 &by_covariance[0, 0], free_term, first, gradient.shape[0], &gradient[0],
                 &correction[0, 0], &carry[0, 0], work)
    free(work)


cdef void express_term(
    int m, int k, const double* jacobian, const double* rotation, const double* T,
    const double* slope, const double* by_covariance, bint free_term, int64_t first,
    int64_t total, double* gradient, double* correction, double* carry, double* work
) noexcept nogil:
    """``express`` among ``total`` parameters; work (2, m, k, k)."""
    cdef int p, r, i, j, l
    cdef double x
    cdef double* turned = work
    cdef double* moved = work + m * k * k
    cdef double* J
    for p in range(m):
        J = turned + p * k * k
        x = 0.0
        for i in range(k):
            for j in range(k):
                J[i * k + j] = 0.0
                for l in range(k):
                    J[i * k + j] += rotation[i * k + l] * jacobian[(p * k + l) * k + j]
                x += slope[i * k + j] * J[i * k + j]
        gradient[first + p] = 2.0 * x
    for p in range(m):
        J = turned + p * k * k
        for i in range(k):
            for j in range(k):
                x = 0.0
                for l in range(k):
                    x += by_covariance[i * k + l] * J[l * k + j]
                moved[p * k * k + i * k + j] = x
    for p in range(m):
        for r in range(m):
            x = 0.0
            for i in range(k * k):
                x += moved[p * k * k + i] * turned[r * k * k + i]
            correction[(first + p) * total + first + r] = 2.0 * x
    if free_term:
        for p in range(m):
            J = turned + p * k * k
            r = 0
            for i in range(k):
                for j in range(i + 1):
                    x = 0.0
                    for l in range(k):
                        x += J[i * k + l] * T[j * k + l] + J[j * k + l] * T[i * k + l]
                    carry[(first + r) * total + first + p] = x
                    r += 1
