# `make help` lists all targets. Each target does all the set-up that it needs.

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.version_info < (3, 11) or print("$(name)")' 2>/dev/null)) python3)
VENV := .venv/bin
# Bytecode is cached also where the environment turns that off, as images of Python do: without it, each of the mesh's
# processes would compile its code at each start.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(VENV):$(CURDIR)/.tools/bin:$(PATH)
COMPILE := pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
comma := ,
TAGGED = meshwright:$(or $(TAG),dev)
TESTED = $(subst -,_,$(SERVICE))
TEST_TOOLS := helm go-backend connect-conformance grpcurl client-generators typescript browser-clients grpc-js third-party rabbitmq
# Much of a test is waiting, so there is one worker more than processors.
TEST_WORKERS = $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() + 1, 4))')
# The edge's calls and streams, which are tested with grpc.aio too; all other tests use the HTTP/2 client.
GRPC_TESTS := tests/edge/protocols tests/edge/call tests/edge/test_in_mesh.py tests/edge/test_large_bodies.py
STYLE_TESTS := tests/docs/test_markdown.py tests/docs/test_decisions.py tests/contract/test_comments.py \
	tests/contract/test_docstrings.py
SOURCES := mesh services edge local demo clients tools tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help up down restart status logs psql events mails clean demo simulate audit-store chaos dead-letters service generate clients breaking lint style format types test helm3-test requirements \
	grpcurl helm helm3 golden connect-conformance browser-clients grpc-js client-generators typescript go-backend rabbitmq third-party fuzz bench flames bench-edge bench-service bench-workers bench-start \
	bench-streams bench-messages bench-reads bench-events bench-indexes bench-ingest bench-store \
	image compose compose-down compose-test chart-test kind cluster-test sbom audit dist publish

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Ports: make up PORT=8081 sets the port of the edge. PORTS=free picks a free port for every port that is not set."
	@echo "  Other ports: MAIL_PAGE_PORT SMTP_PORT POSTGRES_PORT NATS_PORT RABBITMQ_PORT and two for each service, such as"
	@echo "  ORDERS_PORT and ORDERS_OPS_PORT. MESH_HOME=<folder> keeps the state in this folder instead of .mesh."
	@echo "  BROKER=rabbitmq runs RabbitMQ instead of NATS; make rabbitmq installs it."

# Running it

up: .venv/requirements-up.sha256 ## start the mesh and restart processes whose code changes; Ctrl-C stops it, RELOAD=off disables restarts
	@$(VENV)/python -m local up

down: .venv/requirements-up.sha256 ## stop the mesh that runs in another terminal
	@$(VENV)/python -m local down

restart: .venv/requirements-up.sha256 ## restart one process of the mesh: make restart SERVICE=orders
	@$(VENV)/python -m local restart $(SERVICE)

status: .venv/requirements-up.sha256 ## list the processes; the exit status is 0 if all are ready
	@$(VENV)/python -m local status

logs: .venv/requirements-up.sha256 ## follow the logs of all processes, or of one: make logs SERVICE=orders
	@$(VENV)/python -m local logs $(SERVICE)

psql: .venv/requirements-up.sha256 ## open the database of a service: make psql SERVICE=orders
	@$(VENV)/python -m local psql $(SERVICE)

events: .venv/requirements-up.sha256 ## follow the events of a service as JSON lines (with RabbitMQ only new ones): make events SERVICE=orders
	@$(VENV)/python -m local events $(SERVICE)

mails: .venv/requirements-up.sha256 ## list the mails that the mesh has sent, newest first
	@$(VENV)/python -m local mails

clean: .venv/requirements-up.sha256 ## stop the mesh and remove its data
	@$(VENV)/python -m local clean

demo: .venv/requirements-up.sha256 ## fill the running shop with sample products, customers and orders
	@$(VENV)/python -m demo

simulate: .venv/requirements-up.sha256 ## simulate shoppers in the running shop: ARGS="--rate 20 --minutes 5"
	@PYTHONPATH=.:gen $(VENV)/python -m demo.simulate $(ARGS)

audit-store: .venv/requirements-up.sha256 ## check the invariants of the running shop in its databases: money, stock, orders, events
	@PYTHONPATH=.:gen $(VENV)/python -m demo.audit $(ARGS)

chaos: .venv/requirements-up.sha256 ## inject faults into the running shop under load, then audit it: ARGS="--orders 10000 --faults 1000"
	@PYTHONPATH=.:gen $(VENV)/python -m demo.chaos $(ARGS)

dead-letters: .venv/requirements-up.sha256 ## list the dead letters of SERVICE=<name>; SHOW=<event id> shows one, REPLAY=<event id or all> replays them, with OVERTAKEN=1 out of order too
	@$(VENV)/python -m local dead-letters $(SERVICE) $(if $(SHOW),--show $(SHOW)) $(if $(REPLAY),--replay $(REPLAY)) $(if $(filter-out 0 no off false,$(OVERTAKEN)),--overtaken)

compose: image ## start the mesh in containers in the background: BROKER=<nats or rabbitmq>
	@docker compose version >/dev/null 2>&1 || { echo "Docker Compose is not installed. Install its plugin: https://docs.docker.com/compose/install"; exit 1; }
	@$(PYTHON) tools/compose_secrets.py
	@IMAGE=$(TAGGED) docker compose $(if $(filter rabbitmq,$(BROKER)),--file compose.yaml --file compose.rabbitmq.yaml) up --detach --wait || { echo "A container failed. To see its log, run: docker compose logs <name of the container>"; exit 1; }
	@echo "REST http://localhost:$${PORT:-8080}   Mail http://localhost:$${MAIL_PAGE_PORT:-8025}/$$(sed -n 's/^MAIL_PAGE_TOKEN=//p' .env)/   Staff staff@example.com, password in .env"

compose-down: ## stop the containers and keep their volumes
	@docker compose --project-name meshwright down

image: ## build the container image: BASE=<base image> TAG=<tag> CA=<certificates for pip>
	@docker version >/dev/null 2>&1 || { echo "Docker is not installed, or its daemon does not respond: see docker version"; exit 1; }
	@DOCKER_BUILDKIT=1 SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null) docker build $(if $(BASE),--build-arg BASE=$(BASE)) \
		$(if $(CA),--secret id=ca$(comma)src=$(CA)) --tag $(TAGGED) .

# Changing it

service: $(if $(NAME),.venv/requirements-dev.sha256) ## create a new service with its contract and tests: make service NAME=reviews
	@PYTHONPATH=. $(if $(NAME),$(VENV)/python,$(PYTHON)) tools/service.py "$(NAME)" "$(RESOURCE)"

generate: .venv/requirements-dev.sha256 ## generate gen/, compose.yaml and parts of the chart from proto/ and services/*/service.toml
	@$(VENV)/python tools/generate.py
	@[ ! -x .tools/bin/helm ] || [ '$(GOLDEN)' = off ] || PYTHONPATH=. $(VENV)/python tests/chart/render.py # else `make golden` does it, once Helm is built

clients: .venv/requirements-dev.sha256 .venv/requirements-toolchains.sha256 ## build the client packages for Python and TypeScript, and a Postman collection, in dist/clients
	@$(VENV)/python -m tools.clients

breaking: .venv/requirements-dev.sha256 ## list changes since a git ref that would break clients: make breaking AGAINST=main
	@test -n '$(AGAINST)' || { echo "AGAINST is missing. Set it to the git ref to compare with: make breaking AGAINST=main"; exit 1; }
	@git cat-file -e '$(AGAINST):proto' 2>/dev/null || { \
		echo "The git ref $(AGAINST) has no contracts. Use a branch, tag or commit: make breaking AGAINST=main"; exit 1; }
	@$(VENV)/python tools/third_party.py third_party
	@rm -rf .tools/against && mkdir -p .tools/against
	@git archive '$(AGAINST)' buf.yaml proto | tar -x -C .tools/against
	@cp -R third_party .tools/against
	@cd .tools/against && $(CURDIR)/$(VENV)/buf build proto --as-file-descriptor-set --output before.binpb
	@$(VENV)/buf build proto --as-file-descriptor-set --output .tools/against/after.binpb
	@found=0; $(VENV)/buf breaking --against .tools/against || found=1; \
		$(VENV)/python -m tools.breaking .tools/against/before.binpb .tools/against/after.binpb || found=1; \
		[ $$found = 0 ] || { echo "The changes above break clients made from $(AGAINST)."; exit 1; }

lint: style ## check the style of code, contracts, documents and workflows, and imports
	@$(VENV)/python tools/go_tools.py actionlint && .tools/bin/actionlint

style: .venv/requirements-dev.sha256 third-party ## check what `make lint` does, except workflows: needs no program in Go
	@$(VENV)/ruff check $(wildcard $(SOURCES))
	@$(VENV)/ruff format --check --quiet $(wildcard $(SOURCES)) || { echo "Run: make format"; exit 1; }
	@report=$$($(VENV)/lint-imports --no-cache) || { echo "$$report"; exit 1; }
	@$(VENV)/buf lint
	@$(VENV)/buf format --diff --exit-code proto || { echo "Run: make format"; exit 1; }
	@report=$$($(VENV)/pytest --quiet $(STYLE_TESTS)) || { echo "$$report"; exit 1; }

format: .venv/requirements-dev.sha256 ## format code and contracts
	@$(VENV)/ruff check --fix --quiet $(wildcard $(SOURCES)) || true
	@$(VENV)/ruff format $(wildcard $(SOURCES))
	@$(VENV)/buf format --write proto

types: .venv/requirements-dev.sha256 ## check types
	@$(VENV)/mypy

# All that the tests need is set up and checked at the same time. Each Go build uses all cores, so these run one by one.
# The tests of one service need none of it, so that a new service is tested before Helm is built.
test: ## check style and types, and run all tests, or those of one SERVICE=<name>: ARGS=<arguments for pytest>
ifdef SERVICE
	@test -d tests/services/$(TESTED) || { echo "There is no folder tests/services/$(TESTED)."; exit 1; }
	@$(MAKE) --no-print-directory --jobs 2 style types
	@$(VENV)/pytest --numprocesses logical --maxprocesses 2 --dist loadfile tests/services/$(TESTED) tests/contract $(ARGS)
else
	@$(MAKE) --no-print-directory --jobs 8 lint types $(TEST_TOOLS)
	@$(VENV)/pytest --numprocesses $(TEST_WORKERS) --dist loadfile $(ARGS)
	@$(if $(ARGS),,UPSTREAM_TRANSPORT=grpc $(VENV)/pytest --numprocesses $(TEST_WORKERS) --dist loadfile $(GRPC_TESTS))
endif

helm3-test: .venv/requirements-dev.sha256 helm helm3 ## test the chart with Helm 3
	@$(VENV)/pytest tests/helm3 $(ARGS)

compose-test: image .venv/requirements-dev.sha256 grpcurl ## test compose.yaml with real containers; needs Docker Compose
	@IMAGE=$(TAGGED) $(VENV)/pytest tests/compose --timeout 300 $(ARGS)

chart-test: .venv/requirements-dev.sha256 helm ## lint and render the chart with Helm 3 and 4, and check every object
	@$(VENV)/pytest tests/chart $(ARGS)

kind: image ## create a kind cluster with the image, for make cluster-test; needs kind
	@kind version >/dev/null 2>&1 || { echo "kind is not installed: https://kind.sigs.k8s.io/docs/user/quick-start"; exit 1; }
	@kind create cluster --name meshwright --wait 180s
	@kind load docker-image $(TAGGED) --name meshwright

cluster-test: .venv/requirements-dev.sha256 helm grpcurl ## test the chart on the cluster of KUBECONFIG; see docs/operations.md
	@$(VENV)/pytest tests/cluster --timeout 900 $(ARGS)

fuzz: .venv/requirements-dev.sha256 ## search for inputs that break the edge: TIME=<seconds per target> TARGETS="json http"
	@$(VENV)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade \
		--target .tools/fuzz/packages --requirement tests/fuzz/requirements.txt
	@PYTHONPATH=.:gen:.tools/fuzz/packages $(VENV)/python -m tests.fuzz $(or $(TIME),60) $(TARGETS)

requirements: .venv/requirements-dev.sha256 ## pin the newest versions that pyproject.toml allows
	@$(VENV)/$(COMPILE) --output-file requirements.txt pyproject.toml
	@$(VENV)/$(COMPILE) --extra up --constraint requirements.txt --output-file requirements-up.txt pyproject.toml
	@$(VENV)/$(COMPILE) --extra up --extra dev --constraint requirements.txt --constraint requirements-up.txt \
		--output-file requirements-dev.txt pyproject.toml
	@$(VENV)/$(COMPILE) --output-file requirements-toolchains.txt requirements-toolchains.in
	@$(VENV)/$(COMPILE) --constraint requirements-dev.txt --output-file requirements-installers.txt requirements-installers.in
	@$(VENV)/$(COMPILE) --output-file tests/generators/requirements.txt tests/generators/requirements.in

sbom: .venv/requirements-dev.sha256 ## list the image's Python packages, versions and licences in sbom.json (CycloneDX)
	@rm -rf .tools/runtime && $(VENV)/python -m venv --without-pip .tools/runtime
	@$(VENV)/python -m pip --python .tools/runtime/bin/python --disable-pip-version-check install --quiet --require-hashes --no-deps \
		--only-binary :all: --requirement requirements.txt
	@rm -rf .tools/runtime/lib/python*/site-packages/setuptools* # the image does not have it either
	@$(VENV)/cyclonedx-py environment .tools/runtime --pyproject pyproject.toml --output-reproducible --output-file sbom.json

audit: .venv/requirements-dev.sha256 ## check the pinned packages for known vulnerabilities in PyPI's database
	@$(VENV)/pip-audit --strict --progress-spinner off --disable-pip --require-hashes --requirement requirements.txt || { \
		echo "Failed: a package is vulnerable, or PyPI did not respond. See the output above."; exit 1; }

# Releasing it

dist: .venv/requirements-dev.sha256 .venv/requirements-toolchains.sha256 helm sbom ## build the chart, clients, SBOM and notes of a release in dist/: VERSION=1.2.3
	@$(VENV)/python tools/dist.py '$(VERSION)'

publish: image ## push the image and the chart of make dist: VERSION=1.2.3 REGISTRY=<host/path>
	@test -n '$(REGISTRY)' || { echo "REGISTRY is missing. Set it to the registry to push to: make publish VERSION=1.2.3 REGISTRY=registry.example.com/team"; exit 1; }
	@test -f 'dist/meshwright-$(VERSION).tgz' || { echo "dist/ has no chart of version $(VERSION). Run: make dist VERSION=$(or $(VERSION),1.2.3)"; exit 1; }
	@docker tag $(TAGGED) '$(REGISTRY)/meshwright:$(VERSION)'
	@docker push '$(REGISTRY)/meshwright:$(VERSION)'
	@.tools/bin/helm push 'dist/meshwright-$(VERSION).tgz' 'oci://$(REGISTRY)/charts'

# Measuring it

bench: .venv/requirements-dev.sha256 .venv/requirements-toolchains.sha256 third-party ## compare unary calls with Envoy and grpc-gateway: ARGS=--help
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.unary $(ARGS)

flames: .venv/requirements-dev.sha256 .venv/requirements-toolchains.sha256 third-party ## draw docs/flames.svg, flame graphs of the edge with both transports
	@$(VENV)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade \
		--target .tools/flames --requirement benchmarks/flames-requirements.txt
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.flames

bench-edge: .venv/requirements-dev.sha256 ## compare the edge with a hand-written FastAPI version of the same method
	@PYTHONPATH=. $(VENV)/python benchmarks/edge.py

bench-service: .venv/requirements-dev.sha256 ## compare a call of a service with the same call of a bare gRPC server
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.service

bench-workers: .venv/requirements-dev.sha256 ## compare the edge with one worker and with two
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.workers

bench-start: .venv/requirements-dev.sha256 ## compare start-up and routing with Envoy, with 14,000 rules: IMAGE=<descriptor image>
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.start $(IMAGE)

bench-streams: .venv/requirements-dev.sha256 ## compare the edge's streams with Envoy's transcoder
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.streams

bench-store: .venv/requirements-dev.sha256 rabbitmq ## compare the store with the same flows written with FastAPI, httpx, SQLAlchemy and aio-pika: BROKER=<rabbitmq or nats> ARGS=--help
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.store $(ARGS)

bench-reads: .venv/requirements-dev.sha256 ## measure the catalog under expensive queries: PRODUCTS=<number, 50000 by default>
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.reads $(PRODUCTS)

bench-events: .venv/requirements-dev.sha256 rabbitmq ## measure an event consumer with each broker
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.events

bench-indexes: .venv/requirements-dev.sha256 ## run the queries of all lists and look-ups on tables of a million rows: ROWS=<number>
	@ROWS=$(or $(ROWS),1000000) $(VENV)/pytest tests/services/*/test_indexes.py --timeout 3600 --durations 20 $(ARGS)

bench-ingest: .venv/requirements-dev.sha256 ## measure how many client events analytics ingests per second
	@PYTHONPATH=.:gen $(VENV)/python -m benchmarks.ingest

bench-messages: .venv/requirements-dev.sha256 ## compare three Python runtimes of Protobuf
	@$(VENV)/python benchmarks/messages.py

third-party: .venv/requirements-up.sha256 ## copy the .proto files that the contracts import into third_party/
	@$(VENV)/python tools/third_party.py third_party

browser-clients: .venv/requirements-toolchains.sha256 ## install the client libraries of browsers into .tools
	@$(VENV)/python tools/browser_clients.py

grpc-js: .venv/requirements-toolchains.sha256 ## install gRPC's client for Node into .tools
	@$(VENV)/python tools/grpc_js.py

client-generators: .venv/requirements-toolchains.sha256 ## install the OpenAPI client generators into .tools
	@$(VENV)/python tools/client_generators.py

typescript: .venv/requirements-toolchains.sha256 ## install the compiler of the TypeScript client into .tools
	@$(VENV)/python -m tools.clients.typescript_package

connect-conformance: .venv/requirements-toolchains.sha256 ## install the conformance suite of Connect and gRPC-Web into .tools
	@$(VENV)/python tools/connect_conformance.py

go-backend: .venv/requirements-toolchains.sha256 ## build the test backend and the test client in Go into .tools
	@$(VENV)/python tools/go_backend.py

rabbitmq: .venv/requirements-up.sha256 ## install the RabbitMQ server of Debian or Ubuntu, if it is missing
	@$(VENV)/python tools/rabbitmq.py

grpcurl: .venv/requirements-toolchains.sha256 ## install grpcurl into .tools/bin
	@$(VENV)/python tools/go_tools.py grpcurl

helm: .venv/requirements-toolchains.sha256 ## install Helm 4 into .tools/bin
	@$(VENV)/python tools/go_tools.py helm

helm3: .venv/requirements-toolchains.sha256 ## install Helm 3 as .tools/bin/helm3
	@$(VENV)/python tools/go_tools.py helm3

golden: .venv/requirements-dev.sha256 helm ## update the golden files of the chart
	@PYTHONPATH=. $(VENV)/python tests/chart/render.py

.venv/requirements-up.sha256: requirements-up.txt tools/environment.py
	@$(PYTHON) tools/environment.py up

.venv/requirements-toolchains.sha256: requirements-toolchains.txt .venv/requirements-up.sha256
	@$(PYTHON) tools/environment.py toolchains

.venv/requirements-dev.sha256: requirements-dev.txt .venv/requirements-up.sha256
	@$(PYTHON) tools/environment.py dev
