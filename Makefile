# `make` lists the targets.
PYTHON ?= python3
VENV   := .venv
LABKIT := $(VENV)/bin/labkit
BIN    := $(VENV)/bin
CLUSTER ?= $(or $(LABKIT_CLUSTER),lab)
MINUTES ?= 10
export LABKIT_CLUSTER := $(CLUSTER)

.DEFAULT_GOAL := help
.PHONY: help up down destroy lab labs status test check wheel bench matrix fuzz chaos test-vm test-vm-docker venv unit cluster node kubectl e2e content record test-offline interrupts test-ssh

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/.host  ## install what is missing, boot master + 2 agents, provision them, end at the first lab
	@$(LABKIT) up

down: $(VENV)/.host  ## halt the machines (make up brings them back)
	@$(LABKIT) down

destroy: $(VENV)/.host  ## remove the machines and all that belongs to them (asks first)
	@$(LABKIT) destroy

lab: $(VENV)/.host  ## list the labs, with progress; LAB=redis-master plays one
	@$(LABKIT) lab $(LAB)

status: $(VENV)/.host  ## machines, units and nodes at a glance
	@$(LABKIT) status

test: $(VENV)/.dev  ## run every layer of tests that this machine can run (installs what it needs)
	@$(BIN)/python tests/run.py

check: $(VENV)/.dev  ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

wheel: $(VENV)/.dev  ## dist/labkit_classroom-VERSION-py3-none-any.whl, for `pipx install`: all that a checkout has is inside
	@$(BIN)/python -m hatchling build --target wheel --directory dist

bench: $(VENV)/.dev  ## measure; WHAT=name for one of them (bench/results/NAME.json)
	@$(BIN)/python -m bench $(WHAT)

fuzz: $(VENV)/.dev  ## bad input by the ten thousand against kube-apiserver; MINUTES=10, SEED=number for the same again
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

chaos: $(VENV)/.dev  ## kill, pause and cut off API servers and etcd for MINUTES=10, judge what everybody was told; then every fault on the machines
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.chaos.machines --cluster $(CLUSTER)

test-vm: $(VENV)/.dev  ## three real virtual machines from nothing, the lab redis-master on them (libvirt; emulated without KVM)
	@$(BIN)/python -m tests.vm machines

test-vm-docker: $(VENV)/.dev  ## the docker provider on an emulated Debian 12 like the users' hosts: cgroup v2, AppArmor (root)
	@$(BIN)/python -m tests.vm docker

unit cluster node kubectl content e2e: $(VENV)/.dev  ## one layer of the tests
	@$(BIN)/python tests/run.py $@

test-offline: $(VENV)/.dev  ## a bundle, and the cluster from it where there is no network (root; LABKIT_BUNDLE=FILE: from that one)
	@$(BIN)/python -m pytest tests/offline -s --no-header -p no:cacheprovider

interrupts: $(VENV)/.dev  ## Ctrl-C after every step of `labkit up`, each time further on; at the end it must be a cluster like any other (3 minutes)
	@$(BIN)/python -m tests.interrupts

test-ssh: $(VENV)/.dev  ## three hosts that were there already, the lab on them, compared before and after (root, docker)
	@$(BIN)/python -m pytest tests/ssh -x -s --no-header -p no:cacheprovider

matrix: $(VENV)/.dev  ## every kubectl from 1.20 to the newest x every command: docs/kubectl-matrix.md
	@$(BIN)/python -m tests.kubectl $(VERSIONS)

labs: $(VENV)/.host  ## play every lab by its own solution on a running cluster: docs/labs.md; LABS="name name", SKIP=1, IN=zh
	@$(BIN)/python -m labkit.guide.rehearsal --cluster $(CLUSTER) $(if $(SKIP),--skip) $(if $(IN),--lang $(IN)) $(LABS)

record: $(VENV)/.host  ## refresh outputs, pictures and code in labs and walkthroughs on a running cluster, say what drifted; DRY=1
	@$(BIN)/python -m labkit.guide.record --cluster $(CLUSTER) $(if $(DRY),--dry-run) $(LABS)

# One file per set of packages says which pyproject.toml it was made from.
$(VENV)/.host: pyproject.toml
	@sh labkit/provision/bootstrap.sh
	@echo "labkit: Python packages into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.host
	@echo "labkit: Python packages of the tests into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
