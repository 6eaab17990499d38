"""BLAS with one thread while ours run, and as it was afterwards."""

from __future__ import annotations

from mixedeffects.algebra import blas_threads


def counts():
    return [get() for get, _ in blas_threads._controls()]


def test_one_thread_meanwhile_and_as_before_afterwards():
    before = counts()
    for _get, put in blas_threads._controls():
        put(2)
    two = counts()
    with blas_threads.single_threaded_blas():
        assert set(counts()) <= {1}
        with blas_threads.single_threaded_blas():
            assert set(counts()) <= {1}
        assert set(counts()) <= {1}
    assert counts() == two
    for (_, put), count in zip(blas_threads._controls(), before, strict=True):
        put(count)


def test_another_blas_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas_threads, "_libraries", lambda: iter(()))
    blas_threads._controls.cache_clear()
    with blas_threads.single_threaded_blas():
        assert counts() == []
    blas_threads._controls.cache_clear()
