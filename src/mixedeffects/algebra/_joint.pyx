# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Random effects b = T K⁻¹v of all levels, with K'K = T'AT + I, K lower triangular, and back.

A (k, k) is what the rows of a level tell of its effects.  Where it is large, b = v/√A whatever
T; where it is small, b = Tv: the way of centring is each level's own.
"""

from libc.math cimport log, sqrt
from libc.stdint cimport int64_t


def levels_forward(const double[:, ::1] T, const double[:, :, ::1] information,
                   const int64_t[::1] starts, const double[::1] v,
                   double[:, :, ::1] K, double[:, ::1] u, double[:, ::1] b):
    """Fill K (L, k, k), u = K⁻¹v and b = Tu (L, k); returns Σ −u'u/2 − log|K|.

    ``starts`` (L,) places of the levels' v.
    """
    cdef int64_t n = information.shape[0], l
    cdef int k = T.shape[0]
    cdef double total = 0.0
    if n == 0:
        return total
    with nogil:
        for l in range(n):
            total += level_forward(k, &T[0, 0], &information[l, 0, 0], &v[starts[l]],
                                   &K[l, 0, 0], &u[l, 0], &b[l, 0])
    return total


cdef double level_forward(int k, const double* T, const double* A, const double* v, double* K,
                          double* u, double* b) noexcept nogil:
    cdef int i, j, m, p
    cdef double s, total = 0.0, product = 1.0
    if k == 1:
        s = T[0] * A[0] * T[0] + 1.0
        K[0] = sqrt(s)
        u[0] = v[0] / K[0]
        b[0] = T[0] * u[0]
        return -0.5 * (u[0] * u[0] + log(s))
    for i in range(k):
        for j in range(i + 1):
            s = 1.0 if i == j else 0.0
            for m in range(k):
                for p in range(k):
                    s += T[m * k + i] * A[m * k + p] * T[p * k + j]
            K[i * k + j] = s
    # from the last row up: S[i, j] = Σ_{m ≥ i} K[m, i] K[m, j]
    for i in range(k - 1, -1, -1):
        for j in range(i, -1, -1):
            s = K[i * k + j]
            for m in range(i + 1, k):
                s -= K[m * k + i] * K[m * k + j]
            if i == j:
                K[i * k + i] = sqrt(s)
            else:
                K[i * k + j] = s
        for j in range(i):
            K[i * k + j] /= K[i * k + i]
            K[j * k + i] = 0.0
    for i in range(k):
        s = v[i]
        for j in range(i):
            s -= K[i * k + j] * u[j]
        u[i] = s / K[i * k + i]
        product *= K[i * k + i]
        total -= 0.5 * u[i] * u[i]
    for i in range(k):
        s = 0.0
        for j in range(k):
            s += T[i * k + j] * u[j]
        b[i] = s
    return total - log(product)


def levels_backward(const double[:, ::1] T, const double[:, :, ::1] information,
                    const int64_t[::1] starts, const double[::1] v, const double[:, :, ::1] K,
                    const double[:, ::1] u, const double[:, ::1] slopes, double[::1] by_v,
                    double[:, ::1] by_T, double[:, ::1] work):
    """From ``slopes`` ∂ℓ/∂b (L, k) to derivatives of ℓ and the levels' own density together.

    Sets those by v, at its places in ``by_v``, and those by T (k, k); ``work`` (3, k·k).
    """
    cdef int64_t n = information.shape[0], l
    cdef int k = T.shape[0], i
    for i in range(k * k):
        (&by_T[0, 0])[i] = 0.0
    if n == 0:
        return
    with nogil:
        for l in range(n):
            level_backward(k, &T[0, 0], &information[l, 0, 0], &v[starts[l]], &K[l, 0, 0],
                           &u[l, 0], &slopes[l, 0], &by_v[starts[l]], &by_T[0, 0],
                           &work[0, 0], &work[1, 0], &work[2, 0])


cdef void level_backward(int k, const double* T, const double* A, const double* v,
                         const double* K, const double* u, const double* slope, double* by_v,
                         double* by_T, double* S, double* M, double* AT) noexcept nogil:
    # ∂/∂(T'AT) = −sym(K⁻¹[Φ(g v') + I/2]K⁻ᵀ), g = ∂/∂v, Φ the lower triangle, half its diagonal
    cdef int i, j, m
    cdef double s
    if k == 1:
        by_v[0] = (T[0] * slope[0] - u[0]) / K[0]
        by_T[0] += slope[0] * u[0] - A[0] * T[0] * (by_v[0] * v[0] + 1.0) / (K[0] * K[0])
        return
    for i in range(k - 1, -1, -1):
        s = -u[i]
        for j in range(k):
            s += T[j * k + i] * slope[j]
        for j in range(i + 1, k):
            s -= K[j * k + i] * by_v[j]
        by_v[i] = s / K[i * k + i]
    for i in range(k):
        for j in range(k):
            S[i * k + j] = by_v[i] * v[j] if j < i else 0.0
        S[i * k + i] = 0.5 * (by_v[i] * v[i] + 1.0)
    for j in range(k):  # S := K⁻¹S
        for i in range(k):
            s = S[i * k + j]
            for m in range(i):
                s -= K[i * k + m] * S[m * k + j]
            S[i * k + j] = s / K[i * k + i]
    for i in range(k):  # S := SK⁻ᵀ
        for j in range(k):
            s = S[i * k + j]
            for m in range(j):
                s -= S[i * k + m] * K[j * k + m]
            S[i * k + j] = s / K[j * k + j]
    for i in range(k):
        for j in range(k):
            M[i * k + j] = S[i * k + j] + S[j * k + i]
            s = 0.0
            for m in range(k):
                s += A[i * k + m] * T[m * k + j]
            AT[i * k + j] = s
    for i in range(k):
        for j in range(k):
            s = slope[i] * u[j]
            for m in range(k):
                s -= AT[i * k + m] * M[m * k + j]
            by_T[i * k + j] += s


def multiply_levels(const double[:, :, ::1] K, const int64_t[::1] starts, const double[:, ::1] x,
                    bint transposed, double[:, ::1] out):
    """Set K x, or K'x, of each level's K (L, k, k) lower triangular, for x (q, m)."""
    cdef int64_t n = K.shape[0], l, m = x.shape[1], c
    cdef int k = K.shape[1], i, j
    cdef double f
    if n == 0 or m == 0:
        return
    with nogil:
        for l in range(n):
            for i in range(k):
                for c in range(m):
                    out[starts[l] + i, c] = 0.0
            for i in range(k):
                for j in range(i + 1):
                    f = K[l, i, j]
                    if transposed:
                        for c in range(m):
                            out[starts[l] + j, c] += f * x[starts[l] + i, c]
                    else:
                        for c in range(m):
                            out[starts[l] + i, c] += f * x[starts[l] + j, c]
