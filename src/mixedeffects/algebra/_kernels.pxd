# cython: language_level=3
"""What other compiled modules may use of the factor."""
from libc.stdint cimport int32_t, int64_t

cdef double* doubles(object array) except? NULL
cdef int32_t* int32s(object array) except? NULL
cdef int64_t* int64s(object array) except? NULL

cdef class BlockFactor:
    cdef object kept
    cdef int64_t n_vertices, n_leading, q, q_leading, n_dense
    cdef int p, n_factors, k_max
    cdef bint has_precision
    cdef int32_t *size
    cdef int32_t *factor
    cdef int32_t *struct_rows
    cdef int32_t *struct_column
    cdef int32_t *block_row
    cdef int32_t *block_column
    cdef int64_t *offset
    cdef int64_t *square
    cdef int64_t *struct_ptr
    cdef int64_t *panel_ptr
    cdef int64_t *block_ptr
    cdef int64_t *block_value
    cdef int32_t *panel_width
    cdef double *a_diagonal
    cdef double *a_blocks
    cdef double *a_border
    cdef double *a_corner
    cdef double *precision_diagonal
    cdef double *precision_blocks
    cdef int32_t *factor_size
    cdef int64_t *factor_ptr
    cdef readonly object T, diagonal, panel, dense, u, beta, s, related
    cdef readonly object inverse_diagonal, inverse_panel, inverse_dense
    cdef double *t
    cdef double *r_diagonal
    cdef double *r_panel
    cdef double *r_dense
    cdef double *x_u
    cdef double *x_beta
    cdef double *x_s
    cdef double *x_related
    cdef double *i_diagonal
    cdef double *i_panel
    cdef double *i_dense
    cdef object buffers, relationships
    cdef int64_t *relationship
    cdef int n_related
    cdef double *scratch
    cdef double *gathered
    cdef int64_t *column
    cdef readonly double log_determinant, log_determinant_x, rss
    cdef int inverse_border

    cdef int factor_here(self) noexcept nogil
    cdef void assemble(self) noexcept nogil
    cdef void add_block(
        self, int64_t e, double* t, int k, int ki, double* out, int64_t stride
    ) noexcept nogil
    cdef void scaled_border(
        self, double* t, int k, double* a, double* out, int64_t stride
    ) noexcept nogil
    cdef int eliminate(self) noexcept nogil
    cdef void dense_columns(self, int64_t j, int64_t first, int64_t m) noexcept nogil
    cdef int64_t update_leading(self, int64_t j, double* panel, int64_t m, int k) noexcept nogil
    cdef void panel_columns(self, int64_t j, int64_t e, int64_t i, int64_t m) noexcept nogil
    cdef int factor_dense(self) noexcept nogil
    cdef void solve_here(self) noexcept nogil
    cdef void relate(self) noexcept nogil
    cdef void back_substitute(self) noexcept nogil
    cdef void score(self) noexcept nogil
    cdef void subtract_products(self, double* x, double* out) noexcept nogil
    cdef void relative(self, int64_t j, double* x, double* out) noexcept nogil
    cdef void forward_substitute(self, double* x, int64_t m) noexcept nogil
    cdef void backward_substitute(self, double* x, int64_t m) noexcept nogil
    cdef allocate_inverse(self)
    cdef void invert_here(self, bint border) noexcept nogil
    cdef void invert_dense(self, bint border) noexcept nogil
    cdef void invert_leading(self, bint border) noexcept nogil
    cdef void symmetric_row(
        self, const double* d, int64_t r, int64_t m, const double* y, double* s
    ) noexcept nogil
    cdef void symmetric_pair(
        self, const double* d, int64_t r, int64_t m, const double* y, double* s, int64_t width
    ) noexcept nogil
    cdef int64_t inverse_of_leading(
        self, int64_t j, double* y, int64_t m, double* s, int64_t width
    ) noexcept nogil
    cdef double form(
        self, int64_t v, const double* zv, int64_t w, const double* zw
    ) noexcept nogil
    cdef double border_form(self, int64_t v, const double* z, const double* x) noexcept nogil
    cdef double corner_form(self, const double* x) noexcept nogil
    cdef void contract_here(self, double* traces, double* scores) noexcept nogil
    cdef void contract_inverse(self, double* g) noexcept nogil
    cdef void contract_scores(self, double* h) noexcept nogil
    cdef void information_here(
        self, const int32_t* parameter_factor, const double* directions, const int64_t* ptr,
        int64_t m, double* c, double* w, double* ai, double* dot
    ) noexcept nogil
    cdef void direction_columns(
        self, const int32_t* parameter_factor, const double* directions, const int64_t* ptr,
        double* c, double* dot, int64_t m
    ) noexcept nogil
    cdef void products_of(self, double* c, double* w, int64_t m) noexcept nogil
    cdef void cross(
        self, double* x, double* y, int64_t rows, int64_t m, double sign, double* out
    ) noexcept nogil
    cdef void scale_rows(self, double* w, int64_t m) noexcept nogil
