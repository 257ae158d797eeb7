"""Language models: embedding, LSTM layers, output layer. ``python -m software.benchmark.lm COMMAND``.

    python -m software.benchmark.lm train --data kjv -emsize 200 -nhid 200 --tied
    python -m software.benchmark.lm eval

``train``, ``prune`` and ``retrain`` each write a model (.pt) that the next one takes; ``eval`` tests a model or a
checkpoint; ``export`` writes the fp16 checkpoint (.npz). Weights are pruned by magnitude to the exact count, biases
never. Epochs and thresholds are chosen on the valid text. The option spellings of the original's programs are taken
too (software/benchmark/common/spelling.py).
"""

import sys
from collections.abc import Sequence

from software.benchmark.common.spelling import call_spelled
from software.extras import no_torch

try:
    import torch

    from software.benchmark.lm import eval as lm_eval
    from software.benchmark.lm import train as lm_train
    from software.benchmark.lm.options import make_app
except ModuleNotFoundError as missing:
    if missing.name != "torch":
        raise
    sys.exit(no_torch())

app = make_app(
    {
        "train": lm_train.train,
        "prune": lm_train.prune,
        "retrain": lm_train.retrain,
        "eval": lm_eval.evaluation,
        "export": lm_eval.export,
    },
    help="Train, prune, retrain, evaluate and export language models.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, 2 with one line for what the user can put right, 130 after Ctrl-C."""
    torch.set_num_threads(1)
    return call_spelled(app, arguments)
