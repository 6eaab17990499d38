"""Tests and intervals, one method a file."""
