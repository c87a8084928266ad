# The index of what can be done here: `make help`. Each target does all the set-up it needs.

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.version_info < (3, 11) or print("$(name)")' 2>/dev/null)) python3)
VENV := .venv/bin
export PATH := $(CURDIR)/$(VENV):$(CURDIR)/.tools/bin:$(PATH)
COMPILE := pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
comma := ,
TAGGED = meshwright:$(or $(TAG),dev)
SOURCES := mesh services edge local demo tools tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help up down status logs clean demo dead-letters generate breaking lint format types test requirements grpcurl \
	helm golden connect-conformance browser-clients client-generators go-backend third-party fuzz bench-edge bench-start \
	bench-streams bench-messages bench-reads \
	image compose compose-down compose-test cluster-test sbom audit

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Ports: make up PORT=8081 for the edge's; PORTS=free picks free ones for all that are not set."
	@echo "  The others: MAIL_PAGE_PORT SMTP_PORT POSTGRES_PORT NATS_PORT and, for each service, for example,"
	@echo "  ORDERS_PORT and ORDERS_OPS_PORT. MESH_HOME=<folder> keeps the state elsewhere than in .mesh."

# Running it

up: .venv/requirements-dev.sha256 ## start the whole mesh and print where it is; Ctrl-C stops it
	@$(VENV)/python -m local up

down: .venv/requirements-dev.sha256 ## stop a mesh that runs in another terminal
	@$(VENV)/python -m local down

status: .venv/requirements-dev.sha256 ## list the processes; exit status 0 when all are ready
	@$(VENV)/python -m local status

logs: .venv/requirements-dev.sha256 ## follow what the processes print; of one: make logs SERVICE=orders
	@$(VENV)/python -m local logs $(SERVICE)

clean: .venv/requirements-dev.sha256 ## stop the mesh and remove its data
	@$(VENV)/python -m local clean

demo: .venv/requirements-dev.sha256 ## fill a running mesh with a believable shop, through the public API
	@$(VENV)/python -m demo

dead-letters: .venv/requirements-dev.sha256 ## list the events a service gave up on: SERVICE=notifications; again: REPLAY=<id or all>
	@$(VENV)/python -m local dead-letters $(SERVICE) $(if $(REPLAY),--replay $(REPLAY))

compose: image ## run the whole mesh in containers, in the background; down again: make compose-down
	@docker compose version >/dev/null 2>&1 || { echo "Docker Compose is not here; install its plugin: https://docs.docker.com/compose/install"; exit 1; }
	@$(PYTHON) tools/compose_secrets.py
	@IMAGE=$(TAGGED) docker compose up --detach --wait || { echo "Why: docker compose logs <what is named above>"; exit 1; }
	@echo "REST http://localhost:$${PORT:-8080}   Mail http://localhost:$${MAIL_PAGE_PORT:-8025}/$$(sed -n 's/^MAIL_PAGE_TOKEN=//p' .env)/   Staff staff@example.com, password in .env"

compose-down: ## stop the containers; their volumes stay
	@docker compose --project-name meshwright down

image: ## build the container image: BASE=<base image> TAG=<tag> CA=<file of certificates that pip should trust>
	@docker version >/dev/null 2>&1 || { echo "Docker is not here, or its daemon does not answer: docker version"; exit 1; }
	@DOCKER_BUILDKIT=1 SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null) docker build $(if $(BASE),--build-arg BASE=$(BASE)) \
		$(if $(CA),--secret id=ca$(comma)src=$(CA)) --tag $(TAGGED) .

# Changing it

generate: .venv/requirements-dev.sha256 ## make gen/ anew from proto/
	@$(VENV)/python tools/generate.py

breaking: .venv/requirements-dev.sha256 ## say what would break clients since a git ref: make breaking AGAINST=main
	@$(VENV)/python tools/third_party.py third_party
	@rm -rf .tools/against && mkdir -p .tools/against
	@git archive $(or $(AGAINST),$(error AGAINST names the git ref to compare with: make breaking AGAINST=main)) \
		buf.yaml proto | tar -x -C .tools/against
	@cp -R third_party .tools/against
	@$(VENV)/buf breaking --against .tools/against

lint: .venv/requirements-dev.sha256 ## check style, imports and contracts
	@$(VENV)/ruff check $(wildcard $(SOURCES))
	@$(VENV)/ruff format --check --quiet $(wildcard $(SOURCES)) || { echo "Run: make format"; exit 1; }
	@report=$$($(VENV)/lint-imports --no-cache) || { echo "$$report"; exit 1; }

format: .venv/requirements-dev.sha256 ## format code and contracts
	@$(VENV)/ruff check --fix --quiet $(wildcard $(SOURCES)) || true
	@$(VENV)/ruff format $(wildcard $(SOURCES))
	@$(VENV)/buf format --write proto

types: .venv/requirements-dev.sha256 ## check types
	@$(VENV)/mypy

test: lint types grpcurl helm connect-conformance browser-clients client-generators go-backend third-party ## everything: style, types, unit and system tests
	@$(VENV)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

compose-test: image .venv/requirements-dev.sha256 grpcurl ## prove compose.yaml with real containers; needs docker compose
	@IMAGE=$(TAGGED) $(VENV)/pytest tests/compose --timeout 300 $(ARGS)

cluster-test: .venv/requirements-dev.sha256 helm grpcurl ## prove the chart on the cluster of KUBECONFIG; see docs/operations.md
	@$(VENV)/pytest tests/cluster --timeout 900 $(ARGS)

fuzz: .venv/requirements-dev.sha256 ## look for inputs that break the edge: TIME=<seconds for each target> TARGETS="json http"
	@$(VENV)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade \
		--target .tools/fuzz/packages --requirement tests/fuzz/requirements.txt
	@PYTHONPATH=.:gen:.tools/fuzz/packages $(VENV)/python -m tests.fuzz $(or $(TIME),60) $(TARGETS)

requirements: .venv/requirements-dev.sha256 ## pin the newest versions that pyproject.toml allows
	@$(VENV)/$(COMPILE) --output-file requirements.txt pyproject.toml
	@$(VENV)/$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml
	@$(VENV)/$(COMPILE) --output-file tests/generators/requirements.txt tests/generators/requirements.in

sbom: .venv/requirements-dev.sha256 ## list what the image holds of Python packages, with versions and licences, in sbom.json (CycloneDX)
	@rm -rf .tools/runtime && $(VENV)/python -m venv --without-pip .tools/runtime
	@$(VENV)/python -m pip --python .tools/runtime/bin/python --disable-pip-version-check install --quiet --require-hashes --no-deps \
		--only-binary :all: --requirement requirements.txt
	@rm -rf .tools/runtime/lib/python*/site-packages/setuptools* # as the image does
	@$(VENV)/cyclonedx-py environment .tools/runtime --pyproject pyproject.toml --output-reproducible --output-file sbom.json

audit: .venv/requirements-dev.sha256 ## ask PyPI's database whether a pinned package has a known vulnerability
	@$(VENV)/pip-audit --strict --progress-spinner off --disable-pip --require-hashes --requirement requirements.txt || { \
		echo "Not passed: pip-audit says above what is vulnerable, or that PyPI did not answer."; exit 1; }

bench-edge: .venv/requirements-dev.sha256 ## measure the edge beside the same method written by hand with FastAPI
	@PYTHONPATH=. $(VENV)/python benchmarks/edge.py

bench-start: .venv/requirements-dev.sha256 ## measure the edge's start and routing with 14,000 rules: IMAGE=<file> for another image
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.start $(IMAGE)

bench-streams: .venv/requirements-dev.sha256 ## measure streams of the edge beside Envoy's transcoder
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.streams

bench-reads: .venv/requirements-dev.sha256 ## measure the catalogue under expensive queries: PRODUCTS=500000 for more than 50,000
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.reads $(PRODUCTS)

bench-messages: .venv/requirements-dev.sha256 ## measure three Python runtimes of Protobuf on one order
	@$(VENV)/python benchmarks/messages.py

third-party: .venv/requirements-dev.sha256 ## fill third_party/ with the .proto files that our contracts import
	@$(VENV)/python tools/third_party.py third_party

browser-clients: .venv/requirements-dev.sha256 ## put the libraries that browsers call with into .tools
	@$(VENV)/python tools/browser_clients.py

client-generators: .venv/requirements-dev.sha256 ## put the generators of clients from OpenAPI into .tools
	@$(VENV)/python tools/client_generators.py

connect-conformance: .venv/requirements-dev.sha256 ## put the conformance suite of Connect and gRPC-Web into .tools
	@$(VENV)/python tools/connect_conformance.py

go-backend: .venv/requirements-dev.sha256 ## build the tests' backend in Go
	@$(VENV)/python tools/go_backend.py

grpcurl: .venv/requirements-dev.sha256 ## put grpcurl into .tools/bin
	@$(VENV)/python tools/go_tools.py grpcurl

helm: .venv/requirements-dev.sha256 ## put Helm 4 and Helm 3, as helm3, into .tools/bin
	@$(VENV)/python tools/go_tools.py helm helm3

golden: helm ## write the committed renders of the chart anew
	@PYTHONPATH=. $(VENV)/python tests/chart/render.py

.venv/requirements-dev.sha256: requirements-dev.txt tools/environment.py
	@$(PYTHON) tools/environment.py
