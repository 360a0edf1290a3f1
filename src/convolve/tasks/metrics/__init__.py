"""Metrics: one file each, a pure function of the file's name on NumPy arrays.

Letters: N images, at least one; K classes; logits (N, K) float64; one-label targets (N,) int64; several-label targets
(N, K) bool.
"""
