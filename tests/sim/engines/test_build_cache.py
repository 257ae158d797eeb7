"""The cache of built things where it is read-only, and the compiler that was asked for."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.engines import build_cache
from sim.protocol.base import EngineError
from tests.doc_commands import ROOT
from tests.software.test_places import unshared

DIGIT = "-m sim.run mnist --digits 1 --system accelerator"


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Choose with setenv("CXX", ...)."""
    monkeypatch.setattr(build_cache.compiler, "__wrapped__", build_cache.compiler.__wrapped__, raising=False)
    build_cache.compiler.cache_clear()
    build_cache.compiler_version.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    build_cache.compiler.cache_clear()
    build_cache.compiler_version.cache_clear()


def program(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_compiler_with_arguments_is_run_with_them(compiler: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrapper = program(tmp_path, "wrapper", 'echo "wrapped $*"')
    compiler.setenv("CXX", f"{wrapper} 'g++ -x'")
    assert build_cache.compiler() == (str(wrapper), "g++ -x")
    assert build_cache.compiler_version() == "wrapped g++ -x --version\n"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("g+++", "CXX is 'g+++', and there is no program g+++"),
        ("ccashe g++", "CXX is 'ccashe g++', and there is no program ccashe"),
        ("'g++", 'CXX is "\'g++", which is no command: No closing quotation'),
    ],
)
def test_a_compiler_that_is_none_is_refused_not_replaced(
    compiler: pytest.MonkeyPatch, asked: str, message: str
) -> None:
    compiler.setenv("CXX", asked)
    with pytest.raises(EngineError) as error:
        build_cache.compiler()
    assert str(error.value) == message


def test_flags_that_are_asked_for_are_added_or_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ELSTM_CXXFLAGS", "-O1 '-DNAME=two words'")
    assert build_cache.added_flags() == ["-O1", "-DNAME=two words"]
    monkeypatch.setenv("ELSTM_CXXFLAGS", "'-O1")
    with pytest.raises(EngineError, match='^ELSTM_CXXFLAGS is "\'-O1", which are no arguments: No closing quotation$'):
        build_cache.added_flags()


def test_no_wish_is_no_error(compiler: pytest.MonkeyPatch) -> None:
    compiler.setenv("CXX", " ")
    assert build_cache.compiler()[0] != " "


@pytest.mark.parametrize(
    ("body", "message"),
    [("exit 0", "it made no program"), ("echo 'no such option' >&2; exit 1", "no such option")],
)
def test_a_program_that_is_no_compiler_is_one_line(body: str, message: str, tmp_path: Path) -> None:
    path = program(tmp_path, "liar", body)
    environment = os.environ | {"CXX": f"{path} -v"}
    command = [sys.executable, *DIGIT.split()]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {path} -v failed: {message}\n"


def test_a_complete_cache_may_be_read_only_and_there_may_be_no_home(tmp_path: Path) -> None:
    cache = os.environ.get("ELSTM_CACHE", str(ROOT / "build" / "cache"))
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "PYTHONPATH")}
    environment |= {"ELSTM_CACHE": cache}
    subprocess.run([sys.executable, *DIGIT.split()], cwd=ROOT, env=environment, check=True, capture_output=True)
    done = unshared(
        f"mount --bind {cache} {cache} && mount -o remount,ro,bind {cache}\n{sys.executable} {DIGIT}; echo $?",
        environment,
    )
    assert done.stderr == "" and done.stdout.endswith("\n0\n"), done
    assert "1 of 1 digits bit-exact" in done.stdout


def test_a_read_only_cache_that_lacks_something_says_so(tmp_path: Path) -> None:
    done = unshared(
        f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}\n{sys.executable} {DIGIT}",
        os.environ | {"ELSTM_CACHE": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.endswith(
        f"is not in the cache {tmp_path}, which cannot be written: Read-only file system; "
        "ELSTM_CACHE names another folder\n"
    )
