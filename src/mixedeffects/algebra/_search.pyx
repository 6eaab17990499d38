# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Fits of many responses to one pattern, without Python inside.

The compiled twin of ``fitting/optimize.py`` and ``fitting/solve.py``, with the average
information as Hessian.
"""
import numpy as np

from libc.math cimport INFINITY, fabs, isfinite, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset
from mixedeffects.algebra._objective cimport CompiledObjective, Point, Term
from mixedeffects.algebra._small cimport eigen, make_lower, newton_step, singular_values

# The constants of the Python twins.
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


cdef class Search(CompiledObjective):
    """The search for the optimum, in the workspace of its objective: one serves one thread."""

    cdef Point there, best, other
    cdef double* correction
    cdef double* step
    cdef double* model
    cdef double* change

    def __init__(self, plan, arranged, terms, bint reml, double n_rows, double dof):
        super().__init__(plan, arranged, terms, reml, n_rows, dof)
        m = self.m
        self.correction = self.hold(np.zeros(m * m))
        self.step = self.hold(np.zeros(m))
        self.model = self.hold(np.zeros(m * m))
        self.change = self.hold(np.zeros(m))
        self.reserve(&self.there)
        self.reserve(&self.best)
        self.reserve(&self.other)

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

    def fit(self, const double[:, ::1] border, const double[:, ::1] corner,
            double[:, ::1] starts, const double[::1] constants, double[:, ::1] theta,
            double[:, ::1] beta, double[::1] variance, double[::1] objective,
            double[:, :, ::1] roots, double[:, ::1] proofs, int32_t[::1] status,
            int32_t[::1] evaluations):
        """Fit R responses, from row r of ``starts`` (R, m), into row r of all that follows it.

        ``border`` (q, R), Z'Wy in the plan's order, and ``corner`` (p + 1, R), [X y]'Wy; ``constants`` (R,) of the objective.  ``theta`` (R, m),
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
