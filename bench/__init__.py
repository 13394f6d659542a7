"""Benchmarks: each prints units, bar, baseline of the same run, machine and parameters (docs/performance.md)."""
