"""Make the sample of embedded text that the project ships: numbers only, no words.

python -m software.ptb_sentences --text ptb.test.txt.gz --vocabulary ptb.train.txt.gz --model ptb-2x800.npz
"""

import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from software.checkpoint import PTB_SENTENCES, CheckpointError, load_language_model
from software.cli import UserError, run, write_all

STEPS = 35
END = "<eos>"


def _words(path: Path) -> list[str]:
    """The words of a text, perhaps gzip, with one sentence a line, each line's end as a word of its own."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
        return [word for line in text.splitlines() for word in (*line.split(), END)]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None


def main(
    text: Annotated[Path, typer.Option(help="Text to take the stretches from, at even distances.")],
    vocabulary: Annotated[
        Path, typer.Option(help="Training text; a word's index is its place among its sorted words.")
    ],
    model: Annotated[Path, typer.Option(help="Language model with the embedding, .npz.")],
    count: Annotated[int, typer.Option(help="Stretches.", min=1, max=64)] = 4,
    out: Annotated[Path, typer.Option(help="File to write.")] = PTB_SENTENCES,
) -> None:
    """Embed stretches of 35 words of a text."""
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
