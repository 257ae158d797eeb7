"""MNIST digits through the RTL: networks, the whole SoC, what a program must leave."""
