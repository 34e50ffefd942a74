"""Speeds beside those of peers: ``make bench`` measures all and writes docs/benchmarks.md.

Every peer runs in the same minutes on the same machine, in processes of its own, and the figure
is a ratio: machines differ, ratios travel. The benches drive the real stack of ``make up``.
"""
