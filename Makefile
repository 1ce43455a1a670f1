# Every chore is one word; `make help` lists them. Needs nothing but Python 3.11 and make.
#
#   PYTHON       interpreter for the environment            [python3.11, else python3]
#   VENV         where the environment lies                 [.venv]
#   TORCH        the torch to install                       [torch==2.13.0]
#   TORCH_INDEX  package index to take torch from           [empty: pip's own]
#
# On an ordinary Linux machine pip's own index gives the CUDA build of torch, with gigabytes of packages that are of no
# use without a GPU. Take the CPU build from PyTorch's own index instead, for the first `make`; pytorch.org shows its
# address beside "CPU":
#
#   make demo TORCH_INDEX=URL

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := $(VENV)/.installed
PROTO_VENV := $(VENV)-proto
PROTO_INSTALLED := $(PROTO_VENV)/.installed
WIRE := probescout_client/wire/v1
# Run in src/client, so that the stubs land under their own package without editing.
PROTOC = $(abspath $(PROTO_VENV))/bin/python -m grpc_tools.protoc -I $(WIRE)=../../proto/probescout/v1 \
	--python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) $(WIRE)/probescout.proto

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-prefect demo demo-campaign test test-prefect check proto proto-check docs bench-latency bench-quality bench-peers bench-tables bench-theory bench-transfer bench-theory-load bench-theory-workers bench-scale demo-theory client-wheel client-sweep clean

help: ## list the chores
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' $(MAKEFILE_LIST) | while read -r name what; do \
		printf '  make %-14s %s\n' "$$name" "$$what"; done

install: $(INSTALLED) ## create the environment, once

$(INSTALLED): pyproject.toml src/client/pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Probescout needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "== Setting up $(VENV): torch, then Probescout and what it needs. Minutes the first time, then never again."
	test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV)
	$(PIP) install $(TORCH_INDEX:%=--index-url %) $(TORCH)
	$(PIP) install -c constraints.txt -e src/client -e '.[dev,readers,theory,hyperspy,bluesky,dask]'
	@touch $@

demo: $(INSTALLED) ## plan on a simulated microscope with a real server, in under a minute
	@echo "== A planner server and a client at a simulated microscope: planner against random and grid."
	$(BIN)/probescout demo

# Prefect brings 60 packages, 180 MB, a minute: those who schedule campaigns with it install it once.
PREFECT_INSTALLED := $(VENV)/.installed-prefect
install-prefect: $(PREFECT_INSTALLED) ## add Prefect to the environment, once

$(PREFECT_INSTALLED): $(INSTALLED)
	$(PIP) install -c constraints.txt -e '.[prefect]'
	@touch $@

demo-campaign: $(PREFECT_INSTALLED) ## two regions by Prefect, killed twice, finished all the same; about 3 minutes
	@$(BIN)/python examples/campaign_demo.py

# A file of tests stays in one process, as its fixtures are shared. PROCESSES=1 runs them one after the other.
test: $(INSTALLED) ## run the whole test suite in two processes; needs no network
	@echo "== Running the tests of the service (tests/) and of the client (src/client/tests/)."
	$(BIN)/python -m pytest -n $(or $(PROCESSES),2) --dist loadfile

test-prefect: $(PREFECT_INSTALLED) ## schedules, cancelling, theory jobs on real Prefect servers; about 20 minutes
	PROBESCOUT_TEST_PREFECT=1 $(BIN)/python -m pytest tests/campaigns/test_prefect*.py tests/runtime/test_theory_prefect.py -q

check: $(INSTALLED) ## lint, types, floors, and whether generated files are current
	@echo "== Checking style, types, floors, stubs and reference."
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p probescout_client
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory proto-check
	$(BIN)/python docs/build_reference.py --check

# Stubs refuse runtimes older than their generator: those of grpcio-tools 1.62.3 work with every protobuf from 3.20 on.
# It needs protobuf < 5 and the pkg_resources of setuptools < 80, hence an environment of its own.
$(PROTO_INSTALLED): Makefile
	@echo "== Setting up $(PROTO_VENV) with grpcio-tools 1.62.3."
	test -x $(PROTO_VENV)/bin/pip || "$(PYTHON)" -m venv $(PROTO_VENV)
	$(PROTO_VENV)/bin/python -m pip --disable-pip-version-check install 'grpcio-tools==1.62.3' 'setuptools<80'
	@touch $@

proto: $(PROTO_INSTALLED) ## regenerate the stubs in src/client from proto/
	cd src/client && $(call PROTOC,.)

proto-check: $(PROTO_INSTALLED) ## fail when regenerating the stubs would change them
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	(cd src/client && $(call PROTOC,$$fresh)) && \
	for file in $$(cd "$$fresh" && find . -type f); do \
		diff -u "src/client/$$file" "$$fresh/$$file" || { echo "stubs are out of date: run make proto" >&2; exit 1; }; \
	done && echo "stubs are up to date"

docs: $(INSTALLED) ## rewrite docs/reference from the plug-ins and the contract
	$(BIN)/python docs/build_reference.py

# SIZES=64,256, OBSERVATIONS=200 and DWELL=0.03 (s a point) choose; PEERS=none leaves AtomAI out. docs/benchmarks says what
# is measured.
bench-latency: $(INSTALLED) ## time Steps on a real server, and one of AtomAI, as JSON
	@$(BIN)/python -m benchmarks.latency --sizes "$(SIZES)" --observations $(or $(OBSERVATIONS),200) --dwell $(or $(DWELL),0) \
		--peers "$(PEERS)"

# ARMS=random,probescout_ei SEEDS=3 BUDGET=50 PROCESSES=2 choose, CASES is a folder of neutral-format files or names of
# cases, PEERS=none leaves the peers out. Hours with nothing chosen; call it again to go on after an interruption.
bench-quality: $(INSTALLED) ## plan every case by every arm and score it, as JSON
	@$(BIN)/python -m benchmarks.quality --arms "$(ARMS)" --seeds "$(SEEDS)" --budget "$(BUDGET)" --cases "$(CASES)" \
		--peers "$(PEERS)" --processes $(or $(PROCESSES),2)

bench-peers: $(INSTALLED) ## run AtomAI, GPax and gpCAM in environments of their own; hours, resumable
	$(BIN)/python -m benchmarks.peers.jobs $(PEERS:%=--peers %) --torch-index "$(TORCH_INDEX)"

# SEEDS=800 ATOMISTIC=20 choose: seeds on the cheap truth, about 9 minutes on 2 cores, and on images of graphene with
# energies by xTB (none by default), which are kept in out/benchmarks/theory-energies. Those from 10,000 on were for tuning.
bench-theory: $(INSTALLED) ## campaigns with right and wrong theory against those without, as JSON
	@$(BIN)/python -m benchmarks.theory --seeds $(or $(SEEDS),800) --atomistic $(or $(ATOMISTIC),0) --processes $(or $(PROCESSES),2)

# SEEDS=10 chooses: so many pairs of samples of each of three kinds, about 11 minutes on 2 cores.
bench-transfer: $(INSTALLED) ## campaigns from a similar and from a meaningless earlier model against those without, as JSON
	@$(BIN)/python -m benchmarks.transfer --seeds $(or $(SEEDS),10) --processes $(or $(PROCESSES),2)

# ROUNDS=4 BLOCKS=5 choose: servers, and blocks of 20 Steps an arm on each. Nothing else should run; about 8 minutes.
bench-theory-load: $(INSTALLED) ## time Steps beside hanging, crashing and flooding theory executors, as JSON
	@$(BIN)/python -m benchmarks.theory_load --rounds $(or $(ROUNDS),4) --blocks $(or $(BLOCKS),5)

# JOBS=40 EXECUTOR=local|dask|prefect choose; the last needs `make install-prefect`.
bench-theory-workers: $(INSTALLED) ## time equal theory jobs with one worker and with four, as JSON
	@$(BIN)/python -m benchmarks.theory_workers --jobs $(or $(JOBS),40) --executor $(or $(EXECUTOR),local)

# CAMPAIGNS=1,5,10 WORKERS=4,50 STEPS=15 OBSERVATIONS=1000000 choose, OBSERVATIONS=0 or CAMPAIGNS=0 leaves a half out.
# About 10 minutes for the load, half an hour and 6 GiB of disk for the store. docs/scale.md says what is measured.
bench-scale: $(INSTALLED) ## one server with up to 50 campaigns at once, a store with a million observations, as JSON
	@$(BIN)/python -m benchmarks.scale --campaigns "$(CAMPAIGNS)" --workers "$(WORKERS)" --steps $(or $(STEPS),15) \
		--observations $(or $(OBSERVATIONS),1000000)

demo-theory: $(INSTALLED) ## probe simulated graphene while xTB simulates what is seen, in under 5 minutes
	@$(BIN)/python -m benchmarks.theory_demo

bench-tables: $(INSTALLED) ## write docs/benchmarks from the latest results
	$(BIN)/python -m benchmarks.tables

client-wheel: $(INSTALLED) ## build the client wheel, install it alone, talk to a live server
	$(BIN)/python tests/wire/check_client_wheel.py

client-sweep: $(INSTALLED) ## install and run the client on every Python found; needs the package index
	$(BIN)/python src/client/tests/sweep.py

clean: ## remove environments, caches and build products
	rm -rf $(VENV) $(PROTO_VENV) $(VENV)-peers out build dist src/client/build src/client/*.egg-info demo-result demo-theory-result
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src scalarizers planners theory tests benchmarks examples docs -name __pycache__ -type d -prune -exec rm -rf {} +
