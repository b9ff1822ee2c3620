# Two commands are enough: `make demo` (watch a model get better) and `make test` (the whole test suite).
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: install demo test check format bench bench-gpu growth paper collapse clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dopsd needs Python 3.11 or newer; set it with: make PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m dopsd.train task=countdown

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/methods.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/decoding.py

bench-gpu: $(STAMP)
	$(BIN)/python benchmarks/gpu.py

growth: $(STAMP)
	$(BIN)/python benchmarks/growth.py

# A table or figure of the paper on the embedded model (make table5, make figure3), or all of them: what is missing is run.
# With overrides for every run: make table5 model=llada_8b task=gsm8k trainer=ddp
OVERRIDES = $(sort $(filter-out PYTHON=% BIN=% STAMP=%,$(MAKEOVERRIDES)))
paper: $(STAMP)
	$(BIN)/python experiments/paper.py $@ $(OVERRIDES)

table%: $(STAMP)
	$(BIN)/python experiments/paper.py $@ $(OVERRIDES)

figure%: $(STAMP)
	$(BIN)/python experiments/paper.py $@ $(OVERRIDES)

# What collapses, and what warns of it.
collapse: $(STAMP)
	$(BIN)/python experiments/collapse.py

clean:
	rm -rf .venv runs multirun dist build
