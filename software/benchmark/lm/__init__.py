"""Language models: train, prune, evaluate, export."""
