"""The benchmarks: the only place for PyTorch."""
