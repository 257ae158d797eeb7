"""Weights in every form that training leaves them in, and files of every kind: used, or refused by name in one line."""

import argparse
import gzip
import io
import json
import pickle
import shutil
import struct
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
torch.set_num_threads(1)

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, parametrize, prune  # noqa: E402

from golden.layer import pack_layer  # noqa: E402
from golden.reference import reference  # noqa: E402
from software.benchmark.common.network import Network  # noqa: E402
from software.benchmark.common.spelling import call_spelled, respell  # noqa: E402
from software.benchmark.import_torch.command import app, load_tensors, lstm_layers  # noqa: E402
from software.benchmark.import_torch.state import part_of  # noqa: E402
from software.benchmark.lm import files as language_files  # noqa: E402
from software.benchmark.mnist import model as mnist_model  # noqa: E402
from software.checkpoint import KJV_MODEL, MNIST_CHECKPOINT, LayerWeights, load_layers  # noqa: E402
from software.cli import UserError  # noqa: E402

Command = Callable[..., tuple[int, str, str]]
State = dict[str, Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.manual_seed(1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs import_torch; gives its exit code, stdout and stderr."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = call_spelled(app, arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


def save(saved: Any, name: str = "m.pt") -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(saved, name)
    return name


def refused(command: Command, *arguments: str) -> str:
    """The one line of error; nothing was written."""
    before = sorted(Path.cwd().rglob("*"))
    code, out, err = command(*arguments)
    assert code == 2 and not out and err.startswith("error: ") and err.count("\n") == 1, (code, out, err)
    assert sorted(Path.cwd().rglob("*")) == before
    return err


def layers_of(command: Command, *arguments: str) -> tuple[LayerWeights, ...]:
    code, _, err = command(*arguments, "-o", "c.npz")
    assert code == 0 and not err, err
    return load_layers(Path("c.npz"))


def same(layers: tuple[LayerWeights, ...], state: State, prefix: str = "") -> None:
    """That layers have the weights of nn.LSTM's own names."""
    assert sum(key.startswith(f"{prefix}weight_ih_l") for key in state) == len(layers)
    for n, layer in enumerate(layers):
        for mine, name in ((layer.w, f"weight_ih_l{n}"), (layer.u, f"weight_hh_l{n}")):
            i, f, g, o = state[prefix + name].to(torch.float32).numpy().reshape(4, layer.hidden, -1)
            np.testing.assert_array_equal(mine, np.concatenate((f, i, g, o)).astype(np.float16))


def pruned(layers: int = 2, permanent: bool = False) -> State:
    lstm = nn.LSTM(5, 8, layers)
    for n in range(layers):
        for name in (f"weight_ih_l{n}", f"weight_hh_l{n}"):
            prune.l1_unstructured(lstm, name, 0.5)
            if permanent:
                prune.remove(lstm, name)
    return lstm.state_dict()


def test_a_pruned_lstm_is_orig_times_mask_in_all_its_layers(command: Command) -> None:
    state = pruned()
    layers = layers_of(command, save(state))
    torch.manual_seed(1)
    same(layers, pruned(permanent=True))
    assert [(float((m == 0).mean())) for layer in layers for m in (layer.w, layer.u)] == [0.5] * 4
    assert "W of layer 2 is weight_ih_l1_orig x weight_ih_l1_mask" in command("m.pt")[1]


def test_only_one_matrix_pruned_is_no_shorter_network(command: Command) -> None:
    lstm = nn.LSTM(5, 8, 2)
    prune.random_unstructured(lstm, "weight_ih_l1", 0.5)
    prune.random_unstructured(lstm, "bias_hh_l1", 0.5)
    layers = layers_of(command, save(lstm.state_dict()))
    assert len(layers) == 2 and (layers[1].w == 0).mean() == 0.5


def raw(copy: Callable[[Any], Any] | None) -> State:
    """An LSTM whose recurrent weights are dropped in training, beside a copy of them."""
    state = nn.LSTM(5, 8).state_dict()
    state["weight_hh_l0_raw"] = weights = state.pop("weight_hh_l0")
    return state if copy is None else state | {"weight_hh_l0": copy(weights)}


@pytest.mark.parametrize(
    "copy",
    [
        None,
        lambda w: w,
        lambda w: nn.functional.dropout(w, 0.5),
        lambda w: w * (torch.arange(len(w)) % 3 > 0)[:, None] / 0.9,
        torch.zeros_like,
        lambda w: nn.functional.dropout(w, 0.3).half(),
        lambda w: nn.functional.dropout(w, 0.3).bfloat16(),
    ],
    ids=["none", "equal", "dropout", "rows", "zero", "half", "bfloat16"],
)
def test_raw_weights_are_taken_and_not_their_dropped_out_copy(copy: Any, command: Command) -> None:
    state = raw(copy)
    layers = layers_of(command, save(state))
    same(layers, state | {"weight_hh_l0": state["weight_hh_l0_raw"]})


@pytest.mark.parametrize("nested", ["0.rnns.0.module.weight_hh_l0_raw", "0.rnns.0.weight_hh_l0_raw"])
@pytest.mark.parametrize("name", [(), ("--name", "0.rnns.0"), ("--name", "rnns.0"), ("--name", "0.rnns.0.module")])
def test_raw_weights_beside_and_above_the_module(nested: str, name: tuple[str, ...], command: Command) -> None:
    state = nn.LSTM(5, 8).state_dict()
    saved = {f"0.rnns.0.module.{key}": value for key, value in state.items()}
    saved |= {
        nested: state["weight_hh_l0"],
        "0.rnns.0.module.weight_hh_l0": nn.functional.dropout(state["weight_hh_l0"]),
    }
    same(layers_of(command, save(saved), *name), state)


def cells(inputs: int, *sizes: int, **settings: Any) -> nn.ModuleList:
    return nn.ModuleList(nn.LSTMCell(x, h, **settings) for x, h in zip((inputs, *sizes), sizes, strict=False))


def as_layers(state: State, *prefixes: str) -> State:
    """Cells under the names of nn.LSTM."""
    return {f"{key}_l{n}": state[p + key] for n, p in enumerate(prefixes) for key in ("weight_ih", "weight_hh")}


def test_a_cell_and_a_list_of_cells_as_a_stack(command: Command) -> None:
    cell = nn.LSTMCell(5, 8)
    same(layers_of(command, save(cell.state_dict())), as_layers(cell.state_dict(), ""))
    model = nn.ModuleDict({"cells": cells(5, 8, 12, 4), "out": nn.Linear(4, 2)})
    state = model.state_dict()
    wanted = as_layers(state, "cells.0.", "cells.1.", "cells.2.")
    same(layers_of(command, save(state)), wanted)
    out = command("m.pt")[1]
    assert "stacked, from the input on: cells.0, cells.1, cells.2" in out and "left out, not of the LSTM: out" in out
    same(layers_of(command, "m.pt", "--name", "cells.1", "cells.2"), as_layers(state, "cells.1.", "cells.2."))
    state = cells(5, 8, 8, bias=False).state_dict()
    same(layers_of(command, save(state)), as_layers(state, "0.", "1."))


def test_a_pruned_stack_of_cells_computes_what_torch_computes(command: Command) -> None:
    model = cells(6, 8, 12)
    for cell in model:
        prune.l1_unstructured(cell, "weight_hh", 0.5)
        prune.l1_unstructured(cell, "bias_ih", 0.25)
    x = torch.randn(7, 1, 6)
    expected = []
    with torch.no_grad():
        states = [(torch.zeros(1, 8), torch.zeros(1, 8)), (torch.zeros(1, 12), torch.zeros(1, 12))]
        for rows in x:
            for n, cell in enumerate(model):
                states[n] = cell(states[n - 1][0] if n else rows, states[n])
            expected.append(states[1][0][0].numpy())
    found: Any = x[:, 0].numpy()
    for layer in layers_of(command, save(model.state_dict())):
        found = reference(pack_layer(layer.w, layer.u, layer.b), found, layer.threshold).h[:, : layer.hidden]
    np.testing.assert_allclose(found, np.array(expected), atol=1e-3)


def test_several_modules_make_one_checkpoint_if_their_sizes_fit(command: Command) -> None:
    model = nn.ModuleDict({"lstm1": nn.LSTM(5, 8, 2), "lstm2": nn.LSTM(8, 12), "lstm3": nn.LSTM(9, 4)})
    state = model.state_dict()
    save(state)
    assert "choose one with --name: 'lstm1', 'lstm2', 'lstm3' (several in the order" in refused(command, "m.pt")
    layers = layers_of(command, "m.pt", "--name", "lstm1", "lstm2")
    same(layers[:2], {k: v for k, v in state.items() if k.startswith("lstm1.")}, "lstm1.")
    same(layers[2:], {k: v for k, v in state.items() if k.startswith("lstm2.")}, "lstm2.")
    for arguments in (("--name", "lstm1", "lstm2", "m.pt"), ("m.pt", "--name=lstm1,lstm2")):
        assert len(layers_of(command, *arguments)) == 3
    err = refused(command, "m.pt", "--name", "lstm2", "lstm3")
    assert "lstm3.weight_ih_l0 takes 9 inputs, the layer before it has 12 units: they do not fit" in err


def test_words_after_a_name_end_at_an_option_or_a_file() -> None:
    Path("m.pt").write_bytes(b"")
    assert respell(["--name", "a", "b", "m.pt", "-o", "x"]) == ["--name", "a,b", "m.pt", "-o", "x"]
    assert respell(["m.pt", "--name", "", "--ws", ".5"]) == ["m.pt", "--name", "", "--ws", ".5"]
    Path("encoder").write_bytes(b"")
    assert respell(["m.pt", "--name", "encoder"]) == ["m.pt", "--name", "encoder"]


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 8)


STATE_OF = {
    "in a training file": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {0: {"m": torch.ones(2)}}}},
    "twice nested": lambda s: {"checkpoint": {"model": {"net": s}}},
    "by module": lambda s: {"encoder": {"lstm": s}, "decoder": {"bias": torch.ones(2)}},
    "in a list": lambda s: [s, {"lr": 0.1}],
    "in an ordered dict of another name": lambda s: {"ema_weights": OrderedDict(s)},
    "parallel and compiled": lambda s: {f"module._orig_mod.lstm.{key}": value for key, value in s.items()},
}


@pytest.mark.parametrize("kind", STATE_OF)
def test_an_lstm_is_found_wherever_it_is_nested(kind: str, command: Command) -> None:
    state = nn.LSTM(5, 8, 2).state_dict()
    same(layers_of(command, save(STATE_OF[kind](state))), state)


def test_modules_are_searched_too(command: Command) -> None:
    model = Wrapped()
    save({"model": model, "args": {"lr": 1}})
    same(layers_of(command, "m.pt", "--pickled"), model.state_dict(), "lstm.")
    save({"models": [nn.Linear(2, 2), {"best": model}]})
    same(layers_of(command, "m.pt", "--pickled"), model.state_dict(), "lstm.")


class Trainer:
    """An object that is no module, and knows itself."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.trainer, self.history = model, self, [0.1] * 3


def test_objects_are_searched_too(command: Command) -> None:
    model = Wrapped()
    for saved in (Trainer(model), {"run": Trainer(model)}, argparse.Namespace(net=model, lr=0.1)):
        same(layers_of(command, save(saved), "--pickled"), model.state_dict(), "lstm.")


def test_two_copies_of_a_model_in_one_file_are_not_one(command: Command) -> None:
    first, second = nn.LSTM(5, 8).state_dict(), nn.LSTM(5, 8).state_dict()
    save({"model": {f"lstm.{k}": v for k, v in first.items()}, "ema": {f"lstm.{k}": v for k, v in second.items()}})
    assert "choose one with --name: 'model.lstm', 'ema.lstm'" in refused(command, "m.pt")
    err = refused(command, "m.pt", "--name", "lstm")
    assert "--name lstm is the end of several names: 'model.lstm', 'ema.lstm'" in err
    same(layers_of(command, "m.pt", "--name", "ema.lstm"), second)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_all_floating_types(kind: Any, command: Command) -> None:
    state = {key: value.to(kind) for key, value in nn.LSTM(5, 8).state_dict().items()}
    same(layers_of(command, save(state)), state)


@pytest.mark.parametrize("form", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
def test_sparse_tensors_are_made_dense(form: str, command: Command) -> None:
    state = pruned(1, permanent=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(state | {key: getattr(state[key], form)() for key in ("weight_ih_l0", "weight_hh_l0")})
    same(layers_of(command, "m.pt"), state)


def with_(state: State, **changes: Any) -> State:
    """The state_dict with tensors changed, or without those that are None."""
    return {key: value for key, value in {**state, **changes}.items() if value is not None}


def lstm(layers: int = 1, **changes: Any) -> State:
    return with_(nn.LSTM(5, 8, layers).state_dict(), **changes)


def norm(of: Any, name: str = "weight_hh_l0") -> State:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return of(nn.LSTM(5, 8), name).state_dict()


def nested() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([BIAS, BIAS[:3]])


class Half(nn.Module):
    def forward(self, x: Any) -> Any:
        return x / 2


def own_parametrisation() -> State:
    module = nn.LSTM(5, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parametrize.register_parametrization(module, "weight_ih_l0", Half())
    return module.state_dict()


ONES, BIAS = torch.ones(32, 8), torch.ones(32)
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "weight norm": (
        lambda: norm(parametrizations.weight_norm),
        "weight_hh_l0 has weight norm: call torch.nn.utils.parametrize.remove_parametrizations(model, 'weight_hh_l0')",
    ),
    "old weight norm": (
        lambda: norm(nn.utils.weight_norm),
        "weight_hh_l0_g: weight_hh_l0 has weight norm: call torch.nn.utils.remove_weight_norm(model, 'weight_hh_l0')",
    ),
    "spectral norm": (
        lambda: norm(parametrizations.spectral_norm),
        "weight_hh_l0 has spectral norm: call torch.nn.utils.parametrize.remove",
    ),
    "old spectral norm": (
        lambda: norm(nn.utils.spectral_norm),
        "weight_hh_l0_u: weight_hh_l0 has spectral norm: call torch.nn.utils.remove_spectral_norm(",
    ),
    "own parametrisation": (
        own_parametrisation,
        "parametrizations.weight_ih_l0.original: weight_ih_l0 has a parametrisation: call",
    ),
    "in a module": (
        lambda: {f"a.rnn.{k}": v for k, v in norm(parametrizations.weight_norm).items()},
        "remove_parametrizations(model.a.rnn, 'weight_hh_l0')",
    ),
    "orig without mask": (
        lambda: lstm(weight_hh_l0=None, weight_hh_l0_orig=ONES),
        "weight_hh_l0_mask is missing, weight_hh_l0_orig is there",
    ),
    "mask without orig": (
        lambda: lstm(weight_hh_l0=None, weight_hh_l0_mask=ONES),
        "weight_hh_l0_orig is missing, weight_hh_l0_mask is there",
    ),
    "mask of another shape": (
        lambda: lstm(weight_hh_l0=None, weight_hh_l0_orig=ONES, weight_hh_l0_mask=BIAS),
        "weight_hh_l0_mask must have shape (32, 8), as weight_hh_l0_orig, not (32,)",
    ),
    "mask that is not applied": (
        lambda: lstm(weight_hh_l0_mask=torch.zeros(32, 8)),
        "weight_hh_l0 and weight_hh_l0_mask disagree",
    ),
    "product that is another": (
        lambda: lstm(weight_hh_l0_orig=ONES, weight_hh_l0_mask=ONES),
        "weight_hh_l0 and weight_hh_l0_orig x weight_hh_l0_mask disagree",
    ),
    "raw of another model": (lambda: raw(lambda w: torch.randn(32, 8)), "weight_hh_l0 and weight_hh_l0_raw disagree"),
    "raw and pruned": (
        lambda: raw(None) | {"weight_hh_l0_orig": ONES, "weight_hh_l0_mask": ONES},
        "are several versions of one weight",
    ),
    "one bias": (lambda: lstm(bias_hh_l0=None), "bias_hh_l0 is missing"),
    "the other bias": (lambda: lstm(bias_ih_l0=None), "bias_ih_l0 is missing"),
    "biases of one layer": (lambda: lstm(2, bias_ih_l1=None, bias_hh_l1=None), "bias_ih_l1 is missing"),
    "a gap": (
        lambda: {k: v for k, v in lstm(3).items() if not k.endswith("_l1")},
        "weight_ih_l1 is missing, layer 2 is there",
    ),
    "no first layer": (
        lambda: {k: v for k, v in lstm(2).items() if not k.endswith("_l0")},
        "weight_ih_l0 is missing, layer 1 is there",
    ),
    "a layer of one tensor": (lambda: lstm(weight_hh_l1=ONES), "weight_ih_l1 is missing"),
    "h0": (lambda: lstm(h0=torch.zeros(1, 1, 8)), "h0 is an initial state; the hardware starts from 0"),
    "c_0": (
        lambda: {f"net.lstm.{k}": v for k, v in lstm(c_0=torch.zeros(8)).items()},
        "net.lstm.c_0 is an initial state",
    ),
    "h0 beside it": (
        lambda: {"h0": torch.ones(8)} | {f"rnn.{key}": value for key, value in lstm().items()},
        "h0 is an initial state that is not 0, as the hardware's is",
    ),
    "its c0 around it": (
        lambda: {"net.lstm_c0": torch.ones(8)} | {f"net.body.lstm.{key}": value for key, value in lstm().items()},
        "net.lstm_c0 is an initial state that is not 0",
    ),
    "h0 beside the state_dict": (
        lambda: {"state_dict": {f"lstm.{key}": value for key, value in lstm().items()}, "h0": torch.ones(8)},
        "h0 is an initial state that is not 0",
    ),
    "an initial state in a list": (
        lambda: {"model": {f"lstm.{key}": value for key, value in lstm().items()}, "init_h": [1.0, 2.0]},
        "init_h is an initial state that is not 0",
    ),
    "a learned one elsewhere": (
        lambda: {"enc.learned_h0": torch.ones(8)} | {f"dec.rnn.{key}": value for key, value in lstm().items()},
        "enc.learned_h0 is an initial state that is not 0",
    ),
    "a mask as a list": (lambda: lstm(weight_hh_l0_mask=[0.0] * 8), "weight_hh_l0_mask must be a tensor, not list"),
    "a mask of lists": (lambda: lstm(weight_hh_l0_mask=[[0, 0]] * 8), "weight_hh_l0_mask.0 is not of an nn.LSTM"),
    "a scale": (lambda: lstm(scale=2.0), "scale is not of an nn.LSTM"),
    "peepholes": (lambda: lstm(weight_ci_l0=torch.zeros(8)), "weight_ci_l0 is not of an nn.LSTM"),
    "layer norm": (lambda: {**lstm(), "norm.weight": torch.zeros(8)}, "norm.weight is not of an nn.LSTM"),
    "a mask of another name": (lambda: lstm(mask_weight_hh_l0=ONES), "mask_weight_hh_l0 is not of an nn.LSTM"),
    "a pruned projection": (
        lambda: lstm(weight_hr_l0_orig=ONES, weight_hr_l0_mask=ONES),
        "weight_hr_l0_orig: the LSTM has a proj_size",
    ),
    "a pruned reverse": (
        lambda: lstm(weight_ih_l0_reverse_mask=ONES),
        "weight_ih_l0_reverse_mask: the LSTM is bidirectional",
    ),
    "meta": (lambda: lstm(weight_hh_l0=ONES.to("meta")), "weight_hh_l0 has no values (device meta)"),
    "nested tensor": (
        lambda: lstm(weight_hh_l0=nested()),
        "weight_hh_l0 is a nested tensor",
    ),
    "sparse integers": (
        lambda: lstm(weight_hh_l0=ONES.int().to_sparse()),
        "weight_hh_l0 must be floating point, not torch.int32",
    ),
    "complex": (
        lambda: lstm(weight_hh_l0=ONES.to(torch.complex64)),
        "weight_hh_l0 must be floating point, not torch.complex64",
    ),
    "a list of numbers": (lambda: lstm(weight_hh_l0=[1.0] * 8), "weight_hh_l0 must be a tensor, not list"),
    "large": (
        lambda: lstm(weight_hh_l0=ONES.double() * 1e300),
        "weight_hh_l0[0, 0] is 1e+300: |value| must be finite and at most 65504",
    ),
    "GRU cell": (
        lambda: nn.GRUCell(5, 8).state_dict(),
        "weight_hh must have 4H = 32 rows (H = 8 columns), not 24, as an nn.GRU has",
    ),
    "cells that do not fit": (
        lambda: nn.ModuleList([nn.LSTMCell(5, 8), nn.LSTMCell(5, 8)]).state_dict(),
        "1.weight_ih takes 5 inputs, the layer before it has 8 units",
    ),
    "a gap in the cells": (
        lambda: nn.Sequential(nn.LSTMCell(5, 8), nn.Tanh(), nn.LSTMCell(8, 8)).state_dict(),
        "choose one with --name: '0', '2' (several in the order",
    ),
    "a cell in an LSTM": (lambda: lstm(weight_hh=ONES), "one is of a cell, one of nn.LSTM"),
    "an unused second name": (
        lambda: {"a": {"lstm.weight_ih_l0": ONES}, "a.lstm": {"weight_ih_l0": ONES}},
        "two things in this file are called a.lstm.weight_ih_l0",
    ),
    "no LSTM": (
        lambda: nn.Linear(2, 2).state_dict(),
        "no nn.LSTM in this file: no tensor is called weight_ih_l0, or ends so; it has weight, bias",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_used_is_refused_by_name(case: str, command: Command) -> None:
    make, message = REFUSED[case]
    assert message in refused(command, save(make()))


def test_what_lies_beside_the_lstm_is_told(command: Command) -> None:
    state = {f"lstm.{key}": value for key, value in lstm().items()}
    state |= {"embedding.weight": torch.zeros(9, 5), "out.weight": ONES, "out.bias": BIAS, "h0": torch.zeros(8)}
    save({"state_dict": state, "epoch": 3, "optimizer": {"state": [{"m": ONES}]}})
    code, out, _ = command("m.pt", "--json", "r.json")
    assert code == 0 and "left out, not of the LSTM: embedding, out, h0, optimizer\n" in out
    result = json.loads(Path("r.json").read_text())
    assert result["left_out"] == ["embedding", "out", "h0", "optimizer"]
    assert result["layers"][0]["tensors"][:2] == ["lstm.weight_ih_l0", "lstm.weight_hh_l0"]


def test_numpy_arrays_are_tensors(command: Command) -> None:
    state = lstm()
    np.savez("m.npz", **{key: value.numpy() for key, value in state.items()})
    same(layers_of(command, "m.npz"), state)
    save({key: value.numpy() for key, value in state.items()})
    assert "has other objects in it (numpy." in refused(command, "m.pt")
    same(layers_of(command, "m.pt", "--pickled"), state)


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("weight_ih_l0", ("", "weight_ih", 0, False, "")),
        ("a.b.weight_hh_l12_reverse_mask", ("a.b.", "weight_hh", 12, True, "_mask")),
        ("cells.0.bias_hh", ("cells.0.", "bias_hh", None, False, "")),
        ("a.parametrizations.weight_hh_l0.original0", ("a.", "weight_hh", 0, False, ".original0")),
        ("weight_ih_l01", None),
        ("lstm.weight", None),
        ("weight_ih_l0_copy", None),
        ("myweight_ih_l0", None),
    ],
)
def test_names_are_taken_apart(name: str, parsed: tuple[Any, ...] | None) -> None:
    part = part_of(name)
    assert (part and (part.prefix, part.kind, part.layer, part.reverse, part.form)) == parsed


TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def safetensors(state: State, kind: str = "F32", change: Callable[[dict[str, Any]], None] | None = None) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, value in state.items():
        content = value.to(TYPES[kind]).contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    if change:
        change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("kind", TYPES)
def test_safetensors_are_read(kind: str, command: Command) -> None:
    state = lstm(2)
    Path("model.safetensors").write_bytes(safetensors({f"lstm.{k}": v for k, v in state.items()}, kind))
    rounded = {key: value.to(TYPES[kind]) for key, value in state.items()}
    same(layers_of(command, "model.safetensors"), rounded)
    Path("model").write_bytes(gzip.compress(Path("model.safetensors").read_bytes()))
    same(layers_of(command, "model"), rounded)


def entry(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda header: header["weight_hh_l0"].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry(data_offsets=[0, 10**9]), "weight_hh_l0, F32 of shape [32, 8], cannot lie at 0..1000000000 of "),
        (entry(data_offsets=[8, 4]), "cannot lie at 8..4"),
        (entry(data_offsets=[-4, 1020]), "weight_hh_l0 has shape [32, 8] and data_offsets -4, 1020"),
        (entry(shape=[32, 9]), "weight_hh_l0, F32 of shape [32, 9], cannot lie at"),
        (entry(shape=[True, 8]), "weight_hh_l0 has shape [True, 8]"),
        (entry(shape="32"), "weight_hh_l0 has shape 32"),
        (entry(data_offsets=5), "weight_hh_l0 lacks dtype, shape or data_offsets"),
        (entry(dtype="F4"), "weight_hh_l0 has type F4; known are F64, F32"),
        (entry(dtype=[1]), "weight_hh_l0 has type [1]"),
        (lambda header: header.update(weight_hh_l0=3), "weight_hh_l0 lacks dtype, shape or data_offsets"),
        (lambda header: header.pop("weight_hh_l0"), "its tensors overlap, or leave bytes"),
    ],
)
def test_a_damaged_safetensors_file_is_named(change: Any, message: str, command: Command) -> None:
    Path("m.safetensors").write_bytes(safetensors(lstm(), change=change))
    assert message in refused(command, "m.safetensors")


def test_every_byte_of_a_safetensors_file_belongs_to_one_tensor(command: Command) -> None:
    content = safetensors(lstm())
    for changed, message in (
        (content + b"behind", "its tensors overlap, or leave bytes between or behind them"),
        (
            safetensors(lstm(), change=lambda header: header["bias_hh_l0"].update(header["bias_ih_l0"])),
            "its tensors overlap",
        ),
        (safetensors(lstm(weight_hh_l0_mask=torch.zeros(0))), "weight_hh_l0_mask"),
        (safetensors(lstm(h0=torch.zeros(0, 8))), "h0 is an initial state"),
    ):
        Path("m.safetensors").write_bytes(changed)
        assert message in refused(command, "m.safetensors")


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("m.pt"))
    return stream.getvalue()


def onnx() -> bytes:
    """ir_version 8, producer_name, a graph with a name, an opset."""
    return b"\x08\x08\x12\x07pytorch\x3a\x06\x12\x04main\x42\x02\x10\x11"


OTHER_FILES = {
    "onnx": (onnx(), "it is an ONNX model: save the weights where the model is, torch.save(model.state_dict(), FILE)"),
    "zip": (zipped(**{"model.pt": b"1", "readme": b"2"}), "it is a zip archive (model.pt, readme): unpack it first"),
    "empty zip": (zipped(), "it is an empty zip archive"),
    "keras": (zipped(**{"model.weights.h5": b"", "config.json": b""}), "it is a Keras model: only PyTorch's nn.LSTM"),
    "package": (zipped(**{"p__.data__extern_modules": b""}), "it is a package of torch.package: save the weights"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "it is an HDF5 file, as Keras writes: only PyTorch's nn.LSTM is read"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(50), "it is a TensorFlow Lite model"),
    "gguf": (b"GGUF\3\0\0\0", "it is a GGUF model"),
    "tar": (tarred(), "it is a tar archive: unpack it first"),
    "7-zip": (b"7z\xbc\xaf\x27\x1c" + bytes(50), "it is a 7-Zip archive: unpack it first"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n", "it is a Git LFS pointer"),
    "html": (b"\n<!DOCTYPE html>\n<html>", "it is a web page, as a download that failed leaves"),
    "json": (b'{"weight_map": {}}', "it is a JSON text, the index of a model in several files; give the file that has"),
    "pickle": (
        pickle.dumps({"weight_ih_l0": 1}),
        "it is a pickle that torch.save did not write: save the weights where",
    ),
    "numpy": (b"\x93NUMPY\1\0", "it is an .npy file, one array: a model is a state_dict, its tensors by name"),
    "text": (b"weights", "it is a text"),
    "empty": (b"", "it is empty"),
    "cut gzip": (gzip.compress(bytes(1000))[:-9], "not a gzip file, or truncated or damaged"),
    "safetensors without end": (struct.pack("<Q", 99) + b"{", "not a file of torch.save, or damaged"),
    "safetensors of no JSON": (struct.pack("<Q", 4) + b"{abc", "a damaged safetensors file: its header is no JSON"),
    "safetensors, a name twice": (struct.pack("<Q", 13) + b'{"a":1,"a":2}', "a name stands there twice"),
    "deep JSON": (struct.pack("<Q", 200001) + b'{"a":' + b"[" * 199996, "its header is no JSON"),
    "random": (np.random.default_rng(1).bytes(3000), "m.pt: not a file of torch.save, or damaged"),
    "nothing": (bytes(3000), "m.pt: not a file of torch.save, or damaged"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
@pytest.mark.parametrize("trusted", [(), ("--pickled",)], ids=["", "pickled"])
def test_other_files_are_named(kind: str, trusted: tuple[str, ...], command: Command) -> None:
    content, message = OTHER_FILES[kind]
    Path("m.pt").write_bytes(content)
    err = refused(command, "m.pt", *trusted)
    assert "m.pt" in err or kind == "pickle"
    assert message in err or (kind, trusted) == ("pickle", ("--pickled",))


def test_a_checkpoint_and_a_folder_say_what_to_do(command: Command) -> None:
    assert command(save(lstm()))[0] == 0
    assert "m.npz is a checkpoint already: python -m sim.run layer m.npz" in refused(command, "m.npz", "-o", "n.npz")
    Path("hub").mkdir()
    Path("hub/model.safetensors").write_bytes(b"")
    assert "hub: Is a directory; name the file in it: model.safetensors" in refused(command, "hub")


def test_torchscript_is_read_if_trusted(command: Command) -> None:
    model = nn.LSTM(5, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Sequential(model)), "m.pt")
    assert "m.pt is a TorchScript archive; loading it may run code from the file" in refused(command, "m.pt")
    same(layers_of(command, "m.pt", "--pickled"), model.state_dict())


def test_an_exported_program_is_read_if_trusted(command: Command) -> None:
    model = nn.LSTM(5, 8).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(model, (torch.zeros(3, 1, 5),)), "m.pt2")
    assert "m.pt2 is a program of torch.export; loading it may run code" in refused(command, "m.pt2")
    same(layers_of(command, "m.pt2", "--pickled"), model.state_dict())


def test_the_models_of_the_benchmarks_are_known_by_their_content() -> None:
    made = mnist_model.Model(Network(28, 8, 2, 10), (0.1, 0.2))
    Path("m.npz").write_bytes(made.to_bytes())
    assert mnist_model.load_model(Path("m.npz")).thresholds == (0.1, 0.2)
    shutil.copy(MNIST_CHECKPOINT, "m.pt")
    assert mnist_model.load_model(Path("m.pt")).network.hidden == 128
    shutil.copy(KJV_MODEL, "m.pt")
    assert language_files.load_model(Path("m.pt")).net.size.nhid == 200
    Path("m.pt").write_bytes(safetensors(lstm()))
    for load in (mnist_model.load_model, language_files.load_model):
        with pytest.raises(
            UserError, match="it is a safetensors file: python -m software.benchmark.import_torch makes"
        ):
            load(Path("m.pt"))


def test_the_models_of_the_benchmarks_may_be_sparse_but_not_empty() -> None:
    network = Network(28, 8, 2, 10)
    weights = network.state_dict()
    saved = {"weights": weights | {"out.weight": weights["out.weight"].to_sparse()}, "thresholds": [0.0, 0.0]}
    found = mnist_model.load_model(Path(save(saved))).network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    saved["weights"] = weights | {"out.weight": weights["out.weight"].to("meta")}
    with pytest.raises(UserError, match="m.pt: out.weight has no values"):
        mnist_model.load_model(Path(save(saved)))
    net = language_files.LanguageNet(language_files.Size(12, 8, 8, 2, True))
    stream = torch.load(io.BytesIO(language_files.model_bytes(language_files.Model(net, None, None, {}))))
    stream["net"]["lstm.weight_hh_l0"] = stream["net"]["lstm.weight_hh_l0"].to("meta")
    with pytest.raises(UserError, match="m.pt: lstm.weight_hh_l0 has no values"):
        language_files.load_model(Path(save(stream)))


def test_models_of_a_later_version_are_refused_and_those_of_0_1_read() -> None:
    old = {"weights": Network(28, 8, 2, 10).state_dict(), "thresholds": [0.0, 0.0], "history": "[]"}
    assert mnist_model.load_model(Path(save(old))).network.hidden == 8
    new = torch.load(io.BytesIO(mnist_model.load_model(Path(save(old))).to_bytes()))
    assert new["format"] == "elstm mnist model 1" and mnist_model.load_model(Path(save(new))).network.hidden == 8
    net = language_files.LanguageNet(language_files.Size(12, 8, 8, 2, True))
    text = torch.load(io.BytesIO(language_files.model_bytes(language_files.Model(net, None, None, {}))))
    for saved, load in ((new, mnist_model.load_model), (text, language_files.load_model)):
        later = saved["format"].replace("1", "2")
        path = Path(save(saved | {"format": later}))
        with pytest.raises(UserError) as error:
            load(path)
        assert (
            str(error.value)
            == f"{path}: {later}, written by a later version of elstm; this one reads {saved['format']}"
        )


@pytest.mark.parametrize("suffix", ["pt", "pth.tar", "bin", "ckpt", "gz"])
def test_the_name_of_a_file_does_not_matter(suffix: str, command: Command) -> None:
    state = lstm()
    torch.save(state, "m", _use_new_zipfile_serialization=suffix == "ckpt")
    content = Path("m").read_bytes()
    Path(f"m.{suffix}").write_bytes(gzip.compress(content) if suffix == "bin" else content)
    same(layers_of(command, f"m.{suffix}"), state)


def test_a_weight_that_was_damaged_on_the_way_is_no_weight(command: Command) -> None:
    state = lstm()
    save(state)
    content = bytearray(Path("m.pt").read_bytes())
    content[content.find(state["weight_hh_l0"].numpy().tobytes())] ^= 64
    Path("m.pt").write_bytes(content)
    assert "m.pt: not a file of torch.save, or damaged" in refused(command, "m.pt")
    checksums = getattr(torch.serialization, "set_crc32_options", lambda on: None)
    checksums(False)
    try:
        same(layers_of(command, save(state)), state)
    finally:
        checksums(True)


def test_a_mapping_in_itself_is_one_line() -> None:
    saved: State = {"weight_ih_l0": ONES}
    saved["model"] = saved
    save(saved)
    with pytest.raises(UserError, match="nested more than 40 deep"):
        lstm_layers(load_tensors(Path("m.pt")))
