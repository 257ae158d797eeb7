"""Training of a language model: one run of epochs, the best one chosen on the valid text, resumable at any batch."""

import contextlib
import io
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from software.benchmark.common.training import rate_at
from software.benchmark.common.weight_pruning import Gradual, kept, zeros
from software.benchmark.lm.language_model import LanguageNet, Pruning
from software.cli import Interrupted, UserError, write_all

SAVE_EVERY = 60.0
"""Seconds between two savings of the state within an epoch."""
EVALUATION_STEPS = 35
CHUNK = 512
"""Rows of scores at a time: what keeps them in memory."""


@dataclass(frozen=True)
class LmSettings:
    """Everything that decides the result; a saved run goes on only under the same.

    batch_size: parallel streams; gradual: how W and U are pruned in the run, None for not at all.
    """

    seed: int
    epochs: int
    bptt: int
    batch_size: int
    lr: float
    clip: float
    dropout: float
    l1_lambda: float
    thresholds: tuple[float, ...] | None
    block: int
    gradual: Gradual | None = None

    @property
    def pruning(self) -> Pruning | None:
        return None if self.thresholds is None else Pruning(self.thresholds, self.block)


@dataclass(frozen=True)
class Score:
    """loss: mean of -ln p, in nats; n: words predicted; pruned: share of h blocks dropped, by layer."""

    loss: float
    n: int
    pruned: tuple[float, ...]

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.loss, 700.0))


def streams(tokens: Tensor, n: int, limit: int | None = None) -> Tensor:
    """(T, n): the text cut into n streams of equal length, the rest at its end left out.

    ``limit``: only the beginning of each, about this many words together. Raises UserError.
    """
    steps = len(tokens) // n
    if steps < 2:
        raise UserError(f"{len(tokens)} words are too few for {n} streams (--batch-size)")
    kept = steps if limit is None else min(steps, max(limit // n, 2))
    return tokens[: steps * n].view(n, steps)[:, :kept].T.contiguous()


@torch.no_grad()
def evaluate(
    net: LanguageNet,
    tokens: Tensor,
    pruning: Pruning | None,
    steps: int = EVALUATION_STEPS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Score:
    """Predict each next word of streams (T, N) in segments of ``steps``, h and c carried from one to the next."""
    net.eval()
    state, total = net.zero_state(tokens.shape[1]), len(tokens) - 1
    loss, pruned = 0.0, [0.0] * net.size.nlayers
    for first in range(0, total, steps):
        inputs, targets = tokens[first : first + steps][: total - first], tokens[first + 1 : first + 1 + steps]
        h, state, dropped = net(inputs, state, pruning)
        for rows, right in zip(h.flatten(0, 1).split(CHUNK), targets.flatten().split(CHUNK), strict=True):
            loss += nn.functional.cross_entropy(net.logits(rows), right, reduction="sum").double().item()
        pruned = [sum_ + share * len(inputs) / total for sum_, share in zip(pruned, dropped, strict=True)]
        progress(first + len(inputs), total)
    n = total * tokens.shape[1]
    return Score(loss / n, n, tuple(pruned))


@contextlib.contextmanager
def ctrl_c() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, told instead of raised, so that a batch is never cut."""
    pressed = False

    def note(*_: Any) -> None:
        nonlocal pressed
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


class LmTrainer:
    """Trains ``net`` on streams; ``path`` holds everything, so that an interrupted run ends in the same weights.

    ``masked``: a weight of W or U that is 0 at the start stays 0, and so do those that ``settings.gradual`` prunes.
    Raises UserError when ``path`` is another run's, or damaged.
    """

    def __init__(
        self,
        net: LanguageNet,
        training: Tensor,
        validation: Tensor,
        settings: LmSettings,
        path: Path,
        start: str,
        masked: bool = True,
    ) -> None:
        """training, validation: (T, N) int64; start: names what the run begins with, as the settings do."""
        self.net, self.training, self.validation, self.settings, self.path = net, training, validation, settings, path
        self.identity = asdict(settings) | {"start": start}
        if settings.gradual is None:
            # As in the states of runs that were saved before there was such a thing
            del self.identity["gradual"]
        self.masks = {name: weight.detach() != 0 for name, weight in net.weights()} if masked else {}
        self.sparsity_at_start = tuple(zeros(net).values())
        self.optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=settings.lr)
        self.batches = -(-(len(training) - 1) // settings.bptt)
        self.batch, self.seconds, self.scores = 0, 0.0, list[tuple[float, tuple[float, ...]]]()
        self.state = net.zero_state(training.shape[1])
        self.best: dict[str, Tensor] = {}
        self.random = torch.Generator().manual_seed(settings.seed).get_state()
        if path.exists():
            self._load()

    def _load(self) -> None:
        try:
            saved = torch.load(self.path, weights_only=True)
            identity = saved["identity"]
            if identity == self.identity:
                self.net.load_state_dict(saved["net"])
                self.optimizer.load_state_dict(saved["optimizer"])
                self.batch, self.seconds, self.scores = saved["batch"], saved["seconds"], saved["scores"]
                self.state, self.best, self.masks = tuple(saved["state"]), saved["best"], saved["masks"]
                self.random = saved["random"]
        except Exception:
            # What torch raises is whatever the damage happened to hit: pickle, zip, key and runtime errors
            raise UserError(f"{self.path} is damaged or no training state; --fresh starts over") from None
        if identity != self.identity:
            other = [f"{k} {identity.get(k)}" for k, v in self.identity.items() if identity.get(k) != v]
            raise UserError(f"{self.path} is of a run with {', '.join(other)}; --fresh starts over")

    def _save(self) -> None:
        stream = io.BytesIO()
        torch.save(
            {
                "identity": self.identity, "net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(),
                "batch": self.batch, "seconds": self.seconds, "scores": self.scores, "state": self.state,
                "best": self.best, "masks": self.masks, "random": torch.get_rng_state(),
            },
            stream,
        )  # fmt: skip
        write_all({self.path: stream.getvalue()})

    def run(
        self,
        progress: Callable[[int, float], None],
        say: Callable[[str], None],
        stop: Callable[[], bool] = lambda: False,
        log_interval: int = 0,
    ) -> None:
        """All epochs, then the best one's weights. ``progress`` gets batches done and the loss of the last one;
        ``say`` a line per epoch, and per ``log_interval`` batches if not 0. Raises Interrupted once ``stop`` says so.
        """
        settings = self.settings
        torch.set_rng_state(self.random)
        began = saved = time.monotonic()
        while self.batch < settings.epochs * self.batches:
            loss = self._step()
            self.batch += 1
            progress(self.batch, loss)
            now = time.monotonic()
            self.seconds, began = self.seconds + now - began, now
            epoch, within = divmod(self.batch, self.batches)
            if log_interval and within and within % log_interval == 0:
                say(f"epoch {epoch + 1}, batch {within} of {self.batches}: perplexity {math.exp(min(loss, 50.0)):.1f}")
            if within == 0:
                self._end_of_epoch(epoch, say)
            if within == 0 or stop() or now - saved > SAVE_EVERY:
                self._save()
                saved = time.monotonic()
            if stop() and self.batch < settings.epochs * self.batches:
                raise Interrupted(f"{self.batch} of {settings.epochs * self.batches} batches are in {self.path}")
        if not self.best:
            raise UserError(f"the loss is not finite after any epoch; a smaller --lr than {settings.lr} may help")
        self.net.load_state_dict(self.best)

    def _end_of_epoch(self, epoch: int, say: Callable[[str], None]) -> None:
        score = evaluate(self.net, self.validation, self.settings.pruning)
        self.scores.append((score.loss, score.pruned))
        if math.isfinite(score.loss) and self.best_epoch == epoch:
            self.best = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.state = self.net.zero_state(self.training.shape[1])
        dropped = ", h blocks dropped " + " / ".join(f"{share:.1%}" for share in score.pruned)
        say(
            f"epoch {epoch} of {self.settings.epochs}: valid perplexity {score.perplexity:.2f}"
            f"{dropped if self.settings.pruning else ''} ({self.seconds:.0f} s)"
        )

    def _step(self) -> float:
        """One segment of all streams; gives its loss."""
        settings, net = self.settings, self.net
        first = self.batch % self.batches * settings.bptt
        inputs = self.training[first : first + settings.bptt][: len(self.training) - 1 - first]
        targets = self.training[first + 1 : first + 1 + settings.bptt]
        net.train()
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * rate_at(self.batch / (settings.epochs * self.batches))
        self.optimizer.zero_grad()
        h, state, _ = net(inputs, self.state, settings.pruning)
        self.state = (state[0].detach(), state[1].detach())
        # The output layer is most of the work, and its scores need no more than bfloat16 to give a gradient
        with torch.autocast("cpu", torch.bfloat16):
            scores = net.logits(h.flatten(0, 1))
        loss = nn.functional.cross_entropy(scores.float(), targets.flatten())
        penalty = settings.l1_lambda * sum(weight.abs().sum() for _, weight in net.weights())
        (loss + penalty).backward()
        nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        self.optimizer.step()
        self._mask(self.batch + 1)
        return loss.item()

    @torch.no_grad()
    def _mask(self, done: int) -> None:
        """Keep at 0 what is pruned, and what the schedule prunes after ``done`` batches."""
        gradual = self.settings.gradual
        wanted = gradual and gradual.sparsities(self.sparsity_at_start, done, self.settings.epochs * self.batches)
        for number, (name, weight) in enumerate(self.net.weights()):
            if name not in self.masks:
                continue
            weight.mul_(self.masks[name])
            if wanted:
                self.masks[name] &= kept(weight, wanted[number])
                weight.mul_(self.masks[name])

    @property
    def best_epoch(self) -> int:
        """From 1; of those that end with all that is to be pruned; 0 before there is one."""
        gradual, total = self.settings.gradual, self.settings.epochs * self.batches
        first = -(-gradual.last(total) // self.batches) if gradual else 1
        losses = [loss if math.isfinite(loss) else math.inf for loss, _ in self.scores][first - 1 :]
        return first + losses.index(min(losses)) if losses else 0
