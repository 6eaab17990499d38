# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Random effects b of all levels, standardized as if their rows' log-likelihood were quadratic.

With −b'Ab/2 + r'b what the rows of a level tell, v = Ku with K'K = T'AT + I, K lower triangular,
has mean m = K⁻ᵀT'r and covariance I in b = Tu, whatever T; w = v − m is what is drawn.  Where A is
large, b hardly depends on T; where it is small, b = Tw: centring is each level's own.
"""

from libc.math cimport exp, fabs, log, log1p, sqrt
from libc.stdint cimport int64_t


def levels_forward(const double[:, ::1] T, const double[:, :, ::1] A, const double[:, ::1] r,
                   const int64_t[::1] starts, const double[::1] w, double[:, :, ::1] K,
                   double[:, ::1] m, double[:, ::1] u, double[:, ::1] b):
    """Fill K (L, k, k), and m, u = K⁻¹(w + m) and b = Tu (L, k); returns Σ −u'u/2 − log|K|.

    ``starts`` (L,) places of the levels' w.
    """
    cdef int64_t n = A.shape[0], l
    cdef int k = T.shape[0]
    cdef double total = 0.0
    if n == 0:
        return total
    with nogil:
        for l in range(n):
            total += level_forward(k, &T[0, 0], &A[l, 0, 0], &r[l, 0], &w[starts[l]],
                                   &K[l, 0, 0], &m[l, 0], &u[l, 0], &b[l, 0])
    return total


cdef double level_forward(int k, const double* T, const double* A, const double* r,
                          const double* w, double* K, double* m, double* u,
                          double* b) noexcept nogil:
    cdef int i, j, p, q
    cdef double s, total = 0.0, product = 1.0
    if k == 1:
        s = T[0] * A[0] * T[0] + 1.0
        K[0] = sqrt(s)
        m[0] = T[0] * r[0] / K[0]
        u[0] = (w[0] + m[0]) / K[0]
        b[0] = T[0] * u[0]
        return -0.5 * (u[0] * u[0] + log(s))
    for i in range(k):
        for j in range(i + 1):
            s = 1.0 if i == j else 0.0
            for p in range(k):
                for q in range(k):
                    s += T[p * k + i] * A[p * k + q] * T[q * k + j]
            K[i * k + j] = s
    # from the last row up: S[i, j] = Σ_{p ≥ i} K[p, i] K[p, j]
    for i in range(k - 1, -1, -1):
        for j in range(i, -1, -1):
            s = K[i * k + j]
            for p in range(i + 1, k):
                s -= K[p * k + i] * K[p * k + j]
            if i == j:
                K[i * k + i] = sqrt(s)
            else:
                K[i * k + j] = s
        for j in range(i):
            K[i * k + j] /= K[i * k + i]
            K[j * k + i] = 0.0
    for i in range(k - 1, -1, -1):
        s = 0.0
        for j in range(k):
            s += T[j * k + i] * r[j]
        for j in range(i + 1, k):
            s -= K[j * k + i] * m[j]
        m[i] = s / K[i * k + i]
    for i in range(k):
        s = w[i] + m[i]
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


def levels_backward(const double[:, ::1] T, const double[:, :, ::1] A, const double[:, ::1] r,
                    const int64_t[::1] starts, const double[::1] w, const double[:, :, ::1] K,
                    const double[:, ::1] m, const double[:, ::1] u, const double[:, ::1] slopes,
                    double[::1] by_w, double[:, ::1] by_T, double[:, ::1] work):
    """From ``slopes`` ∂ℓ/∂b (L, k) to derivatives of ℓ and the levels' own density together.

    Sets those by w, at its places in ``by_w``, and those by T (k, k); ``work`` (3, k·k).
    """
    cdef int64_t n = A.shape[0], l
    cdef int k = T.shape[0], i
    for i in range(k * k):
        (&by_T[0, 0])[i] = 0.0
    if n == 0:
        return
    with nogil:
        for l in range(n):
            level_backward(k, &T[0, 0], &A[l, 0, 0], &r[l, 0], &w[starts[l]], &K[l, 0, 0],
                           &m[l, 0], &u[l, 0], &slopes[l, 0], &by_w[starts[l]], &by_T[0, 0],
                           &work[0, 0], &work[1, 0], &work[2, 0])


cdef void level_backward(int k, const double* T, const double* A, const double* r,
                         const double* w, const double* K, const double* m, const double* u,
                         const double* slope, double* by_w, double* by_T, double* S, double* M,
                         double* AT) noexcept nogil:
    # With g = ∂/∂w and Φ the lower triangle, half its diagonal, ∂/∂(T'AT) is
    # −sym(K⁻¹[Φ(g(w + m)' + mg') + I/2]K⁻ᵀ); T enters m = K⁻ᵀT'r besides.
    cdef int i, j, p
    cdef double s
    if k == 1:
        by_w[0] = (T[0] * slope[0] - u[0]) / K[0]
        by_T[0] += (
            slope[0] * u[0] + r[0] * by_w[0] / K[0]
            - A[0] * T[0] * (by_w[0] * (w[0] + 2.0 * m[0]) + 1.0) / (K[0] * K[0])
        )
        return
    for i in range(k - 1, -1, -1):
        s = -u[i]
        for j in range(k):
            s += T[j * k + i] * slope[j]
        for j in range(i + 1, k):
            s -= K[j * k + i] * by_w[j]
        by_w[i] = s / K[i * k + i]
    for i in range(k):
        for j in range(k):
            S[i * k + j] = by_w[i] * (w[j] + m[j]) + m[i] * by_w[j] if j < i else 0.0
        S[i * k + i] = 0.5 * (by_w[i] * (w[i] + 2.0 * m[i]) + 1.0)
    for j in range(k):  # S := K⁻¹S
        for i in range(k):
            s = S[i * k + j]
            for p in range(i):
                s -= K[i * k + p] * S[p * k + j]
            S[i * k + j] = s / K[i * k + i]
    for i in range(k):  # S := SK⁻ᵀ
        for j in range(k):
            s = S[i * k + j]
            for p in range(j):
                s -= S[i * k + p] * K[j * k + p]
            S[i * k + j] = s / K[j * k + j]
    for i in range(k):
        for j in range(k):
            M[i * k + j] = S[i * k + j] + S[j * k + i]
            s = 0.0
            for p in range(k):
                s += A[i * k + p] * T[p * k + j]
            AT[i * k + j] = s
    for i in range(k):
        for j in range(k):
            s = slope[i] * u[j]
            for p in range(k):
                s -= AT[i * k + p] * M[p * k + j]
            by_T[i * k + j] += s
    for i in range(k):  # S holds K⁻¹g
        s = by_w[i]
        for j in range(i):
            s -= K[i * k + j] * S[j]
        S[i] = s / K[i * k + i]
    for i in range(k):
        for j in range(k):
            by_T[i * k + j] += r[i] * S[j]


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


def stretch(const double[:, ::1] shape, const double[::1] y, double[::1] x, double[::1] first,
            double[::1] second):
    """Set x = a + sy − lσ(−y)² + rσ(y)², σ(y) = log(1 + eʸ), and its two derivatives by y.

    ``shape`` (4, d): a, s, l and r; only the first d elements are set.
    """
    cdef int i
    cdef double e, rest, up, down, p, q, s, left, right
    for i in range(shape.shape[1]):
        s, left, right = shape[1, i], shape[2, i], shape[3, i]
        e = exp(-fabs(y[i]))
        rest = log1p(e)
        up = rest + (y[i] if y[i] > 0.0 else 0.0)
        down = rest - (y[i] if y[i] < 0.0 else 0.0)
        p = (1.0 if y[i] > 0.0 else e) / (1.0 + e)
        q = (e if y[i] > 0.0 else 1.0) / (1.0 + e)
        x[i] = shape[0, i] + s * y[i] - left * down * down + right * up * up
        first[i] = s + 2.0 * (left * down * q + right * up * p)
        second[i] = 2.0 * (right * (p * p + up * p * q) - left * (q * q + down * p * q))
