# cython: language_level=3
"""The likelihood with the random effects integrated out, for what samples its parameters."""
from libc.stdint cimport int64_t
from mixedeffects.algebra._kernels cimport BlockFactor


cdef struct Piece:
    int k
    int64_t at      # its block among the factors' T, row by row
    int64_t stride
    int64_t first   # its block (k, k) in the flat T that is given


cdef class Collapsed:
    cdef readonly BlockFactor factor
    cdef object buffers
    cdef int n_terms, n_held
    cdef int64_t n_flat, n_given
    cdef double dof, square
    cdef Piece[64] term
    cdef double* corner
    cdef double* precision
    cdef double* moment
    cdef double* traces
    cdef double* scores
    # Cross-products of the columns whose coefficients are given, and of the response.
    cdef double* border
    cdef double* residual

    cdef object keep(self, array)
    cdef double* hold(self, array) except? NULL
    cdef int factor_at(self, const double* T, double variance, const double* beta) noexcept nogil
    cdef void set_factors(self, const double* T) noexcept nogil
    cdef void augment(self, double variance) noexcept nogil
    cdef void take_off(self, const double* beta) noexcept nogil
    cdef double evaluate_at(
        self, const double* T, double log_sigma, const double* beta, double* by_factor,
        double* by_log_sigma, double* by_beta
    ) noexcept nogil
    cdef double prior_slope(self, double variance) noexcept nogil
    cdef void slope_of_held(
        self, double variance, const double* beta, double* by_beta
    ) noexcept nogil
    cdef double value(self, double log_sigma, double variance) noexcept nogil
    cdef bint same(self, const double[:, ::1] T, const double[::1] log_sigma,
                   const double[:, ::1] beta, int64_t d) noexcept nogil
    cdef double value_at(self, const double[:, ::1] T, const double[::1] log_sigma,
                         const double[:, ::1] beta, int64_t d) noexcept nogil
    cdef void draw_at(self, double sigma, double* noise, double* b) noexcept nogil
