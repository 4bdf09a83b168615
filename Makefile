# Two commands for a fresh machine: `make demo` runs the benchmark, `make test` runs the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check clean boards faults

.venv/.installed: setup.cfg pyproject.toml
	@echo "==> making .venv and installing srl-bench (torch is large: a few minutes)"
	$(PYTHON) -c "import sys; sys.version_info >= (3, 10) or sys.exit('srl-bench needs Python 3.10 or newer: make PYTHON=python3.11 ...')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.installed-test: .venv/.installed
	@echo "==> installing the test tools"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@

demo: .venv/.installed
	@echo "==> VidSitu, MSRVTT and LSMDC on the toy world: clip-tiny, and srlclip-tiny trained from it"
	$(BIN)/bench run --task vidsitu,msrvtt,lsmdc --model clip-tiny,srlclip-tiny --source toy --output results/demo
	$(BIN)/bench show results/demo/vidsitu/toy/clip-tiny.json results/demo/vidsitu/toy/srlclip-tiny.json \
		--output results/demo/situations.html
	@echo "==> the same boards again at any time: .venv/bin/bench report --results results/demo"
	@echo "==> situations side by side, in any browser: results/demo/situations.html"

test: .venv/.installed-test
	@echo "==> running the tests"
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.installed-test
	@echo "==> lint and types"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# leaderboards/*.md and the page in docs/, from the kept results; a test checks that the boards are current.
boards: .venv/.installed
	$(BIN)/bench report --results leaderboards/results --published --format md --output leaderboards
	$(BIN)/bench report --results leaderboards/results --published --format html --output docs/report.html

# docs/reliability.md: everything that the suite breaks on purpose, and what came of it.
faults: .venv/.installed-test
	$(BIN)/python -m tests.faults $(ARGS)

clean:
	rm -rf .venv build *.egg-info
