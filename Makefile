# Two IDCs on one machine: `make demo`. Everything that needs Python alone: `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_CACHE_DIR := $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TMPDIR := $(CURDIR)/.work
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/pyc
PYTEST := $(BIN)/python -m pytest
# Tests mostly wait for processes of theirs; WORKERS=0 runs them one after the other.
WORKERS ?= 2
SHARED := -n $(WORKERS) --dist loadfile

.PHONY: demo compose-tour test test-all peers spark lint proto compiled bench kill powercut diff model mutants clean fuzz-wire

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	mkdir -p .work .cache
	$(BIN)/python -m pip install --quiet --editable '.[arrow,dev]'
	touch $@

.work: $(READY)
	mkdir -p .work

demo: $(READY) .work
	$(BIN)/python -m deploy.demo $(if $(KEEP),--keep)

# The same in containers, in an engine of its own where the machine has none (then as root, after `make peers`).
compose-tour: $(READY) .work
	$(BIN)/python -m tests.support.docker_engine $(BIN)/python -m deploy.tour

test: lint
	$(PYTEST) $(SHARED) -m "not peers"

peers: $(READY) .work
	$(BIN)/python -m tests.support.peers

test-all: lint
	$(PYTEST) $(SHARED) --require-peers

# Spark, of `make peers`, on partitioned Parquet in both IDCs and on stock HDFS.
spark: $(READY) .work
	$(PYTEST) --require-peers tests/interop/test_spark.py

lint: $(READY) .work
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/python proto/generate.py --check
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m mypy --cache-dir .cache/mypy
	$(PYTEST) -q tests/style

# The wheel for this Python with a namenode's busiest modules as machine code, in dist/. Needs a C compiler.
compiled: $(READY) .work
	$(BIN)/python -m deploy.compiled dist

# Ours is measured compiled. QUICK=1 shows that it works; SUITES="metadata data" names some; HUGE=1 measures 10,000,000 files too.
bench: $(READY) .work
	place=$$($(BIN)/python -m deploy.compiled) && PYTHONSAFEPATH=1 PYTHONPATH="$$place:$(CURDIR)" \
		$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(HUGE),--huge) $(SUITES)

# N faults under load; SEED=... repeats a schedule.
kill: $(READY) .work
	$(BIN)/python -m tests.kill --faults $(or $(N),200) $(if $(SEED),--seed $(SEED))

# The same STEPS random calls on stock HDFS and on ours; SEED=... repeats them, REPLAY=file runs the programs of a file.
diff: $(READY) .work
	$(BIN)/python -m tests.diff --steps $(or $(STEPS),20000) $(if $(SEED),--seed $(SEED)) $(if $(REPLAY),--replay $(REPLAY))

# A program of STEPS operations on the namespace alone, beside a model of it; SEED=... repeats it.
model: $(READY) .work
	MODEL_STEPS=$(or $(STEPS),50000) MODEL_SEED=$(SEED) $(PYTEST) -q tests/property/test_namespace_model.py -k long

# N power cuts under load, as root; SEED=... repeats a schedule.
powercut: $(READY) .work
	$(BIN)/python -m tests.powercut --rounds $(or $(N),50) $(if $(SEED),--seed $(SEED))

# Bugs put in on purpose, each of which the tests must notice; SHARE=K/N runs a part.
mutants: $(READY) .work
	$(BIN)/python -m tests.mutants $(if $(SHARE),--share $(SHARE))

# Looks for inputs that break a parser's promise, for SECONDS in all; the seed is printed, SEED=n repeats it.
fuzz-wire: $(READY) .work
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),120) $(if $(SEED),--seed $(SEED)) $(TARGETS)

proto: $(READY) .work
	$(BIN)/python proto/generate.py

clean:
	rm -rf $(VENV) .cache .work dist
