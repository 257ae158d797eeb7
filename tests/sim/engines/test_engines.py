"""Every engine does the same, in the same cycles."""

import subprocess
from dataclasses import replace

import pytest

from golden.isa import Funct
from sim.engines import designs, registry
from sim.engines.compiled import CompiledAccelerator
from sim.host.memory import VIOLATIONS_KEPT
from sim.protocol.accelerator import AcceleratorJob, Command, WaitCycles, WaitIdle, WaitReads
from sim.protocol.base import Design, EngineError, Segment, WaveRequest
from sim.protocol.timing import MemoryTiming
from tests.sim.engines import read_vcd
from tests.sim.fake_jobs import SOURCE, TARGET, copied, copy_job
from tests.sim.fake_unit import Fault

TIMINGS = {
    "plain": MemoryTiming(),
    "one": MemoryTiming(latency=1),
    "random": MemoryTiming(latency=3, jitter=9, order="random", stall_permille=300, seed=5),
    "fifo": MemoryTiming(latency=2, jitter=17, order="fifo", stall_permille=500, seed=77),
    "far": MemoryTiming(latency=200, jitter=100, order="random", seed=3),
}


def outcome(engine, design, job):
    result = registry.get("accelerator", engine).run(design, job)
    assert result.wall_seconds > 0
    return replace(result, wall_seconds=0)


@pytest.fixture(params=["pysim", "verilator"])
def both(request):
    """Runs a job in the fast engine and in a second one, which must do the same; gives what they did."""
    second = request.param if request.param == "pysim" else request.getfixturevalue(request.param)

    def run(design, job):
        fast = outcome("native", design, job)
        assert fast == outcome(second, design, job)
        return fast

    return run


@pytest.mark.parametrize("timing", TIMINGS.values(), ids=TIMINGS)
@pytest.mark.parametrize("stall", [0, 400])
def test_same_cycles_in_a_second_engine(fake, both, timing, stall):
    result = both(fake, copy_job(timing=timing, log_writes=True, response_stall_permille=stall))
    assert result.stopped is None
    assert result.violations == []
    assert result.memory == {"target": copied()}
    assert [r.rd for r in result.responses] == [1, 2, 3, 4]
    status, version, cycles, total = (r.data for r in result.responses)
    assert (status, version, total) == (2, 1, sum(7 + 3 * i for i in range(40)))
    assert result.busy_cycles == [cycles]
    assert (result.reads, result.writes, len(result.write_log)) == (40, 40, 40)


@pytest.mark.parametrize("fault", [0, *Fault])
def test_same_cycles_in_icarus(fake, icarus, both, fault):
    job = copy_job(12, TIMINGS["random"], fault, log_writes=True, response_stall_permille=200)
    assert outcome(icarus, fake, job) == both(fake, job)


def test_latency_is_from_acceptance_to_response(fake, both):
    runs = [both(fake, copy_job(1, MemoryTiming(latency=latency))) for latency in (1, 2, 30)]
    # one load and then one store
    assert runs[1].cycles - runs[0].cycles == 2
    assert runs[2].cycles - runs[0].cycles == 58


def test_same_seed_same_cycles_other_seed_other(fake, both):
    timing = TIMINGS["random"]
    first, again = (both(fake, copy_job(timing=timing)) for _ in range(2))
    other = both(fake, copy_job(timing=replace(timing, seed=6)))
    assert first == again
    assert first.cycles != other.cycles


def test_order_matters(fake, both):
    timing = MemoryTiming(latency=4, jitter=12, order="random", seed=9)
    shuffled = both(fake, copy_job(timing=timing))
    in_order = both(fake, copy_job(timing=replace(timing, order="fifo")))
    assert shuffled.cycles != in_order.cycles


def test_violations_are_named(fake, both):
    assert (
        f"load outside every segment, address {SOURCE + 2**60:#x}"
        in both(fake, copy_job(fault=Fault.OUTSIDE)).violations[0]
    )
    assert len(both(fake, copy_job(fault=Fault.OUTSIDE)).violations) == VIOLATIONS_KEPT
    assert "tag 0 used again before its response" in both(fake, copy_job(fault=Fault.TAG_REUSE)).violations[0]
    assert "RoCC response nobody asked for" in both(fake, copy_job(fault=Fault.STRAY_RESPONSE)).violations[0]
    assert "memory requests unanswered" in both(fake, copy_job(fault=Fault.EARLY_IDLE)).violations[0]
    job = copy_job()
    read_only = replace(job, segments=(job.segments[0], replace(job.segments[1], write=False)))
    assert f"store to a read-only segment, address {TARGET:#x}" in both(fake, read_only).violations[0]
    odd = (*job.steps[:1], Command.of(Funct.DATA, SOURCE + 4, TARGET), *job.steps[2:])
    assert f"access of 8 bytes at address {SOURCE + 4:#x}" in both(fake, replace(job, steps=odd)).violations[0]


def test_planted_errors_are_answered_and_no_violation(fake, both):
    job = copy_job()
    source, target = job.segments
    for segments in ((replace(source, read_error=64), target), (source, replace(target, write_error=80))):
        result = both(fake, replace(job, segments=segments))
        assert result.violations == []
        assert result.responses[0].data == 6  # ended, error
    assert result.memory["target"][80:88] == b"\xff" * 8


def test_watchdogs(fake, both):
    stuck = both(fake, copy_job(fault=Fault.NEVER_ENDS))
    assert stuck.stopped.startswith("stuck at cycle ")
    assert "waiting for step 3 (WaitIdle())" in stuck.stopped
    slow = both(fake, copy_job(max_cycles=50))
    assert slow.cycles == 50
    assert slow.stopped == "stopped after 50 cycles waiting for step 3 (WaitIdle())"
    assert slow.busy_cycles == [50 - 3]


def test_interrupt_is_counted(fake, both):
    result = both(fake, copy_job(fault=Fault.INTERRUPT))
    assert 0 < result.interrupt_cycles < 30


def test_steps_wait_as_told(fake, both):
    read = Command.of(Funct.COUNTER, 1, rd=1)
    start = copy_job().steps[:3]

    def cycle_of_answer(*steps):
        return both(fake, copy_job(steps=(*steps, read))).responses[-1].cycle

    base = cycle_of_answer()
    assert cycle_of_answer(WaitCycles(1)) == base + 1
    assert cycle_of_answer(WaitCycles(350)) == base + 350
    assert cycle_of_answer(Command.of(Funct.STEPS, gap=13)) == base + 14
    assert cycle_of_answer(WaitIdle()) == base + 1
    # the third load is accepted in the third cycle of the run
    assert cycle_of_answer(*start, WaitReads(3)) == base + 3 + 3


def test_withdrawn_command_is_done_once(fake, both):
    job = copy_job()
    # COUNTER is taken at once; START is not taken while the unit runs, so it is withdrawn again and again
    command = job.steps[2]
    assert isinstance(command, Command)
    again = replace(command, withdraw=3)
    result = both(fake, replace(job, steps=(*job.steps[:3], again, *job.steps[3:])))
    assert result.stopped is None
    assert len(result.busy_cycles) == 2
    assert result.memory == {"target": copied()}


def test_bad_jobs_are_refused():
    with pytest.raises(ValueError, match="segments a and b overlap"):
        AcceleratorJob((Segment("b", 8, 16), Segment("a", 0, 16)), ())
    with pytest.raises(ValueError, match="is not made of 8-byte words"):
        Segment("a", 4, 8)


def test_unknown_engine_and_design(fake):
    with pytest.raises(EngineError, match="no engine 'vcs'; there are: native, verilator, pysim, icarus"):
        registry.get("accelerator", "vcs")
    gpu = Design("gpu", None)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="no design 'gpu'; there are: accelerator, core"):
        registry.get("accelerator", "native").run(gpu, copy_job())


def test_missing_engine_says_how_to_install(fake, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(EngineError, match="engine icarus: Icarus Verilog is not installed: apt install iverilog"):
        registry.get("accelerator", "icarus")
    monkeypatch.setattr("sim.engines.compiled.compiler", lambda: ())
    with pytest.raises(EngineError, match="no C\\+\\+ compiler: install g\\+\\+"):
        registry.get("accelerator", "native")


def long_job():
    """Some fifty million cycles: seconds on any machine, where progress is told twice a second."""
    return copy_job(20_000, MemoryTiming(latency=10_000), stuck_cycles=100_000)


def test_progress_is_told(fake):
    seen: list[int] = []
    result = registry.get("accelerator", "native").run(fake, long_job(), progress=seen.append)
    assert seen == sorted(seen)
    assert 0 < seen[0] < result.cycles


def test_interrupted_run_leaves_no_process(fake, monkeypatch):
    started = []
    popen = subprocess.Popen

    def remember(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    def interrupt(cycles):
        raise KeyboardInterrupt

    engine = registry.get("accelerator", "native")
    assert isinstance(engine, CompiledAccelerator)
    engine.program(fake)
    monkeypatch.setattr("sim.engines.compiled.subprocess.Popen", remember)
    with pytest.raises(KeyboardInterrupt):
        engine.run(fake, long_job(), progress=interrupt)
    assert started[0].returncode == -9


def times(path):
    return [int(line[1:]) for line in path.read_text().splitlines() if line.startswith("#")]


@pytest.fixture(params=["native", "verilator"])
def engine(request):
    """The name of each engine that compiles."""
    return request.param if request.param == "native" else request.getfixturevalue(request.param)


def test_waves_cover_the_window(fake, tmp_path, engine):
    job = copy_job(timing=TIMINGS["random"])
    plain = outcome(engine, fake, job)
    path = tmp_path / "window.vcd"
    waved = outcome(engine, fake, replace(job, wave=WaveRequest(str(path), 20, 29)))
    assert plain == waved
    assert times(path) == list(range(200, 300, 5))
    assert "req_addr" in path.read_text()


def test_native_waves_have_the_values_of_verilator(fake, verilator, tmp_path):
    job = copy_job(timing=TIMINGS["random"])
    found = {}
    for engine in ("native", verilator):
        path = tmp_path / f"{engine}.vcd"
        outcome(engine, fake, replace(job, wave=WaveRequest(str(path))))
        found[engine] = read_vcd.signals(path, f"{designs.module_name(fake)}.")
    assert len(found["native"]) > 40
    # Verilator shows the wires between operators too
    assert found["native"] == {name: found[verilator][name] for name in found["native"]}
    assert "$timescale 1ns $end" in path.read_text()


def test_wave_of_pysim(fake, tmp_path):
    job, path = copy_job(8, timing=TIMINGS["random"]), tmp_path / "all.vcd"
    assert outcome("pysim", fake, replace(job, wave=WaveRequest(str(path)))) == outcome("native", fake, job)
    assert "req_addr" in path.read_text()


def test_wave_of_icarus(fake, icarus, tmp_path):
    job = copy_job(8, timing=TIMINGS["random"])
    plain = outcome("native", fake, job)
    vcd, fst = tmp_path / "all.vcd", tmp_path / "window.fst"
    assert outcome(icarus, fake, replace(job, wave=WaveRequest(str(fst), 5, 9))) == plain
    assert fst.stat().st_size > 0
    with pytest.raises(EngineError, match="name it something.fst"):
        outcome(icarus, fake, replace(job, wave=WaveRequest(str(vcd), 5, 9)))


def test_unwritable_wave_is_an_error(fake, engine):
    with pytest.raises(EngineError, match="cannot write /nowhere/x.vcd"):
        registry.get("accelerator", engine).run(fake, copy_job(wave=WaveRequest("/nowhere/x.vcd")))
