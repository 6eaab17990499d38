# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Log-densities of rows with their derivatives in one pass, for the most used families.

Each function fills rows ``start`` to ``stop`` of ``out`` (1 + K, n): the log-density, then the K
derivatives that ``wanted_keys`` lists. A predictor is an array of n, or of one for all rows.
"""

from libc.math cimport exp, fabs, log, log1p, INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    LARGEST = 16


cdef inline double logistic(double x, double* p, double* q) noexcept nogil:
    """1/(1 + e⁻ˣ) and 1/(1 + eˣ); log(1 + exp(−|x|)) is returned."""
    cdef double e = exp(-fabs(x)), u = 1.0 + e, larger = 1.0 / u
    cdef double both[2]
    cdef int positive = x >= 0.0
    # Looked up, as a branch would be mispredicted on every other row.
    both[0], both[1] = e * larger, larger
    p[0] = both[positive]
    q[0] = both[1 - positive]
    # Of log(1 + e) what the rounding of 1 + e took.
    return log(u) - ((u - 1.0) - e) * larger


cdef inline double above(double x) noexcept nogil:
    return x if x > 0.0 else 0.0


cdef inline double known(double value) noexcept nogil:
    return value if value == value else -INFINITY


def binomial_logit(const double[::1] eta, const double[::1] y, const double[::1] trials,
                   const double[::1] log_choose, double[:, ::1] out, int64_t start, int64_t stop):
    """Successes y among trials at the logit η."""
    cdef int64_t i, step = eta.shape[0] > 1
    cdef int order = out.shape[0] - 1
    cdef double t, p, q, rest, failures, curvature
    with nogil:
        for i in range(start, stop):
            t = eta[i * step]
            rest = logistic(t, &p, &q)
            failures = trials[i] - y[i]
            out[0, i] = known(
                log_choose[i] - trials[i] * rest
                - failures * above(t) - y[i] * above(-t)
            )
            if order >= 1:
                out[1, i] = y[i] * q - failures * p
            if order >= 2:
                curvature = -trials[i] * (p * q)
                out[2, i] = curvature
                if order >= 3:
                    out[3, i] = curvature * (q - p)


def poisson_log(const double[::1] eta, const double[::1] y, const double[::1] log_factorial,
                double[:, ::1] out, int64_t start, int64_t stop):
    """Counts y at the log mean η."""
    cdef int64_t i, step = eta.shape[0] > 1
    cdef int order = out.shape[0] - 1
    cdef double t, mu
    with nogil:
        for i in range(start, stop):
            t = eta[i * step]
            mu = exp(t)
            out[0, i] = known(y[i] * t - mu - log_factorial[i])
            if order >= 1:
                out[1, i] = y[i] - mu
            if order >= 2:
                out[2, i] = -mu
                if order >= 3:
                    out[3, i] = -mu


cdef inline double log1pmx(double x) noexcept nogil:
    """log(1 + x) − x, by the series of the inverse hyperbolic tangent near zero."""
    cdef double r, square, series = 0.0
    cdef int k
    if fabs(x) >= 0.1:
        return log1p(x) - x
    r = x / (2.0 + x)
    square = r * r
    for k in range(15, 1, -2):
        series = (series + 1.0 / k) * square
    return r * (2.0 * series - x)


def rising_table(double x, double[:, ::1] out):
    """log Γ(x + y) − log Γ(x) − y log x of y = 0, 1, …, and its derivatives by log x.

    By adding log(1 + k/x), k < y.
    """
    cdef int64_t y, n = out.shape[1]
    cdef int order = out.shape[0] - 1
    cdef double c, d, total0 = 0.0, total1 = 0.0, total2 = 0.0, total3 = 0.0
    for y in range(n):
        out[0, y] = total0
        if order >= 1:
            out[1, y] = total1
        if order >= 2:
            out[2, y] = total2
        if order >= 3:
            out[3, y] = total3
        c, d = x / (x + y), y / (x + y)
        total0 += log1p(y / x)
        total1 -= d
        total2 += c * d
        total3 += c * d * (d - c)


def nbinom2_log(const double[::1] eta, const double[::1] delta, const double[::1] y,
                const double[::1] log_factorial, const double[::1] rising0,
                const double[::1] rising1, const double[::1] rising2, const double[::1] rising3,
                const int32_t[::1] places, double[:, ::1] out, int64_t start, int64_t stop):
    """Counts y at the log mean η and the log size δ, see `negative_binomial`.

    ``places``: where in ``out`` are the derivatives by η, δ, ηη, ηδ, δδ, ηηη, ηηδ, ηδδ, δδδ;
    −1 where not wanted.
    """
    cdef int64_t i, step = eta.shape[0] > 1, stride = delta.shape[0] > 1
    cdef int by_delta = places[1] >= 0
    cdef double t, d, size = 0.0, mu, p, q, rest, slope, pq, curvature, total, gap = 0.0
    with nogil:
        for i in range(start, stop):
            t, d = eta[i * step], delta[i * stride]
            if i == start or stride:
                size = exp(d)
            mu = exp(t)
            rest = logistic(t - d, &p, &q) + above(t - d)
            total = y[i] + size
            out[0, i] = known(y[i] * t - total * rest + rising0[i] - log_factorial[i])
            slope = y[i] * q - size * p
            pq = p * q
            curvature = -total * pq
            if by_delta:
                gap = size * log1pmx(mu / size) + mu * p  # size·(log(1 + μ/size) − p)
                out[places[1], i] = rising1[i] - gap + y[i] * p
            if places[0] >= 0:
                out[places[0], i] = slope
            if places[2] >= 0:
                out[places[2], i] = curvature
            if places[3] >= 0:
                out[places[3], i] = p * slope
            if places[4] >= 0:
                out[places[4], i] = rising2[i] - gap + size * p * p - y[i] * pq
            if places[5] >= 0:
                out[places[5], i] = curvature * (q - p)
            if places[6] >= 0:
                out[places[6], i] = pq * slope + p * curvature
            if places[7] >= 0:
                out[places[7], i] = p * slope * (p - q)
            if places[8] >= 0:
                out[places[8], i] = (
                    rising3[i] - gap + 2.0 * size * p * p * p + y[i] * pq * (q - p)
                )


def zero_inflated(const double[::1] y, const double[::1] zeta, const double[:, ::1] base,
                  const int32_t[:, ::1] recipes, double[:, ::1] out, int64_t start, int64_t stop):
    """Responses that are zero with probability 1/(1 + exp(−ζ)), else of a base that gives zeros.

    ``base``, as ``out``, of the base alone. ``recipes`` (K, 8): for a derivative by a, b, c what
    is in ``base`` by a, b, c, ab, ac, bc, abc, and which of its own ζ has; 0 where zero, −1 for ζ.
    At zero the log-density is log π + log(1 + exp(s)), s = base − ζ.
    """
    cdef int64_t i, step = zeta.shape[0] > 1
    cdef int K = recipes.shape[0], k, j, length
    cdef double z, pi, rest_of, value, hidden, p, q, pq, cube, by_zeta
    cdef double own[4]
    cdef double s[7]
    with nogil:
        for i in range(start, stop):
            z = zeta[i * step]
            value = logistic(z, &pi, &rest_of)
            if y[i] == 0.0:
                own[0] = -above(-z) - value
                own[1] = rest_of
                hidden = base[0, i] - z
                value = logistic(hidden, &p, &q) + above(hidden)
                by_zeta = -1.0
            else:
                own[0] = -above(z) - value
                own[1] = -pi
                value, p, q, by_zeta = base[0, i], 1.0, 0.0, 0.0
            own[2] = -pi * rest_of
            own[3] = own[2] * (rest_of - pi)
            pq = p * q
            cube = pq * (q - p)
            out[0, i] = known(own[0] + value)
            for k in range(K):
                for j in range(7):
                    if recipes[k, j] > 0:
                        s[j] = base[recipes[k, j], i]
                    else:
                        s[j] = by_zeta if recipes[k, j] < 0 else 0.0
                length = recipes[k, 7] & 3
                value = own[length] if recipes[k, 7] & 4 else 0.0
                if length == 1:
                    value += p * s[0]
                elif length == 2:
                    value += p * s[3] + pq * s[0] * s[1]
                else:
                    value += (
                        p * s[6] + pq * (s[3] * s[2] + s[4] * s[1] + s[5] * s[0])
                        + cube * s[0] * s[1] * s[2]
                    )
                out[k + 1, i] = value
