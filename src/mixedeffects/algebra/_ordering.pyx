# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Approximate minimum degree on a quotient graph, stopped where a dense block is cheaper.

Amestoy, Davis and Duff (1996), SIAM J. Matrix Anal. Appl. 17, 886-905: eliminated vertices
become elements, a degree is bounded by the parts of its elements outside the last one.
"""
import numpy as np

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc, realloc

# Nanoseconds an entry costs in the scattered updates of a leading vertex (factor and
# selected inverse), and flops a nanosecond in LAPACK at its best, with the size at which
# half of that is reached: measured on two cores with AVX-512, they need only be right
# within a factor of two.
cdef double SCATTER = 1.5
cdef double PEAK = 80.0
cdef double HALF = 600.0
# A dense block above this size would not fit beside its inverse in a workstation's memory.
cdef double LARGEST = 16000.0


cdef struct Graph:
    int64_t n
    int32_t* size
    int64_t* ptr
    int32_t* adjacent
    int32_t* n_elements
    int32_t* n_adjacent
    int64_t* degree
    int32_t* head
    int32_t* next
    int32_t* previous
    int64_t* element_ptr
    int64_t* element_end
    int64_t* element_size
    int64_t* outside
    int64_t* stamp
    char* state
    int32_t* elements
    int64_t used
    int64_t room
    int64_t remaining


def order(int64_t[::1] ptr, int32_t[::1] adjacent, int32_t[::1] size,
          int64_t first, int64_t last):
    """Elimination order of a graph's vertices and the pattern of those eliminated sparsely.

    ``adjacent`` (symmetric, without the diagonal) is consumed as workspace.  The vertices
    ``first`` to ``last``, no two of them adjacent, are considered before all others.  Returns
    ``(leading, struct_ptr, struct_vertices)``: the vertices in the order in which they are
    eliminated one by one, and the later neighbours of each; the others form a dense block.
    """
    cdef Graph g
    cdef int64_t n = size.shape[0], i, j, total = 0
    leading = np.empty(n, dtype=np.int32)
    pointers = np.empty(n + 1, dtype=np.int64)
    cdef int32_t[::1] leading_view = leading
    cdef int64_t[::1] pointer_view = pointers
    for i in range(n):
        total += size[i]
    if not allocate(&g, n, total, adjacent.shape[0] + 1024):
        release(&g)
        raise MemoryError("not enough memory to order the levels of the random effects")
    g.n = n
    g.size = &size[0]
    g.ptr = &ptr[0]
    g.adjacent = &adjacent[0] if adjacent.shape[0] else NULL
    g.remaining = total
    try:
        with nogil:
            start(&g, total)
            pointer_view[0] = 0
            i = eliminate_independent(&g, &leading_view[0], &pointer_view[0], first, last)
            if i >= 0:
                for j in range(n):
                    if g.state[j] == 0:
                        join(&g, <int32_t> j)
                i = eliminate(&g, &leading_view[0], &pointer_view[0], total, i)
        if i < 0:
            raise MemoryError("not enough memory to order the levels of the random effects")
        rows = np.empty(g.used, dtype=np.int32)
        copy_out(rows, &g)
    finally:
        release(&g)
    return leading[:i].copy(), pointers[: i + 1].copy(), rows


cdef void copy_out(int32_t[::1] rows, Graph* g):
    cdef int64_t i
    for i in range(g.used):
        rows[i] = g.elements[i]


cdef bint allocate(Graph* g, int64_t n, int64_t total, int64_t room):
    g.n_elements = <int32_t*> malloc(n * 4)
    g.n_adjacent = <int32_t*> malloc(n * 4)
    g.degree = <int64_t*> malloc(n * 8)
    g.head = <int32_t*> malloc((total + 1) * 4)
    g.next = <int32_t*> malloc(n * 4)
    g.previous = <int32_t*> malloc(n * 4)
    g.element_ptr = <int64_t*> malloc(n * 8)
    g.element_end = <int64_t*> malloc(n * 8)
    g.element_size = <int64_t*> malloc(n * 8)
    g.outside = <int64_t*> malloc(n * 8)
    g.stamp = <int64_t*> malloc(n * 8)
    g.state = <char*> malloc(n)
    g.elements = <int32_t*> malloc(room * 4)
    g.room = room
    g.used = 0
    return (g.n_elements and g.n_adjacent and g.degree and g.head and g.next and g.previous
            and g.element_ptr and g.element_end and g.element_size and g.outside and g.stamp
            and g.state and g.elements)


cdef void release(Graph* g):
    free(g.n_elements)
    free(g.n_adjacent)
    free(g.degree)
    free(g.head)
    free(g.next)
    free(g.previous)
    free(g.element_ptr)
    free(g.element_end)
    free(g.element_size)
    free(g.outside)
    free(g.stamp)
    free(g.state)
    free(g.elements)


cdef void start(Graph* g, int64_t total) noexcept nogil:
    cdef int64_t i
    for i in range(total + 1):
        g.head[i] = -1
    for i in range(g.n):
        g.n_elements[i] = 0
        g.n_adjacent[i] = <int32_t> (g.ptr[i + 1] - g.ptr[i])
        g.stamp[i] = -1
        g.outside[i] = -1
        g.state[i] = 0  # 0 a variable, 1 an element, 2 absorbed


cdef int64_t eliminate_independent(
    Graph* g, int32_t* leading, int64_t* pointers, int64_t first, int64_t last
) noexcept nogil:
    """Eliminate vertices that never touch one another: no degree changes what follows."""
    cdef int64_t p, j, d, count = 0, rest = g.remaining
    for p in range(first, last):
        rest -= g.size[p]
    for p in range(first, last):
        d = 0
        for j in range(g.ptr[p], g.ptr[p + 1]):
            d += g.size[g.adjacent[j]]
        if not sparse_pays(<double> d, <double> rest):
            continue
        if not form_element(g, <int32_t> p):
            return -1
        leading[count] = <int32_t> p
        count += 1
        pointers[count] = g.used
        g.remaining -= g.size[p]
    return count


cdef void join(Graph* g, int32_t v) noexcept nogil:
    """Sort v's list into elements and variables; enter v under its exact degree."""
    cdef int64_t at, i, d = 0, kept = g.ptr[v], mark = g.n + v
    cdef int32_t w
    for at in range(g.ptr[v], g.ptr[v + 1]):
        w = g.adjacent[at]
        if g.state[w] == 1:
            g.adjacent[at] = g.adjacent[kept]
            g.adjacent[kept] = w
            kept += 1
            for i in range(g.element_ptr[w], g.element_end[w]):
                if g.stamp[g.elements[i]] != mark:
                    g.stamp[g.elements[i]] = mark
                    d += g.size[g.elements[i]]
        elif g.stamp[w] != mark:
            g.stamp[w] = mark
            d += g.size[w]
    g.n_elements[v] = <int32_t> (kept - g.ptr[v])
    g.n_adjacent[v] = <int32_t> (g.ptr[v + 1] - kept)
    if g.stamp[v] == mark:
        d -= g.size[v]
    link(g, v, d)


cdef inline void link(Graph* g, int32_t i, int64_t d) noexcept nogil:
    g.degree[i] = d
    g.previous[i] = -1
    g.next[i] = g.head[d]
    if g.head[d] >= 0:
        g.previous[g.head[d]] = i
    g.head[d] = i


cdef inline void unlink(Graph* g, int32_t i) noexcept nogil:
    if g.previous[i] >= 0:
        g.next[g.previous[i]] = g.next[i]
    else:
        g.head[g.degree[i]] = g.next[i]
    if g.next[i] >= 0:
        g.previous[g.next[i]] = g.previous[i]


cdef inline bint sparse_pays(double degree, double remaining) noexcept nogil:
    cdef double dense = 3.0 * remaining * (remaining + HALF) / PEAK
    return SCATTER * degree * degree < dense or remaining > LARGEST


cdef int64_t eliminate(
    Graph* g, int32_t* leading, int64_t* pointers, int64_t total, int64_t count
) noexcept nogil:
    cdef int64_t d = 0
    cdef int32_t p
    while count < g.n:
        while d <= total and g.head[d] < 0:
            d += 1
        if d > total or not sparse_pays(<double> d, <double> g.remaining):
            return count
        p = g.head[d]
        unlink(g, p)
        if not form_element(g, p):
            return -1
        leading[count] = p
        count += 1
        pointers[count] = g.used
        g.remaining -= g.size[p]
        update_neighbours(g, p, &d)
    return count


cdef bint form_element(Graph* g, int32_t p) noexcept nogil:
    """The vertices that p still touches, directly or through elements, become element p."""
    cdef int64_t at, e, i, first = g.used
    cdef int32_t v
    cdef int64_t most = g.n_adjacent[p]
    for at in range(g.ptr[p], g.ptr[p] + g.n_elements[p]):
        e = g.adjacent[at]
        most += g.element_end[e] - g.element_ptr[e]
    if not reserve(g, most):
        return False
    g.element_size[p] = 0
    g.stamp[p] = p
    g.state[p] = 1
    for at in range(g.ptr[p], g.ptr[p] + g.n_elements[p]):
        e = g.adjacent[at]
        for i in range(g.element_ptr[e], g.element_end[e]):
            take(g, g.elements[i], p)
        g.state[e] = 2
    at = g.ptr[p] + g.n_elements[p]
    for i in range(at, at + g.n_adjacent[p]):
        take(g, g.adjacent[i], p)
    g.element_ptr[p] = first
    g.element_end[p] = g.used
    return True


cdef inline void take(Graph* g, int32_t v, int32_t p) noexcept nogil:
    if g.stamp[v] != p and g.state[v] == 0:
        g.stamp[v] = p
        g.elements[g.used] = v
        g.used += 1
        g.element_size[p] += g.size[v]


cdef bint reserve(Graph* g, int64_t more) noexcept nogil:
    cdef int32_t* larger
    if g.used + more <= g.room:
        return True
    g.room = 2 * (g.used + more)
    larger = <int32_t*> realloc(g.elements, g.room * 4)
    if larger == NULL:
        return False
    g.elements = larger
    return True


cdef void update_neighbours(Graph* g, int32_t p, int64_t* least) noexcept nogil:
    cdef int64_t at, i, e, d, bound
    cdef int32_t v
    # outside[e] becomes the size of element e outside element p.
    for at in range(g.element_ptr[p], g.element_end[p]):
        v = g.elements[at]
        for i in range(g.ptr[v], g.ptr[v] + g.n_elements[v]):
            e = g.adjacent[i]
            if g.state[e] == 1:
                if g.stamp[e] != p:
                    g.stamp[e] = p
                    g.outside[e] = g.element_size[e]
                g.outside[e] -= g.size[v]
    for at in range(g.element_ptr[p], g.element_end[p]):
        v = g.elements[at]
        unlink(g, v)
        d = g.element_size[p] - g.size[v]
        bound = g.degree[v] + d
        d += compress(g, v, p)
        if d > bound:
            d = bound
        if d > g.remaining - g.size[v]:
            d = g.remaining - g.size[v]
        link(g, v, d)
        if d < least[0]:
            least[0] = d


cdef int64_t compress(Graph* g, int32_t v, int32_t p) noexcept nogil:
    """Drop what element p covers from v's lists, append p; v's degree outside p.

    The lists never outgrow their place: v touched p itself, or an element that p absorbed.
    """
    cdef int64_t at, first = g.ptr[v], kept = g.ptr[v], variables, d = 0
    cdef int64_t last = first + g.n_elements[v] + g.n_adjacent[v]
    cdef int32_t w
    for at in range(first, first + g.n_elements[v]):
        w = g.adjacent[at]
        if g.state[w] == 1:
            if g.outside[w] > 0:
                g.adjacent[kept] = w
                kept += 1
                d += g.outside[w]
            else:
                g.state[w] = 2
    variables = kept
    for at in range(first + g.n_elements[v], last):
        w = g.adjacent[at]
        if g.state[w] == 0 and g.stamp[w] != p:
            g.adjacent[kept] = w
            kept += 1
            d += g.size[w]
    g.adjacent[kept] = g.adjacent[variables]
    g.adjacent[variables] = p
    g.n_elements[v] = <int32_t> (variables - first) + 1
    g.n_adjacent[v] = <int32_t> (kept - variables)
    return d
