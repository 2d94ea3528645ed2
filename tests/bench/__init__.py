"""Benchmarks: each figure beside a peer's, measured in the same run, printed as a ratio."""
