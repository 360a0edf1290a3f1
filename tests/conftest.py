import os

# Test processes share the processors; threads of their own would only wait for one another. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
