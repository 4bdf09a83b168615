# Two commands for a fresh machine: `make demo` runs the benchmark, `make test` runs the tests.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test quick test-minimum check audit clean boards guides schema perf pictures faults mutants

.venv/.installed: setup.cfg pyproject.toml
	@echo "==> making .venv and installing srl-bench (torch is large: a few minutes)"
	$(PYTHON) -c "import sys; sys.version_info >= (3, 10) or sys.exit('srl-bench needs Python 3.10 or newer: make PYTHON=python3.11 ...')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.installed-test: .venv/.installed
	@echo "==> installing the test tools, and mteb"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,mteb]"
	@touch $@

demo: .venv/.installed
	@echo "==> the toy world: clip-tiny, srlclip-tiny trained from it, and a video model, clip4clip-tiny"
	$(BIN)/bench run --task probes,msrvtt,lsmdc --model clip-tiny,srlclip-tiny,clip4clip-tiny --source toy \
		--output results/demo
	$(BIN)/bench run --task vidsitu --model clip-tiny,srlclip-tiny --source toy --output results/demo
	$(BIN)/bench show results/demo/vidsitu/toy/clip-tiny.json results/demo/vidsitu/toy/srlclip-tiny.json \
		--output results/demo/situations.html
	@echo "==> the same boards again at any time: .venv/bin/bench report --results results/demo"
	@echo "==> situations side by side, in any browser: results/demo/situations.html"

# Two processes share the quick ones, a file each at a time; what is killed, timed or drawn large runs alone.
QUICK := -m "not slow" -n 2 --dist loadfile
quick: .venv/.installed-test
	@echo "==> running the quick tests"
	$(BIN)/python -m pytest $(QUICK)

test: .venv/.installed-test
ifeq ($(ARGS),)
	$(MAKE) --no-print-directory quick
	@echo "==> running the slow tests"
	$(BIN)/python -m pytest -m slow --durations=10
else
	$(BIN)/python -m pytest $(ARGS)
endif

# The oldest versions that setup.cfg allows, in an environment of their own (5 GB, most of it torch).
# Without mteb, which needs a newer scipy: its tests are skipped there.
# Its wheels are for Python 3.10 to 3.12. What it needs can be installed while other tests run; srl-bench
# itself cannot: that rewrites srl_bench.egg-info, where these tests read the names of tasks and adapters.
NEEDS := import configparser as c; s = c.ConfigParser(); s.read("setup.cfg"); \
	print(s["options"]["install_requires"], s["options.extras_require"]["test"])
.venv-minimum/.needs: setup.cfg tests/minimum-versions.txt
	@echo "==> making .venv-minimum with the oldest versions allowed"
	$(PYTHON) -m venv .venv-minimum
	$(PYTHON) -c '$(NEEDS)' > .venv-minimum/needs.txt
	.venv-minimum/bin/python -m pip install --quiet --disable-pip-version-check \
		-c tests/minimum-versions.txt -r .venv-minimum/needs.txt
	@touch $@

.venv-minimum/.installed: .venv-minimum/.needs
	.venv-minimum/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

test-minimum: .venv-minimum/.installed
	@echo "==> running the quick tests with the oldest versions allowed"
	.venv-minimum/bin/python -m pytest $(QUICK) $(ARGS)

# Known vulnerabilities of what is installed in .venv; asks PyPI.
audit: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --local --skip-editable

check: .venv/.installed-test
	@echo "==> lint and types"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The JSON schema of results in docs/result-format.md, from the code.
schema: .venv/.installed
	$(BIN)/python -m bench.results.schema

# Where each set comes from, in docs/data.md, from tasks/guides.yaml.
guides: .venv/.installed
	$(BIN)/python -m tests.guides

# Boards, ablation tables and the page, from the kept results; a test checks that the tables are current.
boards: .venv/.installed
	$(BIN)/bench report --results leaderboards/results --published --format md --output leaderboards
	mv leaderboards/ablations.md docs/ablation-tables.md
	$(BIN)/bench data toy
	$(BIN)/bench report --results leaderboards/results --published --format html --output docs/report.html

# docs/performance.md and docs/scaling.md: on a quiet machine, about an hour on two cores.
perf: .venv/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[perf]"
	$(BIN)/python -m tests.perf $(ARGS)

# The pictures in docs/, of that page and of the toy world; needs a Chromium.
pictures: .venv/.installed-test boards
	$(BIN)/python tests/report/pictures.py

# docs/reliability.md: everything that the suite breaks on purpose, and what came of it.
faults: .venv/.installed-test
	$(BIN)/python -m tests.faults $(ARGS)

# Small faults put into the code one at a time: which does a test notice? Under an hour on two cores.
mutants: .venv/.installed-test
	$(BIN)/python -m tests.mutants $(ARGS)

clean:
	rm -rf .venv .venv-minimum build *.egg-info
