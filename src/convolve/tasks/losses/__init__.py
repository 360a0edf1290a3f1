"""Losses: one file each, a function of the file's name, (N, K) outputs -> (N,) float32 losses."""
