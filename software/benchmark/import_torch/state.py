"""The recurrent modules of a state_dict by name, and the values of each weight, in whatever form it was saved.

A weight is one tensor, or the product of NAME_orig and NAME_mask (torch.nn.utils.prune), or NAME_raw (weights dropped
in training, as AWD-LSTM does), each perhaps beside NAME itself, with which it must agree. Weight and spectral norm are
refused. So is every other tensor below a module's name: nothing is left out in silence.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from software.benchmark.import_torch.files import flatten, inside
from software.cli import UserError

NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Where training scripts keep the state_dict inside a larger file; these are no part of a module's name."""
NAME = re.compile(
    r"(?P<prefix>(?:.*?\.)??)(?P<wrapped>parametrizations\.)?"
    r"(?P<kind>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(?:_l(?P<layer>0|[1-9]\d{0,4}))?(?P<reverse>_reverse)?"
    r"(?P<form>_orig|_mask|_raw|_g|_v|_u|\..+)?"
)
"""Of a weight of nn.LSTM, or without a layer of nn.LSTMCell, in any form."""
INITIAL = re.compile(
    r"((init(ial)?|learned)_)?(h|c|hidden|cell|state)(_?0|x|_?init)(_l\d+)?|(init(ial)?|learned)_(h|c|hidden|cell|state)(_state)?"
)
"""What people call a tensor with which h or c begins."""
COPY_ERROR = 2.0**-8, 2.0**-24
"""Largest difference between a dropped-out copy and its scaled original, relative (bf16) and absolute (fp16)."""


@dataclass(frozen=True)
class Part:
    """A tensor's name, taken apart: lstm.weight_hh_l1_orig is weight_hh of layer 1 of lstm, form _orig.

    layer: None in a cell; form: empty for the weight itself, begins with a dot for parts of a parametrisation.
    """

    prefix: str
    kind: str
    layer: int | None
    reverse: bool
    form: str

    @property
    def base(self) -> str:
        """The weight's own name, without prefix and form."""
        return self.kind + ("" if self.layer is None else f"_l{self.layer}") + ("_reverse" if self.reverse else "")


def part_of(name: str) -> Part | None:
    """None for a name that is not of a recurrent module."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    layer = None if found["layer"] is None else int(found["layer"])
    return Part(found["prefix"], found["kind"], layer, found["reverse"] is not None, found["form"] or "")


@dataclass
class Module:
    """A recurrent module: its prefix, with the dot; names: of its tensors, by base and form."""

    prefix: str
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.prefix.removesuffix(".")

    @property
    def layers(self) -> list[int | None]:
        """None of a cell."""
        return sorted({part.layer for part in self.parts.values()}, key=lambda n: -1 if n is None else n)

    @property
    def is_cell(self) -> bool:
        return self.layers == [None]

    @property
    def has_biases(self) -> bool:
        return any(part.kind in ("bias_ih", "bias_hh") for part in self.parts.values())


def find_state(saved: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that lies in the one state_dict of a file by name, and all that lies beside it.

    A key of ``NESTED`` is no part of the names where only what is below it has recurrent modules.
    """
    beside: dict[str, Any] = {}
    while not isinstance(saved, torch.nn.Module) and (held := inside(saved)) is not None:
        holders = [key for key, value in held.items() if any(map(part_of, flatten({key: value})))]
        if len(holders) != 1 or holders[0] not in NESTED or inside(held[holders[0]]) is None:
            break
        beside |= flatten({key: value for key, value in held.items() if key != holders[0]})
        saved = held[holders[0]]
    return flatten(saved), beside


def modules_of(tensors: Mapping[str, Any]) -> list[Module]:
    """Every module with recurrent weights, in the order of the file."""
    found: dict[str, Module] = {}
    for name in tensors:
        part = part_of(name)
        if part:
            module = found.setdefault(part.prefix, Module(part.prefix))
            module.names.setdefault(part.base, {})[part.form] = name
            module.parts[name] = part
    for prefix, module in list(found.items()):
        # fastai keeps the raw weights of PREFIX.module in PREFIX
        wrapped = found.get(f"{prefix}module.")
        if wrapped and all(part.form == "_raw" for part in module.parts.values()):
            wrapped.parts |= module.parts
            for base, names in module.names.items():
                wrapped.names[base] = names | wrapped.names.get(base, {})
            del found[prefix]
    return list(found.values())


def stacks_of(modules: Sequence[Module]) -> dict[str, list[Module]]:
    """Lists of modules, PREFIX.0, PREFIX.1, ... without a gap, by the list's name."""
    lists: dict[tuple[str, str], dict[int, Module]] = {}
    for module in modules:
        found = re.fullmatch(r"((?:.*\.)?)(\d{1,5})\.((?:[^.\d][^.]*\.)*)", module.prefix)
        if found:
            lists.setdefault((found[1].removesuffix("."), found[3]), {})[int(found[2])] = module
    several = Counter(name for name, _ in lists)
    return {
        name: [members[n] for n in range(len(members))]
        for (name, _), members in lists.items()
        if several[name] == 1 and len(members) > 1 and set(members) == set(range(len(members)))
    }


def chosen_modules(tensors: Mapping[str, Any], asked: Sequence[str] | None) -> list[Module]:
    """The modules that were asked for, in that order, or the only one, or the only list of cells, as a stack.

    Raises UserError with the names that there are.
    """
    modules = modules_of(tensors)
    if not modules:
        quantised = any("_all_weight_values" in key or "_packed_params" in key for key in tensors)
        why = "its modules are quantised: save it as it was before" if quantised else f"it has {some_of(list(tensors))}"
        raise UserError(f"no nn.LSTM in this file: no tensor is called weight_ih_l0, or ends so; {why}")
    stacks = stacks_of(modules)
    cells = {name: members for name, members in stacks.items() if all(module.is_cell for module in members)}
    inside = [module for members in cells.values() for module in members]
    known = {module.name: [module] for module in modules if module not in inside} | cells
    if asked is None and len(known) == 1:
        return next(iter(known.values()))
    listed = ", ".join(map(repr, known))
    if asked is None:
        raise UserError(
            f"{len(known)} recurrent modules in this file: choose one with --name: {listed} (several in the order of "
            "their data make one checkpoint)"
        )
    known = {module.name: [module] for module in modules} | stacks | known
    chosen: list[Module] = []
    for name in asked:
        match = [one for one in known if name in (one, one.removesuffix(".module"))] or [
            one for one in known if name and f".{one}".removesuffix(".module").endswith(f".{name}")
        ]
        if not match:
            raise UserError(f"--name must be one of {listed}, not {name!r}")
        if len(match) > 1:
            raise UserError(f"--name {name} is the end of several names: {', '.join(map(repr, match))}")
        chosen += known[match[0]]
    return chosen


def some_of(names: Sequence[str], most: int = 8) -> str:
    """The first of many names, for a message."""
    return (", ".join(names[:most]) or "nothing") + (", ..." if len(names) > most else "")


def left_out(chosen: Sequence[Module], tensors: Mapping[str, Any], beside: Mapping[str, Any]) -> list[str]:
    """What of a file is in no module that was chosen: modules with tensors, and tensors of no module."""
    used = {name for module in chosen for name in module.parts}
    inside = [name for name, value in tensors.items() if name not in used and is_numbers(value)]
    outside = [name.partition(".")[0] for name, value in beside.items() if is_numbers(value)]
    return list(dict.fromkeys([*(name.rpartition(".")[0] or name for name in inside), *outside]))


def check_parts(module: Module, tensors: Mapping[str, Any]) -> None:
    """Raise UserError for what the hardware has not, a gap in the layers, and every tensor that would not be used."""
    for name, part in module.parts.items():
        if part.reverse:
            raise UserError(f"{name}: the LSTM is bidirectional; the hardware runs forward only")
        if part.kind == "weight_hr":
            raise UserError(f"{name}: the LSTM has a proj_size; the hardware has no projection of h")
    prefixes = {other.prefix for other in modules_of(tensors)} - {module.prefix}
    elsewhere = [prefix for prefix in prefixes if prefix.startswith(module.prefix)]
    for name, value in tensors.items():
        is_other = any(name.startswith(prefix) for prefix in elsewhere)
        if name.startswith(module.prefix) and name not in module.parts and not is_other and is_data(value):
            is_state = INITIAL.fullmatch(name.rpartition(".")[2])
            what = "an initial state; the hardware starts from 0" if is_state else "not of an nn.LSTM"
            raise UserError(f"{name} is {what}: a model that needs it cannot be run, else save it without")
        if is_initial(name, module):
            check_zero(name, value)
    if None in module.layers and not module.is_cell:
        raise UserError(f"{module.prefix}weight_ih and {module.prefix}weight_ih_l0: one is of a cell, one of nn.LSTM")
    for number, layer in enumerate(module.layers):
        if layer not in (None, number):
            raise UserError(f"{module.prefix}weight_ih_l{number} is missing, layer {layer} is there")


def is_initial(name: str, module: Module) -> bool:
    """Whether a tensor, or what it lies in, is called h0 or the like, or NAME_h0, and is in no recurrent module."""
    own = module.name.rpartition(".")[2]
    return (
        module.prefix != ""
        and not name.startswith(module.prefix)
        and any(INITIAL.fullmatch(word.removeprefix(f"{own}_")) for word in name.split("."))
    )


def check_zero(name: str, value: Any) -> None:
    """Raise UserError for an initial state that is not 0."""
    array = np.array(value) if isinstance(value, float) or _are_numbers(value) else value
    if is_numbers(array) and tensor_of(name, array).to(torch.float32).any():
        raise UserError(f"{name} is an initial state that is not 0, as the hardware's is: save it without")


def check_beside(beside: Mapping[str, Any]) -> None:
    """Raise UserError for an initial state that lies beside the state_dict."""
    for name, value in beside.items():
        if any(map(INITIAL.fullmatch, name.split("."))):
            check_zero(name, value)


def is_numbers(value: Any) -> bool:
    """Whether a value is a tensor or an array."""
    return isinstance(value, torch.Tensor | np.ndarray)


def is_data(value: Any) -> bool:
    """Whether a value is a tensor or an array, or numbers that stand for one; sizes and names are not."""
    return is_numbers(value) or isinstance(value, float) or _are_numbers(value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(v, int | float) for v in value)


def tensor_of(name: str, value: Any) -> torch.Tensor:
    """The values of a tensor or array, none of them left out: sparse ones are made dense. Raises UserError."""
    try:
        tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        if not isinstance(tensor, torch.Tensor):
            raise UserError(f"{name} must be a tensor, not {type(value).__name__}")
        if tensor.is_meta:
            raise UserError(f"{name} has no values (device meta): save the model with its weights loaded")
        if tensor.is_complex() or tensor.is_quantized:
            raise UserError(f"{name} must be floating point, not {tensor.dtype}")
        if tensor.is_nested:
            raise UserError(f"{name} is a nested tensor; a weight has one shape")
        return tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise UserError(f"{name} cannot be read: {str(error).splitlines()[0][:200]}") from None


def float_of(name: str, value: Any) -> torch.Tensor:
    """``tensor_of`` for a weight. Raises UserError."""
    tensor = tensor_of(name, value)
    if not tensor.is_floating_point():
        raise UserError(f"{name} must be floating point, not {tensor.dtype}")
    return tensor


def weight(module: Module, base: str, tensors: Mapping[str, Any]) -> tuple[torch.Tensor, str] | None:
    """The values of one weight, and what they come from; None if the module has nothing of it. Raises UserError."""
    names = module.names.get(base)
    if names is None:
        return None
    plain = module.prefix + base
    _check_forms(plain, names)
    if "_orig" in names:
        value = _product(names["_orig"], names["_mask"], tensors)
        text = f"{names['_orig']} x {names['_mask']}"
        if "" in names and not _same(float_of(plain, tensors[plain]), value):
            raise UserError(f"{plain} and {text} disagree: leave out the one that is not meant")
        return value, text
    if "_mask" in names:
        value = float_of(plain, tensors[plain])
        if not _same(value, _product(plain, names["_mask"], tensors)):
            raise UserError(f"{plain} and {names['_mask']} disagree: it is not 0 where the mask is: leave one out")
        return value, plain
    if "_raw" in names:
        value = float_of(names["_raw"], tensors[names["_raw"]])
        if "" in names and not _dropped_out(float_of(plain, tensors[plain]), value):
            raise UserError(
                f"{plain} and {names['_raw']} disagree, it is no dropped-out copy: leave out the one that is not meant"
            )
        return value, names["_raw"]
    return float_of(plain, tensors[plain]), plain


def _check_forms(plain: str, names: Mapping[str, str]) -> None:
    """Raise UserError naming the forms that are refused, and those that lack their other half."""
    other = [name for form, name in names.items() if form.startswith(".") or form in ("_g", "_v", "_u")]
    if other:
        module, _, own = plain.rpartition(".")
        where = f"model.{module}" if module else "model"
        kind, undo = "a parametrisation", f"torch.nn.utils.parametrize.remove_parametrizations({where}, {own!r})"
        if {".original0", "_g"} & names.keys():
            kind = "weight norm"
        elif {".0._u", "_u"} & names.keys():
            kind = "spectral norm"
        if {"_g", "_u"} & names.keys():
            undo = f"torch.nn.utils.remove_{kind.replace(' ', '_')}({where}, {own!r})"
        raise UserError(f"{other[0]}: {plain} has {kind}: call {undo} before saving")
    for form, half in (("_orig", "_mask"), ("_mask", "_orig")):
        if form in names and half not in names and not (form == "_mask" and "" in names):
            raise UserError(f"{plain}{half} is missing, {names[form]} is there")
    if "_raw" in names and {"_orig", "_mask"} & names.keys():
        raise UserError(f"{', '.join(names.values())} are several versions of one weight: leave out what is not meant")


def _product(original: str, mask: str, tensors: Mapping[str, Any]) -> torch.Tensor:
    value, factors = float_of(original, tensors[original]), tensor_of(mask, tensors[mask])
    if factors.shape != value.shape:
        raise UserError(f"{mask} must have shape {tuple(value.shape)}, as {original}, not {tuple(factors.shape)}")
    return factors.to(value.dtype) * value


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether the hardware gets the same weights of both."""
    return a.shape == b.shape and torch.equal(a.to(torch.float16), b.to(torch.float16))


def _dropped_out(copy: torch.Tensor, raw: torch.Tensor) -> bool:
    """Whether a copy is the original with some values 0 and the others scaled by one factor of at least 1."""
    if copy.shape != raw.shape:
        return False
    relative, absolute = COPY_ERROR
    small, large = copy.to(torch.float64).numpy(), raw.to(torch.float64).numpy()
    kept = (small != 0) & (large != 0)
    if (small[~kept] != 0).any():
        return False
    with np.errstate(all="ignore"):
        ratio = small[kept] / large[kept]
        factor = float(np.median(ratio)) if len(ratio) else 1.0
        scaled = factor * large[kept]
        near = np.abs(small[kept] - scaled) <= relative * np.abs(scaled) + absolute
    return factor > 1 - relative and bool(near.all())
