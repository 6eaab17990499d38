# cython: language_level=3
"""The chain rule of one term, for other compiled loops."""
from libc.stdint cimport int64_t

cdef void slopes_of(
    int k, const double* traces, const double* scores, int64_t stride, const double* T,
    double variance, double* slope, double* by_covariance, double* work, int* pivots
) noexcept nogil
cdef void express_term(
    int m, int k, const double* jacobian, const double* rotation, const double* T,
    const double* slope, const double* by_covariance, bint free_term, int64_t first,
    int64_t total, double* gradient, double* correction, double* carry, double* work
) noexcept nogil
