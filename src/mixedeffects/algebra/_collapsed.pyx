# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""p(y | Λ, σ), random effects and coefficients integrated out, its gradient, and exact draws.

A normal prior with mean m and precision P on the coefficients acts as observations: it adds
σ²P, σ²Pm and σ²m'Pm to X'WX, X'Wy and y'Wy.  Then −2 log p is the REML criterion at a fixed σ
(Bates, Mächler, Bolker and Walker 2015, J. Stat. Softw. 67(1), section 3), and (u, β) given all
else is normal, with mean and root from the same factor.
"""
import numpy as np

from libc.math cimport INFINITY, exp, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcmp, memcpy, memset
from mixedeffects.algebra._kernels cimport BlockFactor, doubles


cdef class Collapsed:
    """The workspace of one thread.

    ``arranged`` are cross-products whose border and corner this object may overwrite;
    ``terms`` as tuples (grouping, column, k); ``precision`` P (p, p) and ``moment`` Pm (p,) of
    the coefficients' prior, ``square`` m'Pm; ``dof`` n − p.

    Or the coefficients are not integrated out but given: then the plan knows of none, ``dof``
    is n, ``held`` (q, P) is Z'WX in its order and ``corner`` (P + 1, P + 1) that of [X y].
    """

    def __init__(self, plan, arranged, terms, precision, moment, double square, double dof,
                 held=None, corner=None):
        cdef int t, k, size
        self.factor = BlockFactor(plan, arranged)
        self.factor.allocate_inverse()
        self.buffers = []
        self.n_terms = len(terms)
        if self.n_terms > 64:
            raise ValueError("more than 64 terms")
        self.n_given = 0
        for t, (grouping, column, k) in enumerate(terms):
            size = int(plan.factor_size[grouping])
            self.term[t].k, self.term[t].stride = k, size
            self.term[t].at = plan.factor_ptr[grouping] + column * (size + 1)
            self.term[t].first = self.n_given
            self.n_given += k * k
        self.n_flat = plan.factor_ptr[len(plan.factor_size)]
        self.dof, self.square = dof, square
        self.n_held = 0 if held is None else held.shape[1]
        self.corner = self.hold(arranged.corner if corner is None else corner)
        self.precision = self.hold(precision)
        self.moment = self.hold(moment)
        self.traces = self.hold(np.zeros(self.n_flat))
        self.scores = self.hold(np.zeros(self.n_flat))
        if self.n_held:
            self.border = self.hold(held)
            self.residual = self.hold(arranged.border)

    cdef object keep(self, array):
        self.buffers.append(array)
        return array

    cdef double* hold(self, array) except? NULL:
        return doubles(self.keep(np.array(array, dtype=np.float64).reshape(-1)))

    # -- the factor -----------------------------------------------------------------------

    cdef int factor_at(self, const double* T, double variance, const double* beta) noexcept nogil:
        """Nonzero where the system cannot be factored."""
        cdef int64_t i
        if not (isfinite(variance) and variance > 0.0):
            return 1
        for i in range(self.n_given):
            if not isfinite(T[i]):
                return 1
        self.set_factors(T)
        if self.n_held:
            self.take_off(beta)
        else:
            self.augment(variance)
        if self.factor.factor_here() != 0 or not self.factor.rss > 0.0:
            return 1
        self.factor.solve_here()
        return 0

    cdef void set_factors(self, const double* T) noexcept nogil:
        cdef int t, i
        cdef Piece* term
        memset(self.factor.t, 0, self.n_flat * sizeof(double))
        for t in range(self.n_terms):
            term = &self.term[t]
            for i in range(term.k):
                memcpy(self.factor.t + term.at + i * term.stride, T + term.first + i * term.k,
                       term.k * sizeof(double))

    cdef void augment(self, double variance) noexcept nogil:
        """The corner with the prior's pseudo-observations."""
        cdef int i, j, p = self.factor.p, width = p + 1
        cdef double* corner = self.factor.a_corner
        memcpy(corner, self.corner, width * width * sizeof(double))
        for i in range(p):
            for j in range(p):
                corner[i * width + j] += variance * self.precision[i * p + j]
            corner[i * width + p] += variance * self.moment[i]
            corner[p * width + i] = corner[i * width + p]
        corner[p * width + p] += variance * self.square

    cdef void take_off(self, const double* beta) noexcept nogil:
        """Border and corner of y − Xβ."""
        cdef int i, j, p = self.n_held, width = p + 1
        cdef int64_t row
        cdef double x = self.corner[p * width + p], own
        for i in range(p):
            own = -2.0 * self.corner[i * width + p]
            for j in range(p):
                own += self.corner[i * width + j] * beta[j]
            x += own * beta[i]
        self.factor.a_corner[0] = x
        for row in range(self.factor.q):
            x = self.residual[row]
            for i in range(p):
                x -= self.border[row * p + i] * beta[i]
            self.factor.a_border[row] = x

    # -- value and gradient ---------------------------------------------------------------

    cdef double evaluate_at(
        self, const double* T, double log_sigma, const double* beta, double* by_factor,
        double* by_log_sigma, double* by_beta
    ) noexcept nogil:
        """−2 log p(y) without its constants, its slopes by T, by log σ at the same T, by β."""
        cdef int t, i, j, l
        cdef double x, variance = exp(2.0 * log_sigma)
        cdef Piece* term
        if self.factor_at(T, variance, beta):
            return INFINITY
        self.factor.invert_here(True)
        memset(self.traces, 0, self.n_flat * sizeof(double))
        memset(self.scores, 0, self.n_flat * sizeof(double))
        self.factor.contract_here(self.traces, self.scores)
        for t in range(self.n_terms):
            term = &self.term[t]
            for i in range(term.k):
                for j in range(term.k):
                    x = 0.0
                    for l in range(term.k):
                        x += (self.scores[term.at + i * term.stride + l]
                              * T[term.first + l * term.k + j])
                    by_factor[term.first + i * term.k + j] = 2.0 * (
                        self.traces[term.at + i * term.stride + j] - x / variance)
        x = self.dof - self.factor.rss / variance
        if self.n_held:
            self.slope_of_held(variance, beta, by_beta)
        else:
            x += self.prior_slope(variance)
        by_log_sigma[0] = 2.0 * x
        return self.value(log_sigma, variance)

    cdef double prior_slope(self, double variance) noexcept nogil:
        """σ² tr(PS⁻¹) + (β̂ − m)'P(β̂ − m), where S⁻¹ borders the inverse."""
        cdef int i, j, p = self.factor.p
        cdef int64_t n = self.factor.n_dense, first = self.factor.n_dense - 1 - p
        cdef double* beta = self.factor.x_beta
        cdef double total = self.square, own
        for i in range(p):
            own = -2.0 * self.moment[i]
            for j in range(p):
                own += self.precision[i * p + j] * beta[j]
                total += (variance * self.precision[i * p + j]
                          * self.factor.i_dense[(first + i) * n + first + j])
            total += own * beta[i]
        return total

    cdef void slope_of_held(
        self, double variance, const double* beta, double* by_beta
    ) noexcept nogil:
        """−2 X'W(y − Xβ − ZΛû)/σ², through Z'WX Λû."""
        cdef int i, j, a, p = self.n_held, width = p + 1
        cdef int64_t v, row
        cdef double x
        cdef double* b = self.factor.scratch
        for i in range(p):
            x = self.corner[i * width + p]
            for j in range(p):
                x -= self.corner[i * width + j] * beta[j]
            by_beta[i] = x
        for v in range(self.factor.n_vertices):
            self.factor.relative(v, self.factor.x_u, b)
            for a in range(self.factor.size[v]):
                row = self.factor.offset[v] + a
                for i in range(p):
                    by_beta[i] -= self.border[row * p + i] * b[a]
        for i in range(p):
            by_beta[i] *= -2.0 / variance

    def evaluate(self, double[::1] T, double log_sigma, double[::1] beta, double[::1] by_factor,
                 double[::1] by_beta):
        """−2 log p(y) and its slope by log σ; the others are filled.

        ``T`` the relative factors (k, k) of the terms one after the other, and ``by_factor``
        alike; ``beta`` (P,) and ``by_beta`` of the coefficients that are given, else empty.
        """
        cdef double value, slope = 0.0
        cdef double* given = &beta[0] if self.n_held else NULL
        cdef double* by_given = &by_beta[0] if self.n_held else NULL
        with nogil:
            value = self.evaluate_at(&T[0], log_sigma, given, &by_factor[0], &slope, by_given)
        return value, slope

    # -- draws ----------------------------------------------------------------------------

    def draw(self, const double[:, ::1] T, const double[::1] log_sigma,
             const double[:, ::1] beta, double[:, ::1] noise, double[:, ::1] b,
             double[::1] values):
        """Exact draws of b and, unless given, of β, one for each of D rows; −2 log p(y) of each.

        ``T`` (D, Σk²), ``log_sigma`` (D,), ``beta`` (D, P) given or (D, 0).  ``noise``
        (D, q + p) standard normal on entry; on return its last p columns are β.  ``b`` (D, q)
        and ``values`` (D,) are filled; where a system cannot be factored the value is infinite
        and the row is not touched.  Rows that are equal to the one before share its factor.
        """
        cdef int64_t d
        with nogil:
            for d in range(T.shape[0]):
                if d and self.same(T, log_sigma, beta, d):
                    values[d] = values[d - 1]
                else:
                    values[d] = self.value_at(T, log_sigma, beta, d)
                if isfinite(values[d]):
                    self.draw_at(exp(log_sigma[d]), &noise[d, 0], &b[d, 0])

    def values(self, const double[:, ::1] T, const double[::1] log_sigma,
               const double[:, ::1] beta, double[::1] values):
        """Fill −2 log p(y) of D rows alone."""
        cdef int64_t d
        with nogil:
            for d in range(T.shape[0]):
                values[d] = self.value_at(T, log_sigma, beta, d)

    cdef bint same(self, const double[:, ::1] T, const double[::1] log_sigma,
                   const double[:, ::1] beta, int64_t d) noexcept nogil:
        return (log_sigma[d] == log_sigma[d - 1]
                and memcmp(&T[d, 0], &T[d - 1, 0], self.n_given * sizeof(double)) == 0
                and (self.n_held == 0 or memcmp(
                    &beta[d, 0], &beta[d - 1, 0], self.n_held * sizeof(double)) == 0))

    cdef double value_at(self, const double[:, ::1] T, const double[::1] log_sigma,
                         const double[:, ::1] beta, int64_t d) noexcept nogil:
        cdef double variance = exp(2.0 * log_sigma[d])
        if self.factor_at(&T[d, 0], variance, &beta[d, 0] if self.n_held else NULL):
            return INFINITY
        return self.value(log_sigma[d], variance)

    cdef double value(self, double log_sigma, double variance) noexcept nogil:
        """−2 log p(y) without its constants, of the system factored last."""
        return (self.factor.log_determinant + self.factor.log_determinant_x
                + 2.0 * self.dof * log_sigma + self.factor.rss / variance)

    cdef void draw_at(self, double sigma, double* noise, double* b) noexcept nogil:
        cdef int64_t v, q = self.factor.q
        cdef int i
        self.factor.backward_substitute(noise, 1)
        for v in range(q):
            noise[v] = self.factor.x_u[v] + sigma * noise[v]
        for i in range(self.factor.p):
            noise[q + i] = self.factor.x_beta[i] + sigma * noise[q + i]
        for v in range(self.factor.n_vertices):
            self.factor.relative(v, noise, b + self.factor.offset[v])
