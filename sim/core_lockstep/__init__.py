"""The core against Spike, instruction by instruction."""
