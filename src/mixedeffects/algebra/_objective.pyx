# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""−2 log-likelihood, gradient and average information without Python inside.

The compiled twin of ``fitting/lmm.py`` for terms whose factor T is linear in θ.
"""
import numpy as np

from libc.math cimport INFINITY, fabs, isfinite, log, pi
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset
from mixedeffects.algebra._kernels cimport BlockFactor, doubles, int32s, int64s
from mixedeffects.algebra._small cimport make_lower, singular_values, work_of
from mixedeffects.algebra._terms cimport express_term, slopes_of

# The constants of the Python twin.
cdef double FLOOR = 1e-8, LEAN = 0.1


cdef class CompiledObjective:
    """The workspace of one thread: a factor, and the objective of its problem.

    ``arranged`` are cross-products whose border and corner this object may overwrite;
    ``terms`` as tuples (grouping, column, jacobian (m, k, k), free, start (m,)).
    """

    def __init__(self, plan, arranged, terms, bint reml, double n_rows, double dof):
        self.factor = BlockFactor(plan, arranged)
        self.n_rows, self.dof = n_rows, dof
        self.factor.allocate_inverse()
        self.buffers = []
        self.reml = reml
        self.n_terms = len(terms)
        if self.n_terms > 64:
            raise ValueError("more than 64 terms")
        owner, ends = [], [0]
        cdef int t, k, m, first = 0, k_max = 1
        for t, (grouping, column, jacobian, free, start) in enumerate(terms):
            m, k = jacobian.shape[0], jacobian.shape[1]
            size = int(plan.factor_size[grouping])
            self.term[t].k, self.term[t].m, self.term[t].first = k, m, first
            self.term[t].free = free
            self.term[t].stride = size
            self.term[t].at = plan.factor_ptr[grouping] + column * (size + 1)
            self.term[t].jacobian = self.hold(jacobian)
            self.term[t].plain = self.hold(start)
            self.term[t].rotation = self.hold(np.eye(k))
            self.term[t].T = self.hold(np.zeros((k, k)))
            self.term[t].slope = self.hold(np.zeros((k, k)))
            self.term[t].by_covariance = self.hold(np.zeros((k, k)))
            owner += [grouping] * m
            ends += [ends[len(ends) - 1] + size * size * (i + 1) for i in range(m)]
            first += m
            k_max = max(k_max, k)
        self.m = m = first
        self.owner = int32s(self.keep(np.array(owner, dtype=np.int32)))
        self.direction_ptr = int64s(self.keep(np.array(ends, dtype=np.int64)))
        self.n_directions = ends[len(ends) - 1]
        self.n_flat = plan.factor_ptr[len(plan.factor_size)]
        self.directions = self.hold(np.zeros(self.n_directions))
        self.traces = self.hold(np.zeros(self.n_flat))
        self.scores = self.hold(np.zeros(self.n_flat))
        self.c = self.hold(np.zeros(self.factor.q * m))
        self.w = self.hold(np.zeros((self.factor.q + self.factor.p) * m))
        self.raw = self.hold(np.zeros(m * m))
        self.dot = self.hold(np.zeros(m))
        self.carry = self.hold(np.zeros(m * m))
        self.product = self.hold(np.zeros(m * m))
        self.at = self.hold(np.zeros(m))
        largest = max(m, k_max + 1)
        self.work = self.hold(np.zeros(2 * m * k_max**2 + largest**2 + 2 * largest + work_of(largest)))
        self.small = self.hold(np.zeros(6 * (k_max + 1) ** 2))
        self.pivots = <int*> int32s(self.keep(np.zeros(k_max, dtype=np.int32)))
        self.reserve(&self.here)
        for t in range(self.n_terms):
            if self.term[t].free:
                self.set_symmetric_basis(&self.term[t])

    cdef object keep(self, array):
        self.buffers.append(array)
        return array

    cdef double* hold(self, array) except? NULL:
        return doubles(self.keep(np.array(array, dtype=np.float64).reshape(-1)))

    cdef int reserve(self, Point* point) except -1:
        point.theta = self.hold(np.zeros(self.m))
        point.gradient = self.hold(np.zeros(self.m))
        point.hessian = self.hold(np.zeros(self.m * self.m))
        return 0

    def use(self, plan, arranged, double n_rows, double dof):
        """Fit these cross-products of the same pattern from now on, with their n and ν."""
        self.factor.use(plan, arranged)
        self.n_rows, self.dof = n_rows, dof

    cdef void set_symmetric_basis(self, Term* term) noexcept nogil:
        cdef int i, j, r = 0
        cdef double* own
        for i in range(term.k):
            for j in range(i + 1):
                own = self.direction(term, r)
                own[i * term.stride + j] = 1.0
                own[j * term.stride + i] = 1.0
                r += 1

    cdef double* direction(self, Term* term, int r) noexcept nogil:
        """The block (k, k) of a direction that is the term's own, rows ``stride`` apart."""
        cdef int64_t start = self.direction_ptr[term.first + r]
        cdef int64_t corner = term.at - self.factor.factor_ptr[self.owner[term.first]]
        return self.directions + start + corner

    cdef void set_directions(self, Term* term, double* theta) noexcept nogil:
        """ṪT' + TṪ' of a term that is not free."""
        cdef int r, i, j, l, k = term.k
        cdef double* J
        cdef double* own
        for r in range(term.m):
            J = term.jacobian + r * k * k
            own = self.direction(term, r)
            for i in range(k):
                for j in range(k):
                    own[i * term.stride + j] = 0.0
                    for l in range(k):
                        own[i * term.stride + j] += (
                            J[i * k + l] * term.T[j * k + l] + term.T[i * k + l] * J[j * k + l])

    cdef void set_factor(self, Term* term, double* theta, double* T) noexcept nogil:
        """T (k, k) before its rotation."""
        cdef int r, i
        memset(T, 0, term.k * term.k * sizeof(double))
        for r in range(term.m):
            for i in range(term.k * term.k):
                T[i] += theta[term.first + r] * term.jacobian[r * term.k * term.k + i]

    cdef void set_factors(self, double* theta) noexcept nogil:
        """T of all terms, floored and rotated, here and in the block factor."""
        cdef int t, i, j, l, k
        cdef Term* term
        cdef double* plain = self.small
        cdef double x
        memset(self.factor.t, 0, self.n_flat * sizeof(double))
        for t in range(self.n_terms):
            term = &self.term[t]
            k = term.k
            self.set_factor(term, theta, plain)
            for i in range(k):
                if fabs(plain[i * (k + 1)]) < FLOOR:
                    plain[i * (k + 1)] = -FLOOR if plain[i * (k + 1)] < 0.0 else FLOOR
            for i in range(k):
                for j in range(k):
                    x = 0.0
                    for l in range(k):
                        x += term.rotation[i * k + l] * plain[l * k + j]
                    term.T[i * k + j] = x
                    self.factor.t[term.at + i * term.stride + j] = x

    cdef double value_at(self, double* theta) noexcept nogil:
        """The objective; infinite where the system cannot be factored."""
        cdef int i
        self.known = False
        for i in range(self.m):
            if not isfinite(theta[i]):
                return INFINITY
        self.set_factors(theta)
        if self.factor.factor_here() != 0 or not self.factor.rss > 0.0:
            return INFINITY
        return (self.factor.log_determinant + self.reml * self.factor.log_determinant_x
                + self.dof * (1.0 + log(2.0 * pi * self.factor.rss / self.dof)) + self.constant)

    cdef void evaluate(self, double* theta, Point* point) noexcept nogil:
        """Value, gradient and average information at θ, in the present rotations."""
        cdef int t, i, j, m = self.m
        cdef double variance
        cdef Term* term
        self.evaluations += 1
        keep_in(point.theta, theta, m)
        point.value = self.value_at(theta)
        if not isfinite(point.value):
            return
        variance = self.factor.rss / self.dof
        self.factor.solve_here()
        self.factor.invert_here(self.reml)
        memset(self.traces, 0, self.n_flat * sizeof(double))
        memset(self.scores, 0, self.n_flat * sizeof(double))
        self.factor.contract_here(self.traces, self.scores)
        for t in range(self.n_terms):
            term = &self.term[t]
            slopes_of(term.k, self.traces + term.at, self.scores + term.at, term.stride, term.T,
                      variance, term.slope, term.by_covariance, self.small, self.pivots)
            if not term.free:
                self.set_directions(term, theta)
        memset(self.c, 0, self.factor.q * m * sizeof(double))
        memset(self.w, 0, (self.factor.q + self.factor.p) * m * sizeof(double))
        memset(self.raw, 0, m * m * sizeof(double))
        memset(self.dot, 0, m * sizeof(double))
        self.factor.information_here(self.owner, self.directions, self.direction_ptr, m, self.c,
                                self.w, self.raw, self.dot)
        for i in range(m):
            for j in range(m):
                self.raw[i * m + j] /= variance
                self.raw[i * m + j] -= (
                    self.dot[i] / variance * (self.dot[j] / variance) / self.dof)
        memcpy(self.at, point.theta, m * sizeof(double))
        self.known = True
        self.express(point)

    cdef void express(self, Point* point) noexcept nogil:
        """The chain rule to θ at the point evaluated last."""
        cdef int t, i, j, l, m = self.m
        cdef Term* term
        cdef double x
        memset(point.hessian, 0, m * m * sizeof(double))
        memset(self.carry, 0, m * m * sizeof(double))
        for i in range(m):
            self.carry[i * m + i] = 1.0
        for t in range(self.n_terms):
            term = &self.term[t]
            express_term(term.m, term.k, term.jacobian, term.rotation, term.T, term.slope,
                         term.by_covariance, term.free, term.first, m, point.gradient,
                         point.hessian, self.carry, self.work)
        for i in range(m):
            for j in range(m):
                x = 0.0
                for l in range(m):
                    x += self.raw[i * m + l] * self.carry[l * m + j]
                self.product[i * m + j] = x
        for i in range(m):
            for j in range(m):
                x = 0.0
                for l in range(m):
                    x += self.carry[l * m + i] * self.product[l * m + j]
                point.hessian[i * m + j] += x

    cdef bint leans(self, double* theta) noexcept nogil:
        """Whether a free term is near enough to a singular one to be turned."""
        cdef int t, i, k, at
        cdef double least, most, size
        for t in range(self.n_terms):
            k = self.term[t].k
            if not self.term[t].free or k == 1:
                continue
            least, most, at = INFINITY, 0.0, self.term[t].first
            for i in range(k):
                size = fabs(theta[at])
                least, most = min(least, size), max(most, size)
                at += k - i
            if least < LEAN * most:
                return True
        return False

    cdef void turn(self, Point* point, bint upright) noexcept nogil:
        """The same point along the free terms' principal axes, or ``upright`` again."""
        cdef int t, i, j, l, k, at
        cdef Term* term
        cdef double* axes
        cdef double* values
        cdef double* others
        cdef double* turned
        if not (self.known and self.same(self.at, point.theta)):
            self.evaluate(point.theta, point)
        for t in range(self.n_terms):
            term = &self.term[t]
            k = term.k
            if not term.free or k == 1:
                continue
            if upright:
                # Another root of TT', lower triangular, with ∂/∂T rotated alike.
                make_lower(k, k, term.T, term.slope)
                for i in range(k * k):
                    term.rotation[i] = 1.0 if i % (k + 1) == 0 else 0.0
                self.read_triangle(term, term.T, point.theta)
                continue
            axes, others = self.small, self.small + k * k
            turned, values = self.small + 2 * k * k, self.small + 3 * k * k
            singular_values(k, term.T, axes, values, others, self.work)
            for i in range(k):
                for j in range(k):
                    turned[i * k + j] = 0.0
                    for l in range(k):
                        turned[i * k + j] += term.slope[i * k + l] * others[j * k + l]
            memcpy(term.slope, turned, k * k * sizeof(double))
            memcpy(term.rotation, axes, k * k * sizeof(double))
            at = term.first
            for i in range(k):
                for j in range(k):
                    term.T[j * k + i] = axes[j * k + i] * values[i]
                for j in range(i, k):
                    point.theta[at] = values[i] if i == j else 0.0
                    at += 1
        self.rotated = not upright
        memcpy(self.at, point.theta, self.m * sizeof(double))
        self.express(point)

    cdef void read_triangle(self, Term* term, double* T, double* theta) noexcept nogil:
        """θ of a free term from its T (k, k), by column."""
        cdef int i, j, at = term.first
        for j in range(term.k):
            for i in range(j, term.k):
                theta[at] = T[i * term.k + j]
                at += 1

    cdef bint same(self, const double* a, const double* b) noexcept nogil:
        cdef int i
        for i in range(self.m):
            if a[i] != b[i]:
                return False
        return True

    cdef void copy(self, Point* source, Point* target) noexcept nogil:
        target.value = source.value
        memcpy(target.theta, source.theta, self.m * sizeof(double))
        memcpy(target.gradient, source.gradient, self.m * sizeof(double))
        memcpy(target.hessian, source.hessian, self.m * self.m * sizeof(double))

    cdef void stand_upright(self) noexcept nogil:
        cdef int t, i, k
        for t in range(self.n_terms):
            k = self.term[t].k
            for i in range(k * k):
                self.term[t].rotation[i] = 1.0 if i % (k + 1) == 0 else 0.0
        self.rotated = False
        self.known = False

    def evaluate_at(self, double[::1] theta, double constant):
        """Value, gradient (m,) and average information (m, m) at θ, for comparison."""
        self.stand_upright()
        self.constant = constant
        self.evaluate(&theta[0], &self.here)
        m = self.m
        gradient, hessian = np.empty(m), np.empty((m, m))
        cdef double[::1] g = gradient
        cdef double[:, ::1] h = hessian
        memcpy(&g[0], self.here.gradient, m * sizeof(double))
        memcpy(&h[0, 0], self.here.hessian, m * m * sizeof(double))
        return self.here.value, gradient, hessian


cdef inline void keep_in(double* target, const double* source, int m) noexcept nogil:
    if target != source:
        memcpy(target, source, m * sizeof(double))
