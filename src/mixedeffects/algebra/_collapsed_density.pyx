# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The posterior of standard deviations and correlations, without Python inside.

The compiled twin of ``bayes/collapsed.py`` for terms whose covariance is free or whose root is
linear in the standard deviations; see ``bayes/coordinates.py`` for the coordinates.
"""
import numpy as np

from cpython.pythread cimport (
    NOWAIT_LOCK, PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock,
    PyThread_release_lock, PyThread_type_lock,
)
from libc.math cimport cosh, exp, fabs, isfinite, log1p, tanh
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset
from mixedeffects.algebra._collapsed cimport Collapsed

# The constants of the Python twin.
cdef double EDGE = 15.0, FARTHEST = 340.0
# Numbers that describe the prior of a positive parameter, and of any number.
cdef enum:
    PRIOR = 5
    REAL_PRIOR = 6


cdef struct Covariance:
    int k
    int n_deviations
    int n_correlations
    int64_t first      # its first coordinate
    int64_t at         # its block (k, k) in the flat T
    bint free
    double* map        # (k, k) to the standardized columns
    double* linear     # (n_deviations, k, k) unless free
    double* priors     # (n_deviations, PRIOR)
    double* shapes     # (n_correlations,)
    double* root       # (k, k)
    double* slope      # (k, k) ∂/∂root
    double* partial    # (k, k), and what the columns before leave of a row's length
    double* left


cdef class CollapsedDensity(Collapsed):
    """The log-density at z, x = centre + spread z: of each term its coordinates, then log σ.

    ``covariances`` as tuples (map (k, k), linear (d, k, k) or None, priors (d, PRIOR),
    shapes (c,)); ``sigma`` (PRIOR,) the prior of σ; ``log_scale`` of the response; ``constant``
    of the density.  Coefficients that are given, β (P,), come last in x; ``coefficients`` then
    are functions (P, P), shift (P,) and priors (P, REAL_PRIOR) of shift + functions β.
    """

    cdef Covariance[64] covariance
    cdef readonly int64_t dimension
    cdef double log_scale, constant
    cdef double* sigma
    cdef int64_t at_sigma
    cdef double* functions
    cdef double* shift
    cdef double* of_functions
    cdef double* x
    cdef double* by_x
    cdef double* T
    cdef double* by_T
    cdef double* centre
    cdef double* spread

    def __init__(self, collapsed, covariances, sigma, double log_scale, double constant,
                 coefficients=None):
        super().__init__(*collapsed)
        cdef int64_t first = 0
        cdef int t
        for t, (mapping, linear, priors, shapes) in enumerate(covariances):
            k = len(mapping)
            self.covariance[t].k, self.covariance[t].free = k, linear is None
            self.covariance[t].n_deviations = len(priors)
            self.covariance[t].n_correlations = len(shapes)
            self.covariance[t].first, self.covariance[t].at = first, self.term[t].first
            self.covariance[t].map = self.hold(mapping)
            self.covariance[t].linear = self.hold(np.empty(0) if linear is None else linear)
            self.covariance[t].priors = self.hold(priors)
            self.covariance[t].shapes = self.hold(shapes)
            self.covariance[t].root = self.hold(np.zeros((k, k)))
            self.covariance[t].slope = self.hold(np.zeros((k, k)))
            self.covariance[t].partial = self.hold(np.zeros((k, k)))
            self.covariance[t].left = self.hold(np.zeros((k, k)))
            first += len(priors) + len(shapes)
        self.at_sigma, self.dimension = first, first + 1 + self.n_held
        self.log_scale, self.constant = log_scale, constant
        self.sigma = self.hold(sigma)
        if self.n_held:
            functions, shift, priors = coefficients
            self.functions, self.shift = self.hold(functions), self.hold(shift)
            self.of_functions = self.hold(priors)
        self.x = self.hold(np.zeros(self.dimension))
        self.by_x = self.hold(np.zeros(self.dimension))
        self.T = self.hold(np.zeros(self.n_given))
        self.by_T = self.hold(np.zeros(self.n_given))
        self.whiten(np.zeros(self.dimension), np.eye(self.dimension))

    def whiten(self, centre, spread):
        """Take z for deviations from ``centre`` (d,) along the columns of ``spread`` (d, d)."""
        self.centre, self.spread = self.hold(centre), self.hold(spread)

    def __call__(self, const double[::1] z):
        """The log-density at z (d,), NaN where there is none, and its gradient (d,)."""
        gradient = np.zeros(self.dimension)
        cdef double[::1] by_z = gradient
        cdef double value
        with nogil:
            value = self.density(&z[0], &by_z[0])
        return value, gradient

    def roots(self, const double[:, ::1] x, double[:, ::1] roots, double[::1] priors):
        """Fill Λ (D, Σk²) of the terms at x (D, d), the blocks one after the other.

        And the log-density ``priors`` (D,) of x before any data, without its constant.
        """
        cdef int64_t n, last = self.at_sigma
        cdef int t, k
        with nogil:
            for n in range(x.shape[0]):
                memcpy(self.x, &x[n, 0], self.dimension * sizeof(double))
                for t in range(self.n_terms):
                    k = self.covariance[t].k
                    self.set_root(&self.covariance[t])
                    memcpy(&roots[n, self.covariance[t].at], self.covariance[t].root,
                           k * k * sizeof(double))
                priors[n] = positive_prior(self.sigma, self.x[last], &self.by_x[last])
                for t in range(self.n_terms):
                    priors[n] += self.prior_of(&self.covariance[t])

    cdef double density(self, const double* z, double* by_z) noexcept nogil:
        cdef int64_t i, j, d = self.dimension
        cdef double value
        for i in range(d):
            self.x[i] = self.centre[i]
            for j in range(d):
                self.x[i] += self.spread[i * d + j] * z[j]
        value = self.density_of_x()
        for i in range(d):
            by_z[i] = 0.0
            for j in range(d):
                by_z[i] += self.spread[j * d + i] * self.by_x[j]
        return value

    cdef double density_of_x(self) noexcept nogil:
        """At ``x``; fills ``by_x``."""
        cdef int t
        cdef int64_t i, last = self.at_sigma
        cdef double by_log_sigma = 0.0, log_sigma = self.x[last], value, prior = self.constant
        for t in range(self.n_terms):
            self.set_root(&self.covariance[t])
            self.set_relative(&self.covariance[t], exp(-log_sigma))
        memset(self.by_x, 0, self.dimension * sizeof(double))
        value = self.evaluate_at(
            self.T, log_sigma - self.log_scale, self.x + last + 1, self.by_T, &by_log_sigma,
            self.by_x + last + 1)
        if not isfinite(value):
            return value - value
        for i in range(last + 1, self.dimension):
            self.by_x[i] *= -0.5
        for i in range(self.n_given):
            by_log_sigma -= self.by_T[i] * self.T[i]
        self.by_x[last] = -0.5 * by_log_sigma
        prior += positive_prior(self.sigma, log_sigma, &self.by_x[last])
        for t in range(self.n_terms):
            self.set_slope(&self.covariance[t], -0.5 * exp(-log_sigma))
            self.pull(&self.covariance[t])
            prior += self.prior_of(&self.covariance[t])
        prior += self.prior_of_held()
        for i in range(self.dimension):
            if not isfinite(self.by_x[i]):
                return self.by_x[i] - self.by_x[i]
        return prior - 0.5 * value

    # -- one term -------------------------------------------------------------------------

    cdef void set_root(self, Covariance* own) noexcept nogil:
        """Λ at the term's coordinates."""
        cdef int i, j, r, k = own.k, angle = own.n_deviations
        cdef double* x = self.x + own.first
        cdef double sd, rest
        if not own.free:
            memset(own.root, 0, k * k * sizeof(double))
            for r in range(own.n_deviations):
                sd = exp(bounded(x[r], FARTHEST))
                for i in range(k * k):
                    own.root[i] += sd * own.linear[r * k * k + i]
            return
        for i in range(k):
            sd, rest = exp(bounded(x[i], FARTHEST)), 1.0
            for j in range(k):
                own.left[i * k + j] = rest
                own.partial[i * k + j] = 1.0 if i == j else 0.0
                if j < i:
                    own.partial[i * k + j] = tanh(x[angle])
                    rest /= cosh(bounded(x[angle], EDGE))
                    angle += 1
                own.root[i * k + j] = sd * own.partial[i * k + j] * own.left[i * k + j]

    cdef void pull(self, Covariance* own) noexcept nogil:
        """Add the derivatives by the term's coordinates, from those by Λ."""
        cdef int i, j, r, k = own.k, angle = own.n_deviations + own.n_correlations
        cdef double* x = self.x + own.first
        cdef double* by_x = self.by_x + own.first
        cdef double sd, after, rest
        if not own.free:
            for r in range(own.n_deviations):
                sd = exp(bounded(x[r], FARTHEST))
                for i in range(k * k):
                    by_x[r] += sd * own.linear[r * k * k + i] * own.slope[i]
            return
        for i in range(k - 1, -1, -1):
            sd = exp(bounded(x[i], FARTHEST))
            after = own.slope[i * (k + 1)] * own.root[i * (k + 1)]
            for j in range(i - 1, -1, -1):
                angle -= 1
                rest = 1.0 / cosh(bounded(x[angle], EDGE))
                by_x[angle] += (own.slope[i * k + j] * sd * own.left[i * k + j] * rest * rest
                                - own.partial[i * k + j] * after)
                after += own.slope[i * k + j] * own.root[i * k + j]
            by_x[i] += after

    cdef void set_relative(self, Covariance* own, double scale) noexcept nogil:
        """T = scale · map Λ."""
        cdef int i, j, l, k = own.k
        cdef double x
        for i in range(k):
            for j in range(k):
                x = 0.0
                for l in range(k):
                    x += own.map[i * k + l] * own.root[l * k + j]
                self.T[own.at + i * k + j] = scale * x

    cdef void set_slope(self, Covariance* own, double scale) noexcept nogil:
        """∂/∂Λ = scale · map' ∂/∂T."""
        cdef int i, j, l, k = own.k
        cdef double x
        for i in range(k):
            for j in range(k):
                x = 0.0
                for l in range(k):
                    x += own.map[l * k + i] * self.by_T[own.at + l * k + j]
                own.slope[i * k + j] = scale * x

    cdef double prior_of(self, Covariance* own) noexcept nogil:
        """The log-density of the term's coordinates, without its constant; adds its slopes."""
        cdef int i, angle
        cdef double value = 0.0, t
        for i in range(own.n_deviations):
            value += positive_prior(
                own.priors + i * PRIOR, self.x[own.first + i], &self.by_x[own.first + i])
        for i in range(own.n_correlations):
            angle = own.first + own.n_deviations + i
            t = fabs(self.x[angle])
            value -= 2.0 * own.shapes[i] * (t + log1p(exp(-2.0 * t)))
            self.by_x[angle] -= 2.0 * own.shapes[i] * tanh(self.x[angle])
        return value

    cdef double prior_of_held(self) noexcept nogil:
        """The log-density of the coefficients that are given, without its constant."""
        cdef int i, j, p = self.n_held
        cdef double* beta = self.x + self.at_sigma + 1
        cdef double* by_beta = self.by_x + self.at_sigma + 1
        cdef double value = 0.0, own, slope
        for i in range(p):
            own = self.shift[i]
            for j in range(p):
                own += self.functions[i * p + j] * beta[j]
            value += real_prior(self.of_functions + i * REAL_PRIOR, own, &slope)
            for j in range(p):
                by_beta[j] += slope * self.functions[i * p + j]
        return value


cdef inline double bounded(double x, double most) noexcept nogil:
    return most if x > most else (-most if x < -most else x)


cdef double positive_prior(const double* prior, double log_s, double* slope) noexcept nogil:
    """(a − 1) log s − b s − c s² − d log(1 + s²/e), and log s for the density of the logarithm.

    By the numbers a, b, c, d, e a gamma, an exponential, a half normal, a half Student's t or a
    flat prior of s; adds its derivative by log s.
    """
    cdef double s = exp(bounded(log_s, FARTHEST))
    cdef double square = s * s, share
    share = square / prior[4] if prior[3] != 0.0 else 0.0
    slope[0] += (prior[0] - prior[1] * s - 2.0 * prior[2] * square
                 - 2.0 * prior[3] * share / (1.0 + share))
    return (prior[0] * log_s - prior[1] * s - prior[2] * square - prior[3] * log1p(share))


cdef double real_prior(const double* prior, double v, double* slope) noexcept nogil:
    """−a z²/2 − b log(1 + z²/e) − c |z| for z = (v − mean)/scale, and its derivative by v.

    By the numbers mean, scale, a, b, c, e a normal, a Student's t, a Laplace or a flat prior.
    """
    cdef double z = (v - prior[0]) / prior[1]
    cdef double sign = 1.0 if z > 0.0 else (-1.0 if z < 0.0 else 0.0)
    slope[0] = -(prior[2] * z + 2.0 * prior[3] * z / (prior[5] + z * z) + prior[4] * sign) / prior[1]
    return -0.5 * prior[2] * z * z - prior[3] * log1p(z * z / prior[5]) - prior[4] * fabs(z)


# -- for a sampler that calls C functions from threads of its own ---------------------------


cdef class Pool:
    """Densities of one posterior for threads: each call takes one that no other uses.

    At most ``MOST_DENSITIES``, and at least as many as threads that call at a time.
    """

    cdef list densities
    cdef int n
    cdef readonly int64_t made
    cdef void* density[64]
    cdef PyThread_type_lock lock[64]

    def __init__(self, densities):
        self.densities = list(densities)
        if len(self.densities) > MOST_DENSITIES:
            raise ValueError(f"more than {MOST_DENSITIES} densities")
        self.n = len(self.densities)
        for i in range(self.n):
            self.density[i] = <void*> self.densities[i]
            self.lock[i] = PyThread_allocate_lock()

    def __dealloc__(self):
        for i in range(self.n):
            PyThread_free_lock(self.lock[i])

    @property
    def address(self):
        """Of this object: what the functions take as their last argument points to it."""
        return <uintptr_t> <void*> self

    cdef void count(self) noexcept nogil:
        self.made += 1

    cdef int take(self) noexcept nogil:
        """The number of a density that is free, which is then locked."""
        cdef int i = 0
        while not PyThread_acquire_lock(self.lock[i], NOWAIT_LOCK):
            i = (i + 1) % self.n
        return i


cdef int64_t log_density(
    uint64_t dimension, const double* z, double* by_z, double* value, void* pool
) noexcept nogil:
    """Nonzero where there is none."""
    cdef void* own = (<void**> pool)[0]
    cdef int i = (<Pool> own).take()
    value[0] = (<CollapsedDensity> (<Pool> own).density[i]).density(z, by_z)
    PyThread_release_lock((<Pool> own).lock[i])
    return 0 if isfinite(value[0]) else 1


cdef int64_t keep_draw(
    uint64_t dimension, uint64_t expanded, const double* z, double* out, void* pool
) noexcept nogil:
    cdef void* own = (<void**> pool)[0]
    (<Pool> own).count()
    memcpy(out, z, dimension * sizeof(double))
    return 0


MOST_DENSITIES = 64
# Addresses of the functions that give the density at z (d,), and what is kept of a draw: z.
FUNCTIONS = (<uintptr_t> &log_density, <uintptr_t> &keep_draw)
