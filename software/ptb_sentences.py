"""Make the sample of embedded text that the project ships: numbers only, no words.

python -m software.ptb_sentences --text ptb.test.txt.gz --vocabulary ptb.train.txt.gz --model ptb-2x800.npz
"""

import io
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from software.checkpoint import PTB_SENTENCES, CheckpointError, load_language_model
from software.cli import UserError, run, within, write_all
from software.files.text import unpack, words_of

STEPS = 35


def _words(path: Path) -> list[str]:
    """The words of a text, perhaps gzip. Raises UserError."""
    try:
        return words_of(unpack(path), str(path))
    except UserError as error:
        raise UserError(f"cannot read {error}") from None


def main(
    text: Annotated[Path, typer.Option(metavar="FILE", help="Text to take the stretches from, at even distances.")],
    vocabulary: Annotated[
        Path, typer.Option(metavar="FILE", help="Training text; a word's index is its place among its sorted words.")
    ],
    model: Annotated[Path, typer.Option("--model", "--model-path", metavar="FILE", help="With the embedding, .npz.")],
    count: Annotated[int, typer.Option(metavar="N", help="Stretches.", callback=within(1, 64))] = 4,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="File to write.", show_default="the shipped one")
    ] = PTB_SENTENCES,
) -> None:
    """Embed stretches of 35 words of a text.

    \b
    Examples:
      python -m software.ptb_sentences --text ptb.test.txt.gz --vocabulary ptb.train.txt.gz --model ptb-2x800.npz
    """
    index = {word: n for n, word in enumerate(sorted(set(_words(vocabulary))))}
    words = _words(text)
    if len(words) < count * STEPS:
        raise UserError(f"{text} has {len(words)} words, {count} stretches of {STEPS} need {count * STEPS}")
    starts = np.linspace(0, len(words) - STEPS, count).astype(int)
    try:
        embedding = load_language_model(model).embedding
        tokens = np.array([[index[word] for word in words[start : start + STEPS]] for start in starts], np.uint16)
    except CheckpointError as error:
        raise UserError(str(error)) from None
    except KeyError as error:
        raise UserError(f"{text} has the word {error}, {vocabulary} has not") from None
    if len(index) != len(embedding):
        raise UserError(f"{vocabulary} has {len(index)} words, {model} knows {len(embedding)}")
    meta = {"steps": STEPS, "starts": starts.tolist(), "model": model.name, "text": text.name}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=embedding[tokens], tokens=tokens, meta=json.dumps(meta))
    write_all({out: buffer.getvalue()})
    print(f"wrote {out}: {count} x {STEPS} words, {len(buffer.getvalue())} bytes")


if __name__ == "__main__":
    run(main)
