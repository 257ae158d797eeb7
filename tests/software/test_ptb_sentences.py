"""Embedded text as numbers, and the language model it comes from."""

import gzip

import numpy as np
import pytest

from software import checkpoint, ptb_sentences
from software.checkpoint import CheckpointError, load_language_model, load_sentences
from software.cli import run

WORDS = [f"w{n}" for n in range(9)]
HIDDEN = 8


def save_model(path, **changes):
    rng = np.random.default_rng(5)
    arrays = {
        "l1.w": rng.normal(size=(4 * HIDDEN, 4)).astype(np.float16),
        "l1.u": rng.normal(size=(4 * HIDDEN, HIDDEN)).astype(np.float16),
        "l1.b": np.zeros(4 * HIDDEN, np.float16),
        "embedding": rng.normal(size=(len(WORDS) + 1, 4)).astype(np.float16),
    } | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.fixture
def files(tmp_path):
    (tmp_path / "train.txt").write_text("\n".join(" ".join(WORDS) for _ in range(3)))
    text = "\n".join(" ".join(WORDS[n % 9 :]) for n in range(40))
    (tmp_path / "test.txt.gz").write_bytes(gzip.compress(text.encode()))
    save_model(tmp_path / "model.npz")
    return tmp_path


def make(files, monkeypatch, capsys, *more):
    options = [
        "--text", files / "test.txt.gz", "--vocabulary", files / "train.txt", "--model", files / "model.npz",
        "--out", files / "out.npz", "--count", "3", *more,
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["ptb_sentences", *map(str, options)])
    with pytest.raises(SystemExit) as end:
        run(ptb_sentences.main)
    return end.value.code, *capsys.readouterr()


def test_words_become_rows_of_the_embedding(files, monkeypatch, capsys):
    code, out, _ = make(files, monkeypatch, capsys)
    assert code == 0
    assert f"wrote {files / 'out.npz'}: 3 x 35 words" in out
    sentences = load_sentences(files / "out.npz")
    # "<eos>" comes before the words in the sorted vocabulary
    assert sentences.tokens[0, :11].tolist() == [*range(1, 10), 0, 2]
    embedding = load_language_model(files / "model.npz").embedding
    assert (sentences.x == embedding[sentences.tokens]).all()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--count", "20"], "has 250 words, 20 stretches of 35 need 700"),
        (["--vocabulary", "missing.txt"], "cannot read missing.txt"),
    ],
)
def test_a_user_s_mistake_is_one_line(files, monkeypatch, capsys, more, text):
    code, _, err = make(files, monkeypatch, capsys, *more)
    assert code == 2
    assert text in err
    assert err.count("\n") == 1
    assert not (files / "out.npz").exists()


def test_a_word_outside_the_vocabulary_is_named(files, monkeypatch, capsys):
    (files / "train.txt").write_text(" ".join(WORDS[:-1]))
    assert "has the word 'w8'" in make(files, monkeypatch, capsys)[2]


def test_a_vocabulary_of_another_size_is_refused(files, monkeypatch, capsys):
    (files / "train.txt").write_text(" ".join([*WORDS, "more"]))
    assert "has 11 words" in make(files, monkeypatch, capsys)[2]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"embedding": None}, "array embedding is missing"),
        ({"embedding": np.zeros((4, 5), np.float16)}, r"embedding must have shape \(any, 4\), not \(4, 5\)"),
        ({"l1.w": None}, "array l1.w is missing"),
        ({"l1.b": np.full(4 * HIDDEN, np.inf, np.float16)}, r"l1.b\[0\] is inf, which fp16 cannot hold"),
    ],
)
def test_a_bad_model_is_named(tmp_path, changes, text):
    with pytest.raises(CheckpointError, match=text):
        load_language_model(save_model(tmp_path / "m.npz", **changes))


def test_sentences_need_integer_tokens(tmp_path):
    np.savez(tmp_path / "s.npz", x=np.zeros((1, 2, 4), np.float16), tokens=np.zeros((1, 2)))
    with pytest.raises(CheckpointError, match="tokens must be integers, not float64"):
        load_sentences(tmp_path / "s.npz")


def test_shipped_sentences():
    sentences = load_sentences(checkpoint.PTB_SENTENCES)
    assert sentences.x.shape == (4, 35, 800)
    assert sentences.tokens.shape == (4, 35)
    assert np.isfinite(sentences.x).all()
