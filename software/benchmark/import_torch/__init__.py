"""Models of PyTorch as checkpoints."""
