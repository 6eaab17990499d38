# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled loops over the levels of one blocked, bordered Cholesky factor.

Vertices are levels of grouping factors in elimination order.  The first ``n_leading`` are
eliminated one by one, each with a sparse row panel; the rest, with the columns of X and y
behind them, form one dense trailing block that LAPACK factors.  Everything is stored in
"upper" form, M = R'R, rows contiguous: what is upper and row-major here is lower and
column-major to LAPACK.
"""
import numpy as np

from libc.math cimport NAN, log, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset
from scipy.linalg.cython_blas cimport dtrsm, dtrsv
from scipy.linalg.cython_lapack cimport dpotrf, dpotri, dtrtri

# OpenBLAS runs the second half of dpotri in threads whatever the size, which for dense blocks
# of lower order takes longer, and by far where the processors have other work.
cdef int SMALL_DENSE = 100


cdef double* doubles(object array) except? NULL:
    cdef double[::1] view = array
    return &view[0] if view.shape[0] else NULL


cdef int32_t* int32s(object array) except? NULL:
    cdef int32_t[::1] view = array
    return &view[0] if view.shape[0] else NULL


cdef int64_t* int64s(object array) except? NULL:
    cdef int64_t[::1] view = array
    return &view[0] if view.shape[0] else NULL


cdef inline int cholesky_upper(double* a, int k) noexcept nogil:
    """a = r'r in place, upper triangle, row-major; nonzero when a pivot is not positive."""
    cdef int i, j, l
    cdef double s
    for i in range(k):
        s = a[i * k + i]
        for l in range(i):
            s -= a[l * k + i] * a[l * k + i]
        if not s > 0.0:
            return i + 1
        s = sqrt(s)
        a[i * k + i] = s
        for j in range(i + 1, k):
            for l in range(i):
                a[i * k + j] -= a[l * k + i] * a[l * k + j]
            a[i * k + j] /= s
    return 0


cdef inline void solve_upper_transposed(
    const double* r, int k, double* x, int64_t stride, int64_t m
) noexcept nogil:
    """x := r⁻ᵀ x for the k rows of x, each m long."""
    cdef int a, b
    cdef int64_t c
    cdef double f
    for a in range(k):
        for b in range(a):
            f = r[b * k + a]
            if f != 0.0:
                for c in range(m):
                    x[a * stride + c] -= f * x[b * stride + c]
        f = 1.0 / r[a * k + a]
        for c in range(m):
            x[a * stride + c] *= f


cdef inline void solve_upper(
    const double* r, int k, double* x, int64_t stride, int64_t m
) noexcept nogil:
    """x := r⁻¹ x for the k rows of x, each m long."""
    cdef int a, b
    cdef int64_t c
    cdef double f
    for a in range(k - 1, -1, -1):
        for b in range(a + 1, k):
            f = r[a * k + b]
            if f != 0.0:
                for c in range(m):
                    x[a * stride + c] -= f * x[b * stride + c]
        f = 1.0 / r[a * k + a]
        for c in range(m):
            x[a * stride + c] *= f


cdef inline void congruence(
    const double* left, int kl, const double* a, const double* right, int kr,
    double* out, int64_t stride, double* scratch
) noexcept nogil:
    """out = leftᵀ a right for left (kl, kl), a (kl, kr) and right (kr, kr)."""
    cdef int i, j, l
    cdef double s
    if kl == 1 and kr == 1:
        out[0] = left[0] * a[0] * right[0]
        return
    for i in range(kl):
        for j in range(kr):
            s = 0.0
            for l in range(kr):
                s += a[i * kr + l] * right[l * kr + j]
            scratch[i * kr + j] = s
    for i in range(kl):
        for j in range(kr):
            s = 0.0
            for l in range(kl):
                s += left[l * kl + i] * scratch[l * kr + j]
            out[i * stride + j] = s


cdef inline void add_product(
    const double* a, int n, int m, const double* t, const double* s, int64_t srow,
    int64_t scol, double* out, double* scratch
) noexcept nogil:
    """out (n, n) += a t s with a (n, m), t (m, m), s (m, n) strided."""
    cdef int i, j, l
    cdef double x
    if n == 1 and m == 1:
        out[0] += a[0] * t[0] * s[0]
        return
    for i in range(n):
        for j in range(m):
            x = 0.0
            for l in range(m):
                x += a[i * m + l] * t[l * m + j]
            scratch[i * m + j] = x
    for i in range(n):
        for j in range(n):
            x = 0.0
            for l in range(m):
                x += scratch[i * m + l] * s[l * srow + j * scol]
            out[i * n + j] += x


cdef inline void add_product_transposed(
    const double* a, int n, int m, const double* t, const double* s, int64_t srow,
    double* out, double* scratch
) noexcept nogil:
    """out (m, m) += aᵀ t s with a (n, m), t (n, n), s (n, m) strided rows."""
    cdef int i, j, l
    cdef double x
    if n == 1 and m == 1:
        out[0] += a[0] * t[0] * s[0]
        return
    for i in range(m):
        for j in range(n):
            x = 0.0
            for l in range(n):
                x += a[l * m + i] * t[l * n + j]
            scratch[i * n + j] = x
    for i in range(m):
        for j in range(m):
            x = 0.0
            for l in range(n):
                x += scratch[i * n + l] * s[l * srow + j]
            out[i * m + j] += x


cdef void multiply_by_transpose(double* u, int64_t m, int64_t stride) noexcept nogil:
    """The upper triangle of u := u uᵀ for u upper triangular."""
    cdef int64_t i, j
    cdef double own
    for i in range(m):
        own = dot(u + i * stride + i, u + i * stride + i, m - i)
        for j in range(i + 1, m):
            u[i * stride + j] = dot(u + i * stride + j, u + j * stride + j, m - j)
        u[i * stride + i] = own


cdef inline double dot(const double* a, const double* b, int64_t n) noexcept nogil:
    cdef int64_t i = 0
    cdef double s = 0.0, t = 0.0, v = 0.0, w = 0.0
    while i + 3 < n:  # four sums do not wait for each other
        s += a[i] * b[i]
        t += a[i + 1] * b[i + 1]
        v += a[i + 2] * b[i + 2]
        w += a[i + 3] * b[i + 3]
        i += 4
    while i < n:
        s += a[i] * b[i]
        i += 1
    return (s + t) + (v + w)


cdef class BlockFactor:
    """Factor of one bordered system on a fixed plan, its solves and its selected inverse.

    The arrays of ``plan`` and ``products`` (see ``cholesky.py``) are read, never written;
    all workspace belongs to the object, so one object serves one thread.
    """

    def __init__(self, plan, products):
        self.n_vertices = plan.size.shape[0]
        self.n_leading = plan.n_leading
        self.p = products.corner.shape[0] - 1
        self.n_factors = plan.factor_size.shape[0]
        self.k_max = max(plan.factor_size.max(), 1)
        self.size = int32s(plan.size)
        self.factor = int32s(plan.factor)
        self.offset = int64s(plan.offset)
        self.square = int64s(plan.square)
        self.struct_ptr = int64s(plan.struct_ptr)
        self.struct_rows = int32s(plan.struct_rows)
        self.struct_column = int32s(plan.struct_column)
        self.panel_width = int32s(plan.panel_width)
        self.panel_ptr = int64s(plan.panel_ptr)
        self.block_ptr = int64s(plan.block_ptr)
        self.block_row = int32s(plan.block_row)
        self.block_column = int32s(plan.block_column)
        self.block_value = int64s(plan.block_value)
        self.factor_size = int32s(plan.factor_size)
        self.factor_ptr = int64s(plan.factor_ptr)
        self.q = plan.offset[self.n_vertices]
        self.q_leading = plan.offset[self.n_leading]
        self.n_dense = self.q - self.q_leading + self.p + 1
        self.use(plan, products)
        self.T = np.zeros(plan.factor_ptr[self.n_factors])
        self.diagonal = np.empty(plan.square[self.n_leading])
        self.panel = np.empty(plan.panel_ptr[self.n_leading])
        self.dense = np.zeros((self.n_dense, self.n_dense))
        self.u = np.zeros(self.q)
        self.beta = np.zeros(self.p)
        self.s = np.zeros(self.q)
        self.t = doubles(self.T)
        self.r_diagonal = doubles(self.diagonal)
        self.r_panel = doubles(self.panel)
        self.r_dense = doubles(self.dense.reshape(-1))
        self.x_u = doubles(self.u)
        self.x_beta = doubles(self.beta)
        self.x_s = doubles(self.s)
        # K s of the levels: s itself where levels are independent.
        self.related = self.s.copy() if products.related else self.s
        self.x_related = doubles(self.related)
        widest = int(plan.panel_width.max()) if self.n_leading else self.p + 1
        scratch = np.empty(max(2 * self.k_max * self.k_max, self.n_dense))
        gathered = np.empty(self.k_max * widest)
        column = np.empty(widest, dtype=np.int64)
        self.buffers = (scratch, gathered, column)
        self.scratch = doubles(scratch)
        self.gathered = doubles(gathered)
        self.column = int64s(column)
        self.inverse_border = -1

    def use(self, plan, products):
        """Read these cross-products of the same pattern from now on."""
        self.kept = (plan, products)
        self.a_diagonal = doubles(products.diagonal)
        self.a_blocks = doubles(products.blocks)
        self.a_border = doubles(products.border)
        self.a_corner = doubles(products.corner.reshape(-1))
        self.has_precision = products.precision_diagonal is not None
        if self.has_precision:
            self.precision_diagonal = doubles(products.precision_diagonal)
            self.precision_blocks = doubles(products.precision_blocks)
        held = [(np.ascontiguousarray(columns), np.ascontiguousarray(relationship))
                for columns, relationship in products.related]
        where = [(columns.ctypes.data, *columns.shape, relationship.ctypes.data)
                 for columns, relationship in held]
        self.n_related = len(held)
        self.relationships = (held, np.array(where, dtype=np.int64).reshape(-1))
        self.relationship = int64s(self.relationships[1])
        self.inverse_border = -1

    # -- factor ---------------------------------------------------------------------------

    def factorize(self, double[::1] T):
        """Factor at the relative covariance factors T (concatenated, row-major).

        Returns 0, or the position (from 1) of the dense pivot that was not positive, or -1
        for a leading one; ``rss`` is 0 when only the last pivot, y's, vanished.
        """
        cdef int info
        memcpy(self.t, &T[0], T.shape[0] * sizeof(double))
        with nogil:
            info = self.factor_here()
        return info

    cdef int factor_here(self) noexcept nogil:
        cdef int info
        self.inverse_border = -1
        self.assemble()
        info = self.eliminate()
        return info if info else self.factor_dense()

    cdef void assemble(self) noexcept nogil:
        cdef int64_t j, e, n = self.n_dense, base = self.q_leading, row, stride
        cdef int k, ki, a, c
        cdef int border = self.p + 1
        cdef double* t
        cdef double* out
        if self.n_leading:
            memset(self.r_panel, 0, self.panel_ptr[self.n_leading] * sizeof(double))
        for j in range(n):
            memset(self.r_dense + j * n + j, 0, (n - j) * sizeof(double))
        for j in range(self.n_vertices):
            k = self.size[j]
            t = self.t + self.factor_ptr[self.factor[j]]
            if j < self.n_leading:
                out = self.r_diagonal + self.square[j]
                stride = k
            else:
                row = self.offset[j] - base
                out = self.r_dense + row * n + row
                stride = n
            congruence(t, k, self.a_diagonal + self.square[j], t, k, out, stride, self.scratch)
            if self.has_precision:
                for a in range(k):
                    for c in range(k):
                        out[a * stride + c] += self.precision_diagonal[self.square[j] + a * k + c]
            else:
                for a in range(k):
                    out[a * stride + a] += 1.0
            if j < self.n_leading:
                out = self.r_panel + self.panel_ptr[j]
                stride = self.panel_width[j]
            else:
                out = self.r_dense + row * n - base
            for e in range(self.block_ptr[j], self.block_ptr[j + 1]):
                ki = self.size[self.block_row[e]]
                if j < self.n_leading:
                    c = self.block_column[e]
                    self.add_block(e, t, k, ki, out + c, stride)
                else:
                    self.add_block(e, t, k, ki, out + self.offset[self.block_row[e]], stride)
            if j < self.n_leading:
                out += self.panel_width[j] - border
            else:
                out = self.r_dense + row * n + n - border
            self.scaled_border(t, k, self.a_border + self.offset[j] * border, out, stride)
        for a in range(border):
            for c in range(a, border):
                self.r_dense[(n - border + a) * n + n - border + c] = self.a_corner[a * border + c]

    cdef inline void add_block(
        self, int64_t e, double* t, int k, int ki, double* out, int64_t stride
    ) noexcept nogil:
        cdef double* ti = self.t + self.factor_ptr[self.factor[self.block_row[e]]]
        cdef int a
        congruence(t, k, self.a_blocks + self.block_value[e], ti, ki, out, stride, self.scratch)
        if self.has_precision and self.precision_blocks[e] != 0.0:
            for a in range(k):
                out[a * stride + a] += self.precision_blocks[e]

    cdef inline void scaled_border(
        self, double* t, int k, double* a, double* out, int64_t stride
    ) noexcept nogil:
        cdef int i, l, c, border = self.p + 1
        cdef double f
        for i in range(k):
            for c in range(border):
                out[i * stride + c] = 0.0
            for l in range(k):
                f = t[l * k + i]
                if f != 0.0:
                    for c in range(border):
                        out[i * stride + c] += f * a[l * border + c]

    cdef int eliminate(self) noexcept nogil:
        cdef int64_t j, m, n = self.n_dense, first, c, r
        cdef int64_t* column = self.column
        cdef int k, a
        cdef double f, g
        cdef double* r_jj
        cdef double* panel
        cdef double* target
        self.log_determinant = 0.0
        for j in range(self.n_leading):
            k = self.size[j]
            m = self.panel_width[j]
            r_jj = self.r_diagonal + self.square[j]
            panel = self.r_panel + self.panel_ptr[j]
            if cholesky_upper(r_jj, k):
                return -1
            for a in range(k):
                self.log_determinant += 2.0 * log(r_jj[a * k + a])
            solve_upper_transposed(r_jj, k, panel, m, m)
            first = self.update_leading(j, panel, m, k)
            self.dense_columns(j, first, m)
            for r in range(first, m):
                target = self.r_dense + column[r] * n
                a = 0
                while a + 1 < k:  # two rows at a time halve the scattered traffic
                    f = panel[a * m + r]
                    g = panel[(a + 1) * m + r]
                    for c in range(r, m):
                        target[column[c]] -= f * panel[a * m + c] + g * panel[(a + 1) * m + c]
                    a += 2
                if a < k:
                    f = panel[a * m + r]
                    for c in range(r, m):
                        target[column[c]] -= f * panel[a * m + c]
        return 0

    cdef inline void dense_columns(self, int64_t j, int64_t first, int64_t m) noexcept nogil:
        """Positions in the dense block of the panel's columns from ``first`` on."""
        cdef int64_t e, c, position, border = self.p + 1
        cdef int a
        c = first
        for e in range(self.struct_ptr[j + 1] - 1, self.struct_ptr[j] - 1, -1):
            if self.struct_column[e] < first:
                break
            position = self.offset[self.struct_rows[e]] - self.q_leading
            for a in range(self.size[self.struct_rows[e]]):
                self.column[self.struct_column[e] + a] = position + a
        for c in range(border):
            self.column[m - border + c] = self.n_dense - border + c

    cdef int64_t update_leading(
        self, int64_t j, double* panel, int64_t m, int k
    ) noexcept nogil:
        """Subtract from the panels of leading neighbours; the first dense panel column."""
        cdef int64_t e, i, r, c, first, width
        cdef int64_t* column = self.column
        cdef int ki, a, b, d
        cdef double f
        cdef double* target
        for e in range(self.struct_ptr[j], self.struct_ptr[j + 1]):
            i = self.struct_rows[e]
            first = self.struct_column[e]
            if i >= self.n_leading:
                return first
            ki = self.size[i]
            target = self.r_diagonal + self.square[i]
            for a in range(k):
                for b in range(ki):
                    f = panel[a * m + first + b]
                    for d in range(b, ki):
                        target[b * ki + d] -= f * panel[a * m + first + d]
            self.panel_columns(j, e, i, m)
            width = self.panel_width[i]
            for b in range(ki):
                target = self.r_panel + self.panel_ptr[i] + b * width
                for a in range(k):
                    f = panel[a * m + first + b]
                    if f != 0.0:
                        for c in range(first + ki, m):
                            target[column[c]] -= f * panel[a * m + c]
        return m - self.p - 1

    cdef inline void panel_columns(
        self, int64_t j, int64_t e, int64_t i, int64_t m
    ) noexcept nogil:
        """Positions in the panel of i of j's columns behind the block e = (j, i)."""
        cdef int64_t mine, theirs = self.struct_ptr[i], c, border = self.p + 1
        cdef int a
        for mine in range(e + 1, self.struct_ptr[j + 1]):
            while self.struct_rows[theirs] != self.struct_rows[mine]:
                theirs += 1
            for a in range(self.size[self.struct_rows[mine]]):
                self.column[self.struct_column[mine] + a] = self.struct_column[theirs] + a
        for c in range(border):
            self.column[m - border + c] = self.panel_width[i] - border + c

    cdef int factor_dense(self) noexcept nogil:
        cdef int n = <int> self.n_dense, info = 0, i
        cdef char lower = b'L'
        cdef double d
        dpotrf(&lower, &n, self.r_dense, &n, &info)
        self.rss = self.r_dense[(n - 1) * <int64_t> n + n - 1]
        self.rss = self.rss * self.rss if info == 0 else 0.0
        if 0 < info < n:
            return info
        for i in range(n - self.p - 1):
            self.log_determinant += 2.0 * log(self.r_dense[i * <int64_t> n + i])
        self.log_determinant_x = 0.0
        for i in range(n - self.p - 1, n - 1):
            self.log_determinant_x += 2.0 * log(self.r_dense[i * <int64_t> n + i])
        return 0

    # -- solves ---------------------------------------------------------------------------

    def solve(self):
        """û, β̂ and s = Z'W(y − Xβ̂ − Zb̂), in elimination order, into u, beta and s."""
        with nogil:
            self.solve_here()

    cdef void solve_here(self) noexcept nogil:
        self.back_substitute()
        self.score()
        if self.n_related:
            self.relate()

    cdef void relate(self) noexcept nogil:
        """K s of the factors whose levels are related, s of the others."""
        cdef int64_t f, i, j, a, levels, k
        cdef int64_t* columns
        cdef double* K
        cdef double x
        memcpy(self.x_related, self.x_s, self.q * sizeof(double))
        for f in range(self.n_related):
            columns = <int64_t*> self.relationship[4 * f]
            levels = self.relationship[4 * f + 1]
            k = self.relationship[4 * f + 2]
            K = <double*> self.relationship[4 * f + 3]
            for i in range(levels):
                for a in range(k):
                    x = 0.0
                    for j in range(levels):
                        x += K[i * levels + j] * self.x_s[columns[j * k + a]]
                    self.x_related[columns[i * k + a]] = x

    cdef void back_substitute(self) noexcept nogil:
        cdef int n = <int> self.n_dense, m = n - 1, one = 1, i
        cdef int64_t j, e, c, width, tail = self.n_dense - self.p - 1
        cdef int k, a, b, ki
        cdef char lower = b'L', transposed = b'T', plain = b'N'
        cdef double* x = self.scratch
        cdef double* panel
        cdef double s
        for i in range(m):
            x[i] = self.r_dense[i * <int64_t> n + m]
        if m > 0:
            dtrsv(&lower, &transposed, &plain, &m, self.r_dense, &n, x, &one)
        if tail:
            memcpy(self.x_u + self.q_leading, x, tail * sizeof(double))
        if self.p:
            memcpy(self.x_beta, x + tail, self.p * sizeof(double))
        for j in range(self.n_leading - 1, -1, -1):
            k = self.size[j]
            width = self.panel_width[j]
            panel = self.r_panel + self.panel_ptr[j]
            for a in range(k):
                s = panel[a * width + width - 1]
                for c in range(self.p):
                    s -= panel[a * width + width - 1 - self.p + c] * self.x_beta[c]
                for e in range(self.struct_ptr[j], self.struct_ptr[j + 1]):
                    ki = self.size[self.struct_rows[e]]
                    for b in range(ki):
                        s -= (panel[a * width + self.struct_column[e] + b]
                              * self.x_u[self.offset[self.struct_rows[e]] + b])
                self.x_u[self.offset[j] + a] = s
            solve_upper(self.r_diagonal + self.square[j], k, self.x_u + self.offset[j], 1, 1)

    cdef void score(self) noexcept nogil:
        """s = A_zy − A_zx β − A_zz Λ u."""
        cdef int64_t j, c, border = self.p + 1
        cdef int k, a
        cdef double x
        for j in range(self.q):
            x = self.a_border[j * border + self.p]
            for c in range(self.p):
                x -= self.a_border[j * border + c] * self.x_beta[c]
            self.x_s[j] = x
        self.subtract_products(self.x_u, self.x_s)

    cdef void subtract_products(self, double* x, double* out) noexcept nogil:
        """out −= A_zz Λ x, for one column."""
        cdef int64_t j, i, e
        cdef int k, ki, a, b
        cdef double* block
        cdef double* xj = self.scratch
        cdef double* xi = self.scratch + self.k_max
        for j in range(self.n_vertices):
            k = self.size[j]
            self.relative(j, x, xj)
            block = self.a_diagonal + self.square[j]
            for a in range(k):
                for b in range(k):
                    out[self.offset[j] + a] -= block[a * k + b] * xj[b]
            for e in range(self.block_ptr[j], self.block_ptr[j + 1]):
                i = self.block_row[e]
                ki = self.size[i]
                block = self.a_blocks + self.block_value[e]
                self.relative(i, x, xi)
                for a in range(k):
                    for b in range(ki):
                        out[self.offset[j] + a] -= block[a * ki + b] * xi[b]
                        out[self.offset[i] + b] -= block[a * ki + b] * xj[a]

    cdef inline void relative(self, int64_t j, double* x, double* out) noexcept nogil:
        """out = T x_j."""
        cdef int k = self.size[j], a, b
        cdef double* t = self.t + self.factor_ptr[self.factor[j]]
        cdef double* xj = x + self.offset[j]
        for a in range(k):
            out[a] = 0.0
            for b in range(k):
                out[a] += t[a * k + b] * xj[b]

    def forward(self, double[:, ::1] rhs):
        """Overwrite rhs (q + p, m), scaled right-hand sides Λ'z over x, by R⁻ᵀ rhs."""
        if rhs.shape[1]:
            with nogil:
                self.forward_substitute(&rhs[0, 0], rhs.shape[1])

    cdef void forward_substitute(self, double* x, int64_t m) noexcept nogil:
        cdef int64_t j, e, c, r, width, tail
        cdef int k, a, b, ki, n = <int> self.n_dense, rows = n - 1, columns = <int> m
        cdef char right = b'R', lower = b'L', transposed = b'T', plain = b'N'
        cdef double one = 1.0, f
        cdef double* panel
        cdef double* mine
        cdef double* target
        for j in range(self.n_leading):
            k = self.size[j]
            width = self.panel_width[j]
            panel = self.r_panel + self.panel_ptr[j]
            mine = x + self.offset[j] * m
            solve_upper_transposed(self.r_diagonal + self.square[j], k, mine, m, m)
            for e in range(self.struct_ptr[j], self.struct_ptr[j + 1]):
                ki = self.size[self.struct_rows[e]]
                for b in range(ki):
                    target = x + (self.offset[self.struct_rows[e]] + b) * m
                    for a in range(k):
                        f = panel[a * width + self.struct_column[e] + b]
                        for c in range(m):
                            target[c] -= f * mine[a * m + c]
            for r in range(self.p):
                target = x + (self.q + r) * m
                for a in range(k):
                    f = panel[a * width + width - 1 - self.p + r]
                    for c in range(m):
                        target[c] -= f * mine[a * m + c]
        if rows > 0:
            # The rows of x are the columns of its column-major twin: X := X L⁻ᵀ.
            dtrsm(&right, &lower, &transposed, &plain, &columns, &rows, &one,
                  self.r_dense, &n, x + self.q_leading * m, &columns)

    def backward(self, double[:, ::1] rhs):
        """Overwrite rhs (q + p, m) by R⁻¹ rhs."""
        if rhs.shape[1]:
            with nogil:
                self.backward_substitute(&rhs[0, 0], rhs.shape[1])

    cdef void backward_substitute(self, double* x, int64_t m) noexcept nogil:
        cdef int64_t j, e, c, r, width
        cdef int k, a, b, ki, n = <int> self.n_dense, rows = n - 1, columns = <int> m
        cdef char right = b'R', lower = b'L', plain = b'N'
        cdef double one = 1.0, f
        cdef double* panel
        cdef double* mine
        cdef double* source
        if rows > 0:
            dtrsm(&right, &lower, &plain, &plain, &columns, &rows, &one,
                  self.r_dense, &n, x + self.q_leading * m, &columns)
        for j in range(self.n_leading - 1, -1, -1):
            k = self.size[j]
            width = self.panel_width[j]
            panel = self.r_panel + self.panel_ptr[j]
            mine = x + self.offset[j] * m
            for e in range(self.struct_ptr[j], self.struct_ptr[j + 1]):
                ki = self.size[self.struct_rows[e]]
                for b in range(ki):
                    source = x + (self.offset[self.struct_rows[e]] + b) * m
                    for a in range(k):
                        f = panel[a * width + self.struct_column[e] + b]
                        for c in range(m):
                            mine[a * m + c] -= f * source[c]
            for r in range(self.p):
                source = x + (self.q + r) * m
                for a in range(k):
                    f = panel[a * width + width - 1 - self.p + r]
                    for c in range(m):
                        mine[a * m + c] -= f * source[c]
            solve_upper(self.r_diagonal + self.square[j], k, mine, m, m)

    # -- selected inverse -----------------------------------------------------------------

    def invert(self, bint border):
        """Selected inverse of the (u) matrix, or of the (u, β) matrix with ``border``.

        Of the dense block's, only the upper triangle and the diagonal blocks are filled.
        """
        if self.inverse_border == border:
            return
        self.allocate_inverse()
        with nogil:
            self.invert_here(border)

    cdef allocate_inverse(self):
        if self.inverse_diagonal is None:
            self.inverse_diagonal = np.empty(self.kept[0].square[self.n_leading])
            self.inverse_panel = np.empty(self.kept[0].panel_ptr[self.n_leading])
            self.inverse_dense = np.empty((self.n_dense, self.n_dense))
            self.i_diagonal = doubles(self.inverse_diagonal)
            self.i_panel = doubles(self.inverse_panel)
            self.i_dense = doubles(self.inverse_dense.reshape(-1))

    cdef void invert_here(self, bint border) noexcept nogil:
        self.invert_dense(border)
        self.invert_leading(border)
        self.inverse_border = border

    cdef void invert_dense(self, bint border) noexcept nogil:
        cdef int n = <int> self.n_dense, m, info
        cdef int64_t i, j, N = self.n_dense
        cdef char lower = b'L', plain = b'N'
        m = n - 1 if border else n - 1 - self.p
        if m == 0:
            return
        for i in range(m):
            memcpy(self.i_dense + i * N + i, self.r_dense + i * N + i, (m - i) * sizeof(double))
        if m < SMALL_DENSE:
            dtrtri(&lower, &plain, &m, self.i_dense, &n, &info)
            multiply_by_transpose(self.i_dense, m, n)
        else:
            dpotri(&lower, &m, self.i_dense, &n, &info)
        for i in range(self.n_leading, self.n_vertices):
            j = self.offset[i] - self.q_leading
            mirror_upper(self.i_dense + j * (N + 1), self.size[i], N)
        if border:
            mirror_upper(self.i_dense + (N - 1 - self.p) * (N + 1), self.p, N)

    cdef void invert_leading(self, bint border) noexcept nogil:
        cdef int64_t j, m, width, first, r, c
        cdef int64_t n = self.n_dense
        cdef int k, a, b
        cdef double f
        cdef double* panel
        cdef double* y = self.gathered
        cdef double* s
        cdef double* d
        cdef double* r_jj
        for j in range(self.n_leading - 1, -1, -1):
            k = self.size[j]
            width = self.panel_width[j]
            m = width - 1 if border else width - 1 - self.p
            r_jj = self.r_diagonal + self.square[j]
            panel = self.r_panel + self.panel_ptr[j]
            s = self.i_panel + self.panel_ptr[j]
            for a in range(k):
                memcpy(y + a * m, panel + a * width, m * sizeof(double))
            solve_upper(r_jj, k, y, m, m)
            for a in range(k):
                memset(s + a * width, 0, width * sizeof(double))
            first = self.inverse_of_leading(j, y, m, s, width)
            self.dense_columns(j, first, width)
            for r in range(first, m):
                # Σ is symmetric: one entry serves its row and its column.
                d = self.i_dense + self.column[r] * n
                a = 0
                while a + 1 < k:
                    self.symmetric_pair(d, r, m, y + a * m, s + a * width, width)
                    a += 2
                if a < k:
                    self.symmetric_row(d, r, m, y + a * m, s + a * width)
            d = self.i_diagonal + self.square[j]
            for a in range(k):
                for b in range(k):
                    d[a * k + b] = 1.0 if a == b else 0.0
            solve_upper_transposed(r_jj, k, d, k, k)
            solve_upper(r_jj, k, d, k, k)
            for a in range(k):
                for b in range(k):
                    f = 0.0
                    for c in range(m):
                        f += s[a * width + c] * y[b * m + c]
                    d[a * k + b] -= f

    cdef inline void symmetric_row(
        self, const double* d, int64_t r, int64_t m, const double* y, double* s
    ) noexcept nogil:
        """s −= y Σ for the entries of Σ in row r from column r on, and their mirror images."""
        cdef int64_t c
        cdef double f = y[r], total = y[r] * d[self.column[r]], entry
        for c in range(r + 1, m):
            entry = d[self.column[c]]
            s[c] -= f * entry
            total += y[c] * entry
        s[r] -= total

    cdef inline void symmetric_pair(
        self, const double* d, int64_t r, int64_t m, const double* y, double* s, int64_t width
    ) noexcept nogil:
        """The same for two rows of y and s at once, which halves the scattered traffic."""
        cdef int64_t c
        cdef double f = y[r], g = y[m + r], entry = d[self.column[r]]
        cdef double total = f * entry, other = g * entry
        for c in range(r + 1, m):
            entry = d[self.column[c]]
            s[c] -= f * entry
            s[width + c] -= g * entry
            total += y[c] * entry
            other += y[m + c] * entry
        s[r] -= total
        s[width + r] -= other

    cdef int64_t inverse_of_leading(
        self, int64_t j, double* y, int64_t m, double* s, int64_t width
    ) noexcept nogil:
        """The part of −yΣ that lies in panels of leading neighbours; first dense column."""
        cdef int64_t e, i, c, first, theirs
        cdef int k = self.size[j], ki, a, b, d
        cdef double* panel
        cdef double* square
        cdef double x
        for e in range(self.struct_ptr[j], self.struct_ptr[j + 1]):
            i = self.struct_rows[e]
            first = self.struct_column[e]
            if i >= self.n_leading:
                return first
            ki = self.size[i]
            theirs = self.panel_width[i]
            self.panel_columns(j, e, i, width)
            square = self.i_diagonal + self.square[i]
            for b in range(ki):
                panel = self.i_panel + self.panel_ptr[i] + b * theirs
                for a in range(k):
                    for d in range(ki):
                        s[a * width + first + d] -= y[a * m + first + b] * square[b * ki + d]
                    x = 0.0
                    for c in range(first + ki, m):
                        s[a * width + c] -= y[a * m + first + b] * panel[self.column[c]]
                        x += y[a * m + c] * panel[self.column[c]]
                    s[a * width + first + b] -= x
        return width - self.p - 1

    def variances(self, const int32_t[:, ::1] vertices, const double[:, ::1] z,
                  const double[:, ::1] x):
        """x'M⁻¹x of sparse rows: z (n, Σk) = Λ'z at one vertex a factor, over x (n, p).

        ``vertices`` (n, F), negative where the row has none.  Uses the inverse that
        ``invert`` made last; x is ignored when that is without border.  NaN where a row pairs
        levels whose entry of the inverse was not selected.
        """
        result = np.empty(vertices.shape[0])
        cdef double[::1] out = result
        cdef int64_t i, first
        cdef int f, g, start, other
        cdef bint border = self.inverse_border == 1 and self.p > 0
        cdef double total
        with nogil:
            for i in range(vertices.shape[0]):
                total = 0.0
                start = 0
                for f in range(self.n_factors):
                    if vertices[i, f] >= 0:
                        total += self.form(vertices[i, f], &z[i, start], vertices[i, f], &z[i, start])
                        if border:
                            total += 2.0 * self.border_form(vertices[i, f], &z[i, start], &x[i, 0])
                        other = start + self.factor_size[f]
                        for g in range(f + 1, self.n_factors):
                            if vertices[i, g] >= 0:
                                total += 2.0 * self.form(
                                    vertices[i, f], &z[i, start], vertices[i, g], &z[i, other])
                            other += self.factor_size[g]
                    start += self.factor_size[f]
                if border:
                    total += self.corner_form(&x[i, 0])
                out[i] = total
        return result

    cdef double form(
        self, int64_t v, const double* zv, int64_t w, const double* zw
    ) noexcept nogil:
        """z_v'Σ_vw z_w."""
        cdef int64_t low, high, middle, stride
        cdef const double* swap
        cdef double* block
        cdef double total = 0.0
        cdef int a, b
        if v > w:
            v, w = w, v
            swap = zv
            zv = zw
            zw = swap
        if v >= self.n_leading:
            stride = self.n_dense
            block = (self.i_dense + (self.offset[v] - self.q_leading) * stride
                     + self.offset[w] - self.q_leading)
        elif v == w:
            stride = self.size[v]
            block = self.i_diagonal + self.square[v]
        else:
            low = self.struct_ptr[v]
            high = self.struct_ptr[v + 1]
            while low < high:
                middle = (low + high) // 2
                if self.struct_rows[middle] < w:
                    low = middle + 1
                else:
                    high = middle
            if low == self.struct_ptr[v + 1] or self.struct_rows[low] != w:
                return NAN
            stride = self.panel_width[v]
            block = self.i_panel + self.panel_ptr[v] + self.struct_column[low]
        for a in range(self.size[v]):
            for b in range(self.size[w]):
                total += zv[a] * block[a * stride + b] * zw[b]
        return total

    cdef double border_form(self, int64_t v, const double* z, const double* x) noexcept nogil:
        cdef int64_t stride = self.n_dense, border = self.p + 1
        cdef double* block
        cdef double total = 0.0
        cdef int a, b
        if v < self.n_leading:
            stride = self.panel_width[v]
            block = self.i_panel + self.panel_ptr[v] + stride - border
        else:
            block = self.i_dense + (self.offset[v] - self.q_leading) * stride + stride - border
        for a in range(self.size[v]):
            for b in range(self.p):
                total += z[a] * block[a * stride + b] * x[b]
        return total

    cdef double corner_form(self, const double* x) noexcept nogil:
        cdef int64_t n = self.n_dense, first = self.n_dense - 1 - self.p
        cdef double total = 0.0
        cdef int a, b
        for a in range(self.p):
            for b in range(self.p):
                total += x[a] * self.i_dense[(first + a) * n + first + b] * x[b]
        return total

    def level_covariances(self, const int32_t[::1] vertices):
        """Diagonal blocks (L, k, k) of the last inverse at vertices of one factor."""
        cdef int64_t i, v, stride
        cdef int k = self.size[vertices[0]], a, b
        cdef double* block
        result = np.empty((vertices.shape[0], k, k))
        cdef double[:, :, ::1] out = result
        with nogil:
            for i in range(vertices.shape[0]):
                v = vertices[i]
                if v < self.n_leading:
                    stride = k
                    block = self.i_diagonal + self.square[v]
                else:
                    stride = self.n_dense
                    block = self.i_dense + (self.offset[v] - self.q_leading) * (stride + 1)
                for a in range(k):
                    for b in range(k):
                        out[i, a, b] = block[a * stride + b]
        return result

    def contract(self):
        """Σ over levels of the diagonal blocks of AΛM⁻¹ and of s s', per grouping factor.

        Both concatenated (k, k) row-major; s(Ks)' where levels are related.  Uses the inverse that ``invert`` made last.
        """
        traces = np.zeros_like(self.T)
        scores = np.zeros_like(self.T)
        cdef double* g = doubles(traces)
        cdef double* h = doubles(scores)
        with nogil:
            self.contract_here(g, h)
        return traces, scores

    cdef void contract_here(self, double* traces, double* scores) noexcept nogil:
        self.contract_inverse(traces)
        self.contract_scores(scores)

    cdef void contract_inverse(self, double* g) noexcept nogil:
        cdef int64_t j, i, e, n = self.n_dense, base = self.q_leading, width, at
        cdef int64_t border = self.p + 1, row
        cdef int k, ki, a, b, c
        cdef double* t
        cdef double* ti
        cdef double* gj
        cdef double* s
        cdef double* block
        for j in range(self.n_vertices):
            k = self.size[j]
            at = self.factor_ptr[self.factor[j]]
            t = self.t + at
            gj = g + at
            if j < self.n_leading:
                s = self.i_diagonal + self.square[j]
                add_product(self.a_diagonal + self.square[j], k, k, t, s, k, 1, gj, self.scratch)
                s = self.i_panel + self.panel_ptr[j]
                width = self.panel_width[j]
            else:
                row = self.offset[j] - base
                s = self.i_dense + row * n + row
                add_product(self.a_diagonal + self.square[j], k, k, t, s, n, 1, gj, self.scratch)
                s = self.i_dense + row * n - base
                width = n
            for e in range(self.block_ptr[j], self.block_ptr[j + 1]):
                i = self.block_row[e]
                ki = self.size[i]
                ti = self.t + self.factor_ptr[self.factor[i]]
                c = self.block_column[e] if j < self.n_leading else <int> self.offset[i]
                block = self.a_blocks + self.block_value[e]
                # Σ_ij is the transpose of the stored Σ_ji.
                add_product(block, k, ki, ti, s + c, 1, width, gj, self.scratch)
                add_product_transposed(block, k, ki, t, s + c, width,
                                       g + self.factor_ptr[self.factor[i]], self.scratch)
            if self.inverse_border == 1:
                s = s + width - border if j < self.n_leading else self.i_dense + row * n + n - border
                block = self.a_border + self.offset[j] * border
                for a in range(k):
                    for b in range(k):
                        for c in range(self.p):
                            gj[a * k + b] += block[a * border + c] * s[b * width + c]

    cdef void contract_scores(self, double* h) noexcept nogil:
        cdef int64_t j, at
        cdef int k, a, b
        for j in range(self.n_vertices):
            k = self.size[j]
            at = self.factor_ptr[self.factor[j]]
            for a in range(k):
                for b in range(k):
                    h[at + a * k + b] += self.x_s[self.offset[j] + a] * self.x_related[self.offset[j] + b]

    # -- average information --------------------------------------------------------------

    def information(self, int32_t[::1] parameter_factor, double[::1] directions,
                    int64_t[::1] direction_ptr):
        """(c'P c, c's) for c = Σ̇ s (Σ̇ K s where levels are related), one column for each direction Σ̇ (k, k) of its factor.

        P is A_zz − A_zΛ(M⁻¹)ΛA_z, with the columns of X profiled out.
        """
        return self.information_parts(parameter_factor, directions, direction_ptr)[:2]

    def information_parts(self, int32_t[::1] parameter_factor, double[::1] directions,
                          int64_t[::1] direction_ptr):
        """As ``information``, then c (q, m) and L⁻¹[ΛA_zz; A_xz]c (q + p, m)."""
        cdef int64_t m = parameter_factor.shape[0]
        information = np.zeros((m, m))
        dot = np.zeros(m)
        c_buffer = np.zeros((self.q, m))
        w_buffer = np.zeros((self.q + self.p, m))
        if m == 0:
            return information, dot, c_buffer, w_buffer
        cdef double* ai = doubles(information.reshape(-1))
        cdef double* cs = doubles(dot)
        cdef double* c = doubles(c_buffer.reshape(-1))
        cdef double* w = doubles(w_buffer.reshape(-1))
        with nogil:
            self.information_here(
                &parameter_factor[0], &directions[0], &direction_ptr[0], m, c, w, ai, cs)
        return information, dot, c_buffer, w_buffer

    def products(self, double[:, ::1] c):
        """[A_zz c; A_xz c] (q + p, m) for c (q, m)."""
        cdef int64_t m = c.shape[1]
        result = np.zeros((self.q + self.p, m))
        if self.q == 0 or m == 0:
            return result
        cdef double* w = doubles(result.reshape(-1))
        with nogil:
            self.products_of(&c[0, 0], w, m)
        return result

    cdef void information_here(
        self, const int32_t* parameter_factor, const double* directions, const int64_t* ptr,
        int64_t m, double* c, double* w, double* ai, double* dot
    ) noexcept nogil:
        """``information`` into zeroed ai (m, m) and dot (m,), by zeroed c (q, m), w (q + p, m)."""
        self.direction_columns(parameter_factor, directions, ptr, c, dot, m)
        self.products_of(c, w, m)
        self.cross(c, w, self.q, m, 1.0, ai)
        self.scale_rows(w, m)
        self.forward_substitute(w, m)
        self.cross(w, w, self.q + self.p, m, -1.0, ai)

    cdef void direction_columns(
        self, const int32_t* parameter_factor, const double* directions, const int64_t* ptr,
        double* c, double* dot, int64_t m
    ) noexcept nogil:
        cdef int64_t j, l
        cdef int k, a, b
        cdef double x
        cdef double* s
        cdef double* related
        for j in range(self.n_vertices):
            k = self.size[j]
            s = self.x_s + self.offset[j]
            related = self.x_related + self.offset[j]
            for l in range(m):
                if parameter_factor[l] == self.factor[j]:
                    for a in range(k):
                        x = 0.0
                        for b in range(k):
                            x += directions[ptr[l] + a * k + b] * related[b]
                        c[(self.offset[j] + a) * m + l] = x
                        dot[l] += x * s[a]

    cdef void products_of(self, double* c, double* w, int64_t m) noexcept nogil:
        """w (q + p, m) := [A_zz c; A_xz c]."""
        cdef int64_t j, i, e, l, border = self.p + 1
        cdef int k, ki, a, b
        cdef double f
        cdef double* block
        for j in range(self.n_vertices):
            k = self.size[j]
            block = self.a_diagonal + self.square[j]
            for a in range(k):
                for b in range(k):
                    for l in range(m):
                        w[(self.offset[j] + a) * m + l] += block[a * k + b] * c[(self.offset[j] + b) * m + l]
            for e in range(self.block_ptr[j], self.block_ptr[j + 1]):
                i = self.block_row[e]
                ki = self.size[i]
                block = self.a_blocks + self.block_value[e]
                for a in range(k):
                    for b in range(ki):
                        f = block[a * ki + b]
                        for l in range(m):
                            w[(self.offset[j] + a) * m + l] += f * c[(self.offset[i] + b) * m + l]
                            w[(self.offset[i] + b) * m + l] += f * c[(self.offset[j] + a) * m + l]
            for a in range(k):
                for b in range(self.p):
                    f = self.a_border[(self.offset[j] + a) * border + b]
                    for l in range(m):
                        w[(self.q + b) * m + l] += f * c[(self.offset[j] + a) * m + l]

    cdef void cross(
        self, double* x, double* y, int64_t rows, int64_t m, double sign, double* out
    ) noexcept nogil:
        cdef int64_t i, a, b
        for i in range(rows):
            for a in range(m):
                for b in range(m):
                    out[a * m + b] += sign * x[i * m + a] * y[i * m + b]

    cdef void scale_rows(self, double* w, int64_t m) noexcept nogil:
        """Rows of each level: w_j := T'w_j."""
        cdef int64_t j, l
        cdef int k, a, b
        cdef double* t
        cdef double* x
        for j in range(self.n_vertices):
            k = self.size[j]
            t = self.t + self.factor_ptr[self.factor[j]]
            x = w + self.offset[j] * m
            for l in range(m):
                for a in range(k):
                    self.scratch[a] = x[a * m + l]
                for a in range(k):
                    x[a * m + l] = 0.0
                    for b in range(k):
                        x[a * m + l] += t[b * k + a] * self.scratch[b]


cdef inline void mirror_upper(double* a, int64_t m, int64_t stride) noexcept nogil:
    """Copy the upper triangle of a small diagonal block to the lower one."""
    cdef int64_t i, j
    for i in range(m):
        for j in range(i + 1, m):
            a[j * stride + i] = a[i * stride + j]
