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


cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>
    #include <string.h>

    /* The same loop for wider registers, where the compiler can choose among them at run time. */
    #if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12
    #define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
    #else
    #define WIDE
    #endif

    /* exp(a) for a <= 0: 2^k times the Taylor series of the rest, |r| <= log(2)/2; without
       branches, so that the loop around it runs in vectors. */
    static inline double exp_of_negative(double a) {
        const double shifter = 0x1.8p52;
        double k, r, sum, scale;
        int64_t bits;
        a = a < -708.0 ? -708.0 : a;
        k = a * 0x1.71547652b82fep0 + shifter;
        memcpy(&bits, &k, 8);
        k -= shifter;
        r = (a - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
        sum = 1.0 / 6227020800.0;
        sum = sum * r + 1.0 / 479001600.0;
        sum = sum * r + 1.0 / 39916800.0;
        sum = sum * r + 1.0 / 3628800.0;
        sum = sum * r + 1.0 / 362880.0;
        sum = sum * r + 1.0 / 40320.0;
        sum = sum * r + 1.0 / 5040.0;
        sum = sum * r + 1.0 / 720.0;
        sum = sum * r + 1.0 / 120.0;
        sum = sum * r + 1.0 / 24.0;
        sum = sum * r + 1.0 / 6.0;
        sum = sum * r + 0.5;
        sum = sum * (r * r) + r;
        bits = (int64_t) ((uint64_t) (bits + 1023) << 52);
        memcpy(&scale, &bits, 8);
        return scale + scale * sum;
    }

    WIDE static void logit_rows(
        int64_t n, const double *restrict eta, const double *restrict y,
        const double *restrict trials, const double *restrict log_choose,
        double *restrict value, double *restrict first, double *restrict second,
        double *restrict third
    ) {
        for (int64_t i = 0; i < n; i++) {
            const double t = eta[i], m = trials[i], failures = m - y[i];
            const double e = exp_of_negative(-fabs(t)), u = 1.0 + e;
            /* log(1 + e) = 2 artanh s, s = e/(2 + e) <= 1/3 */
            const double both = 1.0 / (u * (1.0 + u)), larger = both * (1.0 + u);
            const double s = e * u * both, w = s * s, smaller = e * larger;
            double sum = 1.0 / 35.0, p, q, up, down, found, curvature;
            sum = sum * w + 1.0 / 33.0;
            sum = sum * w + 1.0 / 31.0;
            sum = sum * w + 1.0 / 29.0;
            sum = sum * w + 1.0 / 27.0;
            sum = sum * w + 1.0 / 25.0;
            sum = sum * w + 1.0 / 23.0;
            sum = sum * w + 1.0 / 21.0;
            sum = sum * w + 1.0 / 19.0;
            sum = sum * w + 1.0 / 17.0;
            sum = sum * w + 1.0 / 15.0;
            sum = sum * w + 1.0 / 13.0;
            sum = sum * w + 1.0 / 11.0;
            sum = sum * w + 1.0 / 9.0;
            sum = sum * w + 1.0 / 7.0;
            sum = sum * w + 1.0 / 5.0;
            sum = sum * w + 1.0 / 3.0;
            sum = 2.0 * s + 2.0 * s * (w * sum);
            p = t >= 0.0 ? larger : smaller;
            q = t >= 0.0 ? smaller : larger;
            up = t > 0.0 ? t : 0.0;
            down = t < 0.0 ? t : 0.0;
            found = log_choose[i] - m * sum - failures * up + y[i] * down;
            value[i] = found == found ? found : -INFINITY;
            if (first) first[i] = y[i] * q - failures * p;
            curvature = -m * (p * q);
            if (second) second[i] = curvature;
            if (third) third[i] = curvature * (q - p);
        }
    }
    """
    void logit_rows(
        int64_t n, const double* eta, const double* y, const double* trials,
        const double* log_choose, double* value, double* first, double* second,
        double* third) nogil


def binomial_logit(const double[::1] eta, const double[::1] y, const double[::1] trials,
                   const double[::1] log_choose, double[:, ::1] out, int64_t start, int64_t stop):
    """Successes y among trials at the logit η, here an array of n."""
    cdef int order = out.shape[0] - 1
    if start >= stop:
        return
    with nogil:
        logit_rows(
            stop - start, &eta[start], &y[start], &trials[start], &log_choose[start],
            &out[0, start], &out[1, start] if order >= 1 else NULL,
            &out[2, start] if order >= 2 else NULL, &out[3, start] if order >= 3 else NULL)


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
