"""The MNIST benchmark: ``python -m software.benchmark.mnist {train,prune,retrain,eval,export,reproduce}`` and more.

A 2 x 128 LSTM reads a digit row by row. ``train``, ``prune`` and ``retrain`` each write a model (.pt) that the next one
takes; ``eval`` tests a model or a checkpoint, in PyTorch or on the bit-exact integer model; ``export`` writes the fp16
checkpoint (.npz) for the tools and the RTL, and C headers. ``reproduce`` does it all as the shipped networks were made;
``networks`` tests them as they are run, ``adopt`` takes one that was trained elsewhere.
The option spellings of the original's programs are taken too (software/benchmark/common/spelling.py).
"""

import sys
from collections.abc import Callable

from software.cli import SETTINGS, new_app
from software.extras import no_torch

try:
    from software.benchmark.mnist import eval as mnist_eval
    from software.benchmark.mnist import shipped_networks
    from software.benchmark.mnist import train as mnist_train
    from software.benchmark.mnist.reproduce import reproduce
except ModuleNotFoundError as missing:
    if missing.name != "torch":
        raise
    sys.exit(no_torch())

app = new_app(help="Train, prune, retrain, evaluate and export the MNIST network.")
_COMMANDS: dict[str, Callable[..., None]] = {
    "train": mnist_train.train,
    "prune": mnist_train.prune,
    "retrain": mnist_train.retrain,
    "eval": mnist_eval.evaluation,
    "export": mnist_eval.export,
    "reproduce": reproduce,
    "networks": shipped_networks.networks,
    "adopt": shipped_networks.adopt,
}
for _name, _function in _COMMANDS.items():
    app.command(_name, context_settings=SETTINGS)(_function)
