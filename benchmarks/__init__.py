"""The numbers in docs/performance.md: one script each, regard and the alternative in one run.

`python -m benchmarks` runs them all and writes the page again; `python -m benchmarks.rollout`
runs one.
"""
