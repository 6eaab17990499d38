# cython: language_level=3
"""The compiled objective, for the search that minimizes it."""
from libc.stdint cimport int32_t, int64_t
from mixedeffects.algebra._kernels cimport BlockFactor


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


cdef class CompiledObjective:
    cdef readonly BlockFactor factor
    cdef object buffers
    cdef int n_terms, m
    cdef bint reml, rotated
    cdef double n_rows, dof, constant
    cdef int evaluations
    cdef Term[64] term
    cdef Point here
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
    cdef double* at
    cdef double* work
    cdef double* small
    cdef int* pivots
    cdef bint known
    cdef int64_t n_directions, n_flat

    cdef object keep(self, array)
    cdef double* hold(self, array) except? NULL
    cdef int reserve(self, Point* point) except -1
    cdef void set_symmetric_basis(self, Term* term) noexcept nogil
    cdef double* direction(self, Term* term, int r) noexcept nogil
    cdef void set_directions(self, Term* term, double* theta) noexcept nogil
    cdef void set_factor(self, Term* term, double* theta, double* T) noexcept nogil
    cdef void set_factors(self, double* theta) noexcept nogil
    cdef double value_at(self, double* theta) noexcept nogil
    cdef void evaluate(self, double* theta, Point* point) noexcept nogil
    cdef void express(self, Point* point) noexcept nogil
    cdef bint leans(self, double* theta) noexcept nogil
    cdef void turn(self, Point* point, bint upright) noexcept nogil
    cdef void read_triangle(self, Term* term, double* T, double* theta) noexcept nogil
    cdef bint same(self, const double* a, const double* b) noexcept nogil
    cdef void copy(self, Point* source, Point* target) noexcept nogil
    cdef void stand_upright(self) noexcept nogil
