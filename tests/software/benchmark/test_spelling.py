"""The original's command lines in our spelling."""

import math

import pytest

from software.benchmark.common.spelling import numbers, respell, sparsities, thresholds
from software.cli import UserError


@pytest.mark.parametrize(
    ("original", "ours"),
    [
        (
            "eval -model models/nhid:128.ckpt -ws 0.3 0.5 0.2 0.4 -ht 0.3 0.8 -b 4",
            "eval --model-path models/nhid:128.ckpt --ws 0.3,0.5,0.2,0.4 --ht 0.3,0.8 --block 4",
        ),
        (
            "eval --model_path m.ckpt -m sparsity --data LM/data --emsize 1500 --nhid 1500 -ws .4 .5 .3 .4 -ht .28 .43",
            "eval --model-path m.ckpt --mode sparsity --data LM/data --emsize 1500 --nhid 1500 --ws .4,.5,.3,.4 "
            "--ht .28,.43",
        ),
        (
            "train -nhid 64 --batch_size=20 --l1 --l1_lambda 1e-5 -v",
            "train --nhid 64 --batch-size=20 --l1 --l1-lambda 1e-5 --verbose",
        ),
        (
            "prune --w_sp 0.5 -wt -0.1 --h_th inf inf --log-interval 5",
            "prune --ws 0.5 --wt -0.1 --ht inf,inf --log-interval 5",
        ),
        ("export --save_dir out_put -o a_b.npz -- -b 4", "export --save-dir out_put -o a_b.npz -- -b 4"),
        ("-ws", "--ws"),
        ("eval --ws=1,2 -ht=3", "eval --ws=1,2 --ht=3"),
    ],
)
def test_a_command_line_is_rewritten(original: str, ours: str) -> None:
    assert respell(original.split()) == ours.split()


def test_lists_are_checked() -> None:
    assert sparsities("0.3,0.5,0.2,0.4", 2) == (0.3, 0.5, 0.2, 0.4)
    assert sparsities("0.5", 3) == (0.5,) * 6
    assert thresholds("0 inf", 2) == (0.0, math.inf)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1,0.2,0.3", r"-ws takes 4 weight sparsities .*, or one for all, not 3"),
        ("0.1,0.2,0.3,1", r"-ws must be in \[0, 1\), not 1"),
        ("-0.1", r"-ws must be in \[0, 1\), not -0.1"),
        ("nan", r"-ws must be in \[0, 1\), not nan"),
        ("half", r"-ws takes 4 weight sparsities .*, not 'half'"),
        ("", r"-ws takes 4 .* not 0"),
    ],
)
def test_a_wrong_list_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        sparsities(text, 2)


def test_a_threshold_has_no_upper_limit_but_nan_is_none() -> None:
    for text in ("-1", "nan"):
        with pytest.raises(UserError, match=f"-ht must be at least 0, not {text}"):
            thresholds(text, 2)
    with pytest.raises(UserError, match="-hs must be in"):
        numbers("2", 2, "-hs", (0.0, 1.0))
