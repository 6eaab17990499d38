# cython: language_level=3
"""Decompositions of matrices of a few columns, and the Newton step made of them."""

cdef int work_of(int m) noexcept nogil
cdef void eigen(int m, double* a, double* values, double* work) noexcept nogil
cdef void singular_values(
    int k, const double* T, double* axes, double* values, double* others, double* work
) noexcept nogil
cdef void make_lower(int k, int columns, double* T, double* other) noexcept nogil
cdef double newton_step(
    int m, const double* gradient, const double* hessian, double radius, double* step,
    double* work
) noexcept nogil
