"""What the benchmarks share: options, checkpoints, training."""
