# `make help` lists what there is to do. Needs Python 3.11 or later and a package index; `make lint` and `make test` need npm too.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS_VENV := .venv-protos
BUF := node_modules/.bin/buf
NODE_CLIENT := examples/node/node_modules/.package-lock.json

# Moved by hand, after the curves of the trainers have been compared; everything else moves with `make lock`.
TORCH := torch==2.13.0

# Passed on to the command that a target runs: make test ARGS="-k resume", make serve ARGS="--workers 4".
ARGS ?=

# Older releases of pip read the first for what they install and for what they build with, newer ones want both.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start the command hundreds of times: what it has compiled is kept, whatever the surroundings prefer.
unexport PYTHONDONTWRITEBYTECODE

# A container engine that answers; the docker client alone is not one.
ENGINE ?= $(shell for engine in docker podman; do $$engine info >/dev/null 2>&1 && echo $$engine && break; done)
IMAGE ?= gradstream
# Podman's own format of images has no health checks.
export BUILDAH_FORMAT := docker
# Passed on to the build of the image: IMAGE_ARGS="--build-arg BASE_IMAGE=...". See deploy/Dockerfile.
IMAGE_ARGS ?=

BENCHMARKS ?= $(filter-out %/__init__.py,$(wildcard benchmarks/*.py))

# What a change of the contract must not break: the last release, or before there is one, the main branch.
CONTRACT_BASE ?= $(shell git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null \
	|| git rev-parse --verify --quiet origin/main || git rev-parse --verify --quiet main)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ Use

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN { FS = ":.*## "; printf "Usage: make TARGET [ARGS=...]\n" } \
		/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/.server ## Start a server, train the reference experiments and a real table, stop it.
	@$(BIN)/python examples/demo.py

.PHONY: serve
serve: $(VENV)/.server ## Run a server here, until Ctrl-C.
	@exec $(BIN)/gradstream serve $(ARGS)

##@ Develop

# Two at once, on two cores: most tests wait for servers and workers now and then. In their order: chaos comes first,
# for it takes minutes whatever else there is to do.
.PHONY: test
test: lint ## Check everything: lint, then all tests.
	$(MAKE) pytest ARGS="--numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)"

.PHONY: pytest
pytest: $(VENV)/.dev $(BUF) $(NODE_CLIENT) ## Run the tests alone: make pytest ARGS="tests/unit -k loss".
	$(BIN)/python -m pytest $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.dev ## Kill, cut and stall for an hour, and see that nothing is lost: make chaos ARGS="--minutes 5 --seed 7".
	$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev lint-protos ## Check style, types, import contracts and the contract, without running it.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.dev $(BUF) ## Format Python and protos.
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BUF) format --write

.PHONY: bench
bench: $(VENV)/.bench ## Run the benchmarks, or some: make bench BENCHMARKS=benchmarks/trainers.py.
	@for benchmark in $(BENCHMARKS); do echo "$$benchmark" && $(BIN)/python "$$benchmark" $(ARGS) || exit; done

##@ Contract

# Below two folders, client and server. protoc runs inside protos/, so that a proto's path is its Python import. Only
# services get a _pb2_grpc module. The Open Inference Protocol is for the server; the client has its messages under
# a package of their own, see gradstream/inference/__init__.py.
define generate
	cd protos && PATH="$(CURDIR)/$(PROTOS_VENV)/bin:$$PATH" && \
	renamed=$$(mktemp -d) && trap 'rm -rf "$$renamed"' EXIT && \
	sed -e 's/^package inference;/package gradstream.inference;/' -e '/^service /,/^}/d' \
		inference/open_inference.proto >"$$renamed/open_inference.proto" && \
	python -m grpc_tools.protoc -I. --python_out="$(1)" --mypy_out="quiet:$(1)" gradstream/v1/*.proto && \
	python -m grpc_tools.protoc -I. --grpc_python_out="$(1)" --mypy_grpc_out="quiet:$(1)" gradstream/v1/*_service.proto && \
	python -m grpc_tools.protoc -Igradstream/inference="$$renamed" --python_out="$(1)" --mypy_out="quiet:$(1)" \
		gradstream/inference/open_inference.proto && \
	python -m grpc_tools.protoc -Igradstream_server/inference=inference --python_out="$(2)" --mypy_out="quiet:$(2)" \
		--grpc_python_out="$(2)" --mypy_grpc_out="quiet:$(2)" gradstream_server/inference/open_inference.proto
endef

# What is generated, each folder beside nothing but its __init__.py.
GENERATED := client/gradstream/v1 client/gradstream/inference server/gradstream_server/inference

.PHONY: protos
protos: $(PROTOS_VENV)/.tools ## Generate Python from protos/.
	rm -f $(GENERATED:=/*_pb2*)
	($(call generate,$(CURDIR)/client,$(CURDIR)/server))

.PHONY: lint-protos
lint-protos: $(PROTOS_VENV)/.tools $(BUF) ## Lint the contract, refuse what breaks its users, and find stale generated code.
	$(BUF) lint
	$(BUF) format --diff --exit-code
	@if git cat-file -e "$(CONTRACT_BASE):protos/gradstream" 2>/dev/null; then \
		echo "$(BUF) breaking --against $(CONTRACT_BASE)"; \
		git archive "$(CONTRACT_BASE)" buf.yaml protos | $(BUF) breaking --against '-#format=tar'; \
	else \
		echo "there is no earlier contract to break"; \
	fi
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && mkdir "$$fresh/client" "$$fresh/server" && \
	($(call generate,$$fresh/client,$$fresh/server)) && for folder in $(GENERATED); do \
		diff -r --exclude=__init__.py --exclude=__pycache__ "$$fresh/$$folder" "$$folder" || \
		{ echo "$$folder is not what protos/ gives: run 'make protos' and commit the result" >&2; exit 1; }; \
	done

##@ Deploy

.PHONY: image
image: ## Build the container image with docker or podman, whichever runs here.
	@test -n "$(ENGINE)" || { echo "no container engine answers: start Docker, or install Podman" >&2; exit 1; }
	$(ENGINE) build --file deploy/Dockerfile --tag $(IMAGE) $(IMAGE_ARGS) .

.PHONY: image-test
image-test: $(VENV)/.server ## Build the image, train through a container of it, and stop it.
	@test -n "$(ENGINE)" || { echo "no container engine answers: start Docker, or install Podman" >&2; exit 1; }
	@$(BIN)/python deploy/image_test.py $(ENGINE)

##@ Keep house

.PHONY: lock
lock: ## Pin the newest versions of everything but torch in constraints.txt.
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	env -u PIP_CONSTRAINT -u PIP_BUILD_CONSTRAINT sh -ec ' \
		build/lock/bin/pip install -qq --upgrade pip; \
		build/lock/bin/pip install -qq $(TORCH) hatchling ".[server]" --group dev --group bench'
	{ grep '^#' constraints.txt; build/lock/bin/pip freeze --all --exclude gradstream | sed 's/+cpu$$//'; } > build/lock/pins
	mv build/lock/pins constraints.txt

.PHONY: clean
clean: ## Remove what make has made here: environments, caches, builds.
	rm -rf $(VENV) $(PROTOS_VENV) node_modules examples/node/node_modules build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find client server tests benchmarks examples deploy docs -name __pycache__ -prune -exec rm -rf {} +

# Installed once, and again when what they are made from changes.

$(VENV)/.server: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gradstream needs Python 3.11 or later; name it: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -qq --editable '.[server]'
	@touch $@

$(VENV)/.dev: $(VENV)/.server
	$(BIN)/pip install -qq pip
	$(BIN)/pip install -qq --group dev
	@touch $@

$(VENV)/.bench: $(VENV)/.server
	$(BIN)/pip install -qq pip
	$(BIN)/pip install -qq --group bench
	@touch $@

$(PROTOS_VENV)/.tools: requirements-protos.txt
	$(PYTHON) -m venv $(PROTOS_VENV)
	PIP_CONSTRAINT= PIP_BUILD_CONSTRAINT= $(PROTOS_VENV)/bin/pip install -qq --requirement requirements-protos.txt
	@touch $@

$(BUF): package.json package-lock.json
	@command -v npm >/dev/null || { echo "buf, which checks the contract, comes from npm: install Node.js 18 or later with npm" >&2; exit 1; }
	npm ci --ignore-scripts --no-fund --no-audit
	@touch $@

$(NODE_CLIENT): examples/node/package.json examples/node/package-lock.json
	npm ci --prefix examples/node --ignore-scripts --no-fund --no-audit
	@touch $@
