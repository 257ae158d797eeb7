"""Real text through the shipped language model on the RTL: several calls, h and c handed on, golden's perplexity."""

import numpy as np
import pytest

from golden.config import preset
from golden.isa import Error, Flags
from golden.layer import Layer, pack_layer
from golden.recurrence import State
from sim.engines import registry
from sim.layers.jobs import LayerCall, decode, layer_job
from sim.protocol.base import Design
from software.benchmark.lm.golden_perplexity import golden_loss, log_losses
from software.checkpoint import KJV_MODEL, KJV_SAMPLE, load_language_model, load_tokens

SEGMENT, SEGMENTS = 4, 3
FLAGS = Flags.H_SEQ | Flags.H_PRUNED | Flags.STATE_OUT


def test_text_in_segments_on_the_rtl_has_golden_s_perplexity() -> None:
    model = load_language_model(KJV_MODEL)
    words = load_tokens(KJV_SAMPLE, len(model.embedding))[: SEGMENT * SEGMENTS + 1].astype(np.int64)
    design, engine = Design("accelerator", preset("default")), registry.get("accelerator", registry.DEFAULT)
    packed = [pack_layer(layer.w, layer.u, layer.b) for layer in model.layers]
    states: list[State | None] = [None] * len(packed)
    top = []
    for first in range(0, SEGMENT * SEGMENTS, SEGMENT):
        rows = model.embedding[words[first : first + SEGMENT]].astype(np.float32)
        for n, (layer, weights) in enumerate(zip(packed, model.layers, strict=True)):
            call = LayerCall(layer, rows, weights.threshold, flags=FLAGS, state=states[n])
            done = decode(call, engine.run(design, layer_job(call)))
            assert done.status.code == Error.NONE
            golden = Layer(layer).run(rows, weights.threshold, states[n])
            assert done.state is not None
            np.testing.assert_array_equal(done.h, golden.h_pruned)
            np.testing.assert_array_equal(done.state.c, golden.state.c)
            rows, states[n] = done.h, done.state
        top.append(rows)
    thresholds = tuple(layer.threshold for layer in model.layers)
    whole, dropped = golden_loss(model, words[:, None], thresholds, len(words))
    # all scores in one product, as golden has them: how a float32 product is summed may depend on its number of rows
    losses = log_losses(model, np.concatenate(top), words[1:])
    assert losses.mean() == pytest.approx(whole, rel=1e-12)
    assert min(dropped) > 0
