"""The MNIST benchmark: train, prune, evaluate, export."""
