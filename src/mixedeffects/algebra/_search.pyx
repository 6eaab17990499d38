# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Fits of many responses to one pattern, without Python inside.

The compiled twin of ``fitting/lmm.py``, ``fitting/optimize.py`` and ``fitting/solve.py`` for
terms whose factor T is linear in θ, with the average information as Hessian.
"""
import numpy as np

from libc.math cimport INFINITY, NAN, fabs, isfinite, log, pi, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset
from mixedeffects.algebra._kernels cimport BlockFactor, doubles, int32s, int64s
from mixedeffects.algebra._small cimport (
    eigen, make_lower, newton_step, singular_values, work_of,
)
from mixedeffects.algebra._terms cimport express_term, slopes_of

# The constants of the Python twins.
cdef double FLOOR = 1e-8, LEAN = 0.1
cdef double TOLERANCE = 1e-10, NEAR = 0.1, WORTH = 1e-5
cdef int MOST_EVALUATIONS = 200
cdef double SINGULAR = 1e-4, SMALL = 1e-3, ESCAPE = 0.3, BOUNDARY = -1e-7
cdef int SIMPLE = 6, PATIENCE = 28
cdef double[2] SIZES = [3.0, 0.3]

cdef enum:
    CONVERGED = 0
    NO_PROGRESS = 1
    LIMIT = 2
    NOT_FACTORED = 3


cdef struct Term:
    int k                  # columns
    int m                  # parameters
    int first              # first parameter in θ
    bint free              # unstructured
    int64_t at             # its block among the factors' T, row by row
    int64_t stride
    double* jacobian       # (m, k, k), constant
    double* plain          # (m,) start where nothing is known
    double* rotation       # (k, k)
    double* T              # (k, k) rotated, floored
    double* slope          # (k, k) half of ∂/∂T
    double* by_covariance  # (k, k) ∂/∂(TT')


cdef struct Point:
    double value
    double* theta
    double* gradient
    double* hessian


cdef class Search:
    """The workspace of one thread: a factor, its objective and the search for the optimum.

    ``arranged`` are cross-products whose border and corner this object may overwrite;
    ``terms`` as tuples (grouping, column, jacobian (m, k, k), free, start (m,)).
    """

    cdef readonly BlockFactor factor
    cdef object buffers
    cdef int n_terms, m
    cdef bint reml, rotated
    cdef double n_rows, dof, constant
    cdef int evaluations
    cdef Term[64] term
    cdef Point here, there, best, other
    cdef int32_t* owner
    cdef int64_t* direction_ptr
    cdef double* directions
    cdef double* traces
    cdef double* scores
    cdef double* c
    cdef double* w
    cdef double* raw
    cdef double* dot
    cdef double* carry
    cdef double* product
    cdef double* correction
    cdef double* at
    cdef double* step
    cdef double* model
    cdef double* change
    cdef double* work
    cdef double* small
    cdef int* pivots
    cdef bint known
    cdef int64_t n_directions, n_flat

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
        self.correction = self.hold(np.zeros(m * m))
        self.at = self.hold(np.zeros(m))
        self.step = self.hold(np.zeros(m))
        self.model = self.hold(np.zeros(m * m))
        self.change = self.hold(np.zeros(m))
        largest = max(m, k_max + 1)
        self.work = self.hold(np.zeros(2 * m * k_max**2 + largest**2 + 2 * largest + work_of(largest)))
        self.small = self.hold(np.zeros(6 * (k_max + 1) ** 2))
        self.pivots = <int*> int32s(self.keep(np.zeros(k_max, dtype=np.int32)))
        self.reserve(&self.here)
        self.reserve(&self.there)
        self.reserve(&self.best)
        self.reserve(&self.other)
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

    # -- objective ------------------------------------------------------------------------

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

    # -- trust-region Newton --------------------------------------------------------------

    cdef int minimize(self, double* start, double known) noexcept nogil:
        """``optimize.minimize`` from ``start``; the point where it stopped is ``here``."""
        cdef int i, m = self.m, status = LIMIT, first = self.evaluations
        cdef double radius, predicted, noise, length, gain
        cdef bint disappointed = False, learned = False, near, accepted
        self.stand_upright()
        self.evaluate(start, &self.here)
        if not isfinite(self.here.value):
            return NOT_FACTORED
        memset(self.correction, 0, m * m * sizeof(double))
        radius = 1.0 + norm(m, start)
        while self.evaluations - first < MOST_EVALUATIONS:
            predicted = newton_step(
                m, self.here.gradient, self.here.hessian, radius, self.step, self.work)
            near = predicted < NEAR or disappointed
            if near and learned:
                for i in range(m * m):
                    self.model[i] = self.here.hessian[i] + self.correction[i]
                predicted = newton_step(
                    m, self.here.gradient, self.model, radius, self.step, self.work)
            noise = 1e-13 * (fabs(self.here.value) + 1.0)
            if predicted < max(TOLERANCE, noise):
                status = CONVERGED
                break
            if predicted < NEAR and self.here.value - predicted > known - WORTH:
                status = NO_PROGRESS
                break
            for i in range(m):
                self.there.theta[i] = self.here.theta[i] + self.step[i]
            self.evaluate(self.there.theta, &self.there)
            length = norm(m, self.step)
            gain = -1.0
            if isfinite(self.there.value):
                gain = (self.here.value - self.there.value) / predicted
            accepted = gain > 1e-4 or (
                self.there.value <= self.here.value + noise
                and norm(m, self.there.gradient) < norm(m, self.here.gradient))
            disappointed = gain < 0.5
            if gain < 0.25:
                radius = 0.25 * length if gain < 0.0 else 0.5 * length
            elif gain > 0.75:
                radius = max(radius, 2.5 * length)
            if accepted:
                learned = near and not self.leans(self.there.theta)
                if learned:
                    self.learn()
                else:
                    memset(self.correction, 0, m * m * sizeof(double))
                self.copy(&self.there, &self.here)
                if self.leans(self.here.theta):
                    self.turn(&self.here, False)
            elif length < 1e-12 * (1.0 + norm(m, self.here.theta)):
                status = CONVERGED if predicted < 10.0 * noise else NO_PROGRESS
                break
        if self.rotated:
            self.turn(&self.here, True)
        return status

    cdef void stand_upright(self) noexcept nogil:
        cdef int t, i, k
        for t in range(self.n_terms):
            k = self.term[t].k
            for i in range(k * k):
                self.term[t].rotation[i] = 1.0 if i % (k + 1) == 0 else 0.0
        self.rotated = False
        self.known = False

    cdef void learn(self) noexcept nogil:
        """Symmetric rank-one update of what the information lacks (``optimize._secant``)."""
        cdef int i, j, m = self.m
        cdef double product = 0.0
        for i in range(m):
            self.change[i] = self.there.gradient[i] - self.here.gradient[i]
            for j in range(m):
                self.change[i] -= (
                    self.there.hessian[i * m + j] + self.correction[i * m + j]) * self.step[j]
            product += self.change[i] * self.step[i]
        if fabs(product) <= 1e-8 * norm(m, self.change) * norm(m, self.step):
            return
        for i in range(m):
            for j in range(m):
                self.correction[i * m + j] += self.change[i] * self.change[j] / product

    # -- boundary -------------------------------------------------------------------------

    cdef double least_deviation(self, double* theta) noexcept nogil:
        cdef int t, k
        cdef double least = INFINITY
        cdef double* T = self.small
        for t in range(self.n_terms):
            k = self.term[t].k
            self.set_factor(&self.term[t], theta, T)
            singular_values(k, T, T + k * k, T + 3 * k * k, T + 2 * k * k, self.work)
            least = min(least, T[3 * k * k + k - 1])
        return least

    cdef double escape(self, Point* point, double* theta) noexcept nogil:
        """Least derivative by a variance at zero; ``theta`` steps beside those that fall.

        ``theta`` (m,) may be NULL, when only the derivative is wanted.
        """
        cdef int t, i, j, l, k, nulls
        cdef Term* term
        cdef double least = INFINITY, x
        cdef double* G
        cdef double* values
        cdef double* projected
        cdef double* axes
        if not (self.known and not self.rotated and self.same(self.at, point.theta)):
            self.stand_upright()
            self.evaluate(point.theta, point)
        if theta != NULL:
            memcpy(theta, point.theta, self.m * sizeof(double))
        for t in range(self.n_terms):
            term = &self.term[t]
            k = term.k
            G = term.by_covariance
            if not term.free:
                for i in range(term.m):
                    if fabs(point.theta[term.first + i]) < SINGULAR:
                        x = 0.0  # ⟨G, JJ'⟩
                        for j in range(k):
                            for l in range(k):
                                x += G[j * k + l] * self.outer(term, i, j, l)
                        least = min(least, x)
                        if theta != NULL and x < BOUNDARY * self.n_rows:
                            self.step_aside(term, theta)
                continue
            axes, projected, values = self.small, self.small + 2 * k * k, self.small + 3 * k * k
            self.set_factor(term, point.theta, projected)
            singular_values(k, projected, axes, values, self.small + k * k, self.work)
            nulls = 0
            while nulls < k and values[k - 1 - nulls] < SINGULAR:
                nulls += 1
            if nulls:
                least = min(least, self.null_slopes(term, nulls, axes, projected, theta))
        return least

    cdef double outer(self, Term* term, int i, int j, int l) noexcept nogil:
        cdef int r, k = term.k
        cdef double* J = term.jacobian + i * k * k
        cdef double x = 0.0
        for r in range(k):
            x += J[j * k + r] * J[l * k + r]
        return x

    cdef void step_aside(self, Term* term, double* theta) noexcept nogil:
        cdef int i
        for i in range(term.first, term.first + term.m):
            if fabs(theta[i]) < SINGULAR:
                theta[i] = ESCAPE

    cdef double null_slopes(
        self, Term* term, int nulls, double* axes, double* projected, double* theta
    ) noexcept nogil:
        """Eigenvalues of the derivative on the null space, the last ``nulls`` columns of axes."""
        cdef int a, b, i, j, k = term.k
        cdef int skip = k - nulls
        cdef double x
        cdef double least = INFINITY
        cdef double* G = term.by_covariance
        cdef double* values = self.small + 3 * k * k
        cdef double* root = self.small + 4 * k * k
        for a in range(nulls):
            for b in range(nulls):
                x = 0.0
                for i in range(k):
                    for j in range(k):
                        x += axes[i * k + skip + a] * G[i * k + j] * axes[j * k + skip + b]
                projected[a * nulls + b] = x
        eigen(nulls, projected, values, self.work)
        for a in range(nulls):
            least = min(least, values[a])
            if theta != NULL and values[a] < BOUNDARY * self.n_rows:
                self.set_factor(term, theta, self.work)
                for i in range(k):
                    memcpy(root + i * (k + 1), self.work + i * k, k * sizeof(double))
                    x = 0.0
                    for b in range(nulls):
                        x += axes[i * k + skip + b] * projected[a * nulls + b]
                    root[i * (k + 1) + k] = ESCAPE * x
                self.set_root(term, root, k + 1, theta)
        return least

    cdef void set_root(self, Term* term, double* root, int columns, double* theta) noexcept nogil:
        """θ of a free term from any root (k, columns), with a diagonal that is not negative."""
        cdef int i, j, at = term.first, k = term.k
        cdef double sign
        make_lower(k, columns, root, NULL)
        for j in range(k):
            sign = -1.0 if root[j * columns + j] < 0.0 else 1.0
            for i in range(j, k):
                theta[at] = sign * root[i * columns + j]
                at += 1

    cdef bint settled(self, double* theta) noexcept nogil:
        """Set small principal deviations of θ to zero; whether anything changed."""
        cdef int t, i, j, l, k
        cdef bint changed = False
        cdef Term* term
        cdef double* axes
        cdef double* others
        cdef double* T
        cdef double* values
        cdef double x
        for t in range(self.n_terms):
            term = &self.term[t]
            k = term.k
            if not term.free:
                for i in range(term.first, term.first + term.m):
                    if theta[i] != 0.0 and fabs(theta[i]) < SMALL:
                        theta[i] = 0.0
                        changed = True
                continue
            axes, others = self.small, self.small + k * k
            T, values = self.small + 2 * k * k, self.small + 3 * k * k
            self.set_factor(term, theta, T)
            singular_values(k, T, axes, values, others, self.work)
            if not self.some_small(k, values):
                continue
            for i in range(k):
                for j in range(k):
                    x = 0.0
                    for l in range(k):
                        if values[l] >= SMALL:
                            x += axes[i * k + l] * values[l] * others[l * k + j]
                    T[i * k + j] = x
            self.set_root(term, T, k, theta)
            changed = True
        return changed

    cdef bint some_small(self, int k, double* values) noexcept nogil:
        cdef int i
        for i in range(k):
            if 0.0 < values[i] < SMALL:
                return True
        return False

    # -- solve ----------------------------------------------------------------------------

    cdef int search(self, double* start) noexcept nogil:
        """``solve.solve``: the optimum from ``start`` is ``best``; returns its status."""
        cdef int status, i, turn
        self.evaluations = 0
        status = self.minimize(start, INFINITY)
        self.copy(&self.here, &self.best)
        if status == NOT_FACTORED or self.least_deviation(self.best.theta) >= SMALL:
            return status
        for turn in range(3):
            if not self.escape(&self.best, self.other.theta) < BOUNDARY * self.n_rows:
                break
            status = self.improve(self.other.theta, status, INFINITY)
        if self.m > SIMPLE and self.least_deviation(self.best.theta) < SINGULAR:
            for turn in range(2):
                if self.evaluations > PATIENCE:
                    break
                self.set_plain(SIZES[turn], self.other.theta)
                status = self.improve(self.other.theta, status, self.best.value)
        self.settle()
        return status

    cdef int improve(self, double* start, int status, double known) noexcept nogil:
        cdef int found = self.minimize(start, known)
        if found == CONVERGED and self.here.value < self.best.value - 1e-9:
            self.copy(&self.here, &self.best)
            return found
        return status

    cdef void set_plain(self, double size, double* theta) noexcept nogil:
        cdef int t, i
        for t in range(self.n_terms):
            for i in range(self.term[t].m):
                theta[self.term[t].first + i] = size * self.term[t].plain[i]

    cdef void settle(self) noexcept nogil:
        """``solve._settle``: onto the zeros that the likelihood prefers."""
        cdef double limit = self.best.value + 1e-9 * (1.0 + fabs(self.best.value) * 1e-3)
        memcpy(self.other.theta, self.best.theta, self.m * sizeof(double))
        if not self.settled(self.other.theta):
            return
        self.stand_upright()
        self.evaluate(self.other.theta, &self.other)
        if not isfinite(self.other.value) or self.other.value > limit:
            return
        if not self.escape(&self.other, NULL) < BOUNDARY * self.n_rows:
            self.copy(&self.other, &self.best)

    cdef void certify(self, double* proof) noexcept nogil:
        """Newton step in standard errors, least curvature, least slope, least deviation."""
        cdef int t, i, j, used = 0, m = self.m, size
        cdef double along, most = 0.0, length = 0.0
        cdef double* values = self.step
        cdef Point* point = &self.other
        proof[2] = INFINITY
        proof[3] = self.least_deviation(self.best.theta)
        self.copy(&self.best, point)
        if proof[3] < SMALL:
            proof[2] = self.escape(point, NULL)
            self.turn(point, False)
        elif not (self.known and self.same(self.at, point.theta)):
            self.evaluate(point.theta, point)  # the last evaluation was elsewhere
        # Parameters that move nothing do not occur in these structures.
        memcpy(self.model, point.hessian, m * m * sizeof(double))
        eigen(m, self.model, values, self.work)
        for i in range(m):
            most = max(most, fabs(values[i]))
        for i in range(m):
            along = 0.0
            for j in range(m):
                along += self.model[i * m + j] * point.gradient[j]
            length += along * along / max(fabs(values[i]), 1e-10 * most + 1e-300)
        proof[0] = sqrt(0.5 * length)
        proof[1] = values[0] / most if most > 0.0 else 0.0

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

    def fit(self, const double[:, ::1] border, const double[:, ::1] corner,
            double[:, ::1] starts, const double[::1] constants, double[:, ::1] theta,
            double[:, ::1] beta, double[::1] variance, double[::1] objective,
            double[:, :, ::1] roots, double[:, ::1] proofs, int32_t[::1] status,
            int32_t[::1] evaluations):
        """Fit R responses, from row r of ``starts`` (R, m), into row r of all that follows it.

        ``border`` (q, R), Z'Wy in the plan's order, and ``corner`` (p + 1, R), [X y]'Wy, of
        each response; ``constants`` (R,) of the objective.  ``theta`` (R, m),
        ``beta`` (R, p), ``variance`` σ̂² (R,), ``objective`` (R,), ``roots`` (R, p, p) upper,
        R_XX'R_XX = X'V⁻¹X; ``proofs`` (R, 4), see ``certify``; ``status`` (R,): 0 converged,
        1 no progress, 2 out of evaluations, 3 not to be factored.
        """
        cdef int64_t r, j, q = self.factor.q, width = self.factor.p + 1
        cdef int p = self.factor.p
        with nogil:
            for r in range(border.shape[1]):
                for j in range(q):
                    self.factor.a_border[j * width + p] = border[j, r]
                for j in range(width):
                    self.factor.a_corner[j * width + p] = corner[j, r]
                    self.factor.a_corner[p * width + j] = corner[j, r]
                self.constant = constants[r]
                status[r] = self.search(&starts[r, 0])
                evaluations[r] = self.evaluations
                if status[r] == NOT_FACTORED:
                    continue
                self.certify(&proofs[r, 0])
                memcpy(&theta[r, 0], self.best.theta, self.m * sizeof(double))
                objective[r] = self.best.value
                variance[r] = self.factor.rss / self.dof
                if p:
                    memcpy(&beta[r, 0], self.factor.x_beta, p * sizeof(double))
                    self.copy_root(&roots[r, 0, 0])

    cdef void copy_root(self, double* root) noexcept nogil:
        cdef int64_t i, j, n = self.factor.n_dense, p = self.factor.p
        cdef int64_t first = n - 1 - p
        for i in range(p):
            for j in range(p):
                root[i * p + j] = (
                    self.factor.r_dense[(first + i) * n + first + j] if j >= i else 0.0)


cdef inline double norm(int m, const double* x) noexcept nogil:
    cdef int i
    cdef double total = 0.0
    for i in range(m):
        total += x[i] * x[i]
    return sqrt(total)


cdef inline void keep_in(double* target, const double* source, int m) noexcept nogil:
    if target != source:
        memcpy(target, source, m * sizeof(double))
