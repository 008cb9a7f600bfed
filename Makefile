# make venv | bench | figures | test | harness | reference | lint | clean.  Options: make bench ARGS='--budget smoke --models vit'
# make venv TORCH=cpu: torch without CUDA, found by uv; EXTRA=: without what only the tests need
PYTHON ?= python3
EXTRA := [test]
BIN := .venv/bin

.PHONY: venv bench figures test harness reference lint clean

venv: .venv/ready

# The stamp is written last, so that an interrupted installation is done again.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make venv PYTHON=python3.11")'
	@echo "setting up .venv: about 6 GB, without CUDA a fraction of it; a few minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check $(if $(TORCH),uv,-c constraints.txt -e '.$(EXTRA)')
	$(if $(TORCH),$(BIN)/uv pip install --python $(BIN)/python --torch-backend '$(TORCH)' -c constraints.txt -e '.$(EXTRA)')
	@touch $@

bench: venv
	$(BIN)/python -m pytest bench --benchmark-only --benchmark-quiet $(ARGS)

# Pictures of what the models learned, and the page with everything: make figures ARGS='--results DIR --datasets xor'
figures: venv
	$(BIN)/python -m bench figures $(ARGS)

# All tests, also those marked slow; the quick ones: make test ARGS='-m "not slow"'.
# A process for each core, each with one thread: small tests only wait for a second one.
test: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m 'slow or not slow' $(ARGS)

harness: venv
	$(BIN)/python -m pytest bench -m harness --benchmark-only $(ARGS)

# The committed results; with real data: make reference DATA=ROOT ARGS='--datasets mnist'
reference: venv
	$(BIN)/python -m pytest bench --benchmark-only --benchmark-quiet --results results/reference $(if $(DATA),--data $(DATA)) $(ARGS)
	$(BIN)/python -m bench figures --results results/reference $(if $(DATA),--data $(DATA))
	$(BIN)/python -m bench claims
	$(BIN)/python -m bench reference
	$(BIN)/python -m bench page --results results/reference

lint: venv
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

# What can be made again at once. Results are not: remove results/local yourself.
clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
