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
    # What BlockFactor.information asks for: each parameter's factor, its direction of TT'.
    cdef int32_t* owner
    cdef int64_t* direction_ptr
    cdef double* directions
    cdef int64_t n_directions, n_flat
    # What it and contract() give: sums by factor, and the information (m, m) along directions.
    cdef double* traces
    cdef double* scores
    cdef double* c
    cdef double* w
    cdef double* raw
    cdef double* dot
    # Derivative of the directions' coordinates by θ, and a product with it.
    cdef double* carry
    cdef double* product
    # θ of the last evaluation, in the rotations of that time, while ``known``.
    cdef double* at
    cdef bint known
    # Workspace of the decompositions, and some matrices (k + 1, k + 1).
    cdef double* work
    cdef double* small
    cdef int* pivots

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
