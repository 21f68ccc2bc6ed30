# A target's help text is the comment after its name.

ADDR             = 127.0.0.1:8080
MINIMUM_COVERAGE = 85
FUZZTIME         = 60s
MUTANTS          = ./...
BENCH            = .
BENCHFLAGS       = -benchmem

LINTER = bin/golangci-lint

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## serve the quickstart on ADDR (127.0.0.1:8080)
	@echo "building the quickstart (the first time takes half a minute) ..."
	@go run ./examples/quickstart -addr "$(ADDR)"

test: ## run the tests with the race detector; fail when a package is covered by less than MINIMUM_COVERAGE per cent
	@scripts/each $(CURDIR)/scripts/cover $(MINIMUM_COVERAGE)

test-sockets: ## run the tests of the WebSockets without the race detector, under which their sockets are read and written in another way
	go test ./internal/wsconn ./wsx/...

check: check-format vet lint lint-selftest standalone test-consumers test-sockets test page openapi check-bench ## all that CI checks

fmt: $(LINTER) ## format every Go file
	$(LINTER) fmt

check-format: $(LINTER) ## fail when a Go file is not formatted
	$(LINTER) fmt --diff

vet: ## go vet in every module
	@scripts/each go vet ./...

lint: $(LINTER) ## lint every module; holds the import rules too
	@scripts/each $(CURDIR)/$(LINTER) run --allow-parallel-runners --config $(CURDIR)/.golangci.yaml ./...

lint-selftest: $(LINTER) ## plant forbidden imports in a scratch tree and expect each to be reported
	@scripts/lint-selftest $(CURDIR)/$(LINTER)

standalone: ## tidy, build and test-compile each module without the workspace
	@scripts/each $(CURDIR)/scripts/standalone

test-consumers: ## build and run a throw-away module for each package; check what it pulls in
	@scripts/test-consumers

check-bench: $(LINTER) ## vet, lint and test the module bench, which the other targets leave out; fetches the peers that it measures
	cd bench && go vet ./... && $(CURDIR)/$(LINTER) run --config $(CURDIR)/.golangci.yaml ./... && $(CURDIR)/scripts/standalone && go test -race ./...

bench: ## run the benchmarks (BENCH selects by regexp, BENCHFLAGS adds flags)
	@scripts/each go test -run '^$$' -bench '$(BENCH)' $(BENCHFLAGS) ./...

bench-wsx: ## measure wsx beside its peers and the floor, about 5 minutes (WSXBENCH adds flags, such as '-only slow,recovery')
	cd bench && go run ./cmd/wsxbench drive $(WSXBENCH)

bench-executor: ## measure executor beside goroutines, ants, pond, go-plugin and the raw pipe
	cd bench && go run ./executor

bench-tasks: ## measure tasks and its stores beside the floor, about 2 minutes (TASKSBENCH adds flags, such as '-only filestore')
	cd bench && go run ./cmd/tasksbench $(TASKSBENCH)

chaos-executor: ## kill 1,000 workers under load
	EXECUTOR_KILLS=1000 go test -count=1 -run Chaos -v -timeout 600s ./executor

chaos-tasks: ## kill -9 a process 100 times while it runs 10,000 tasks on tasks/filestore
	FILESTORE_KILLS=100 FILESTORE_TASKS=10000 go test -count=1 -run Kill9 -v -timeout 900s ./tasks/filestore

hostile: ## send 10 million hostile frames, about 2 minutes
	HOSTILE_FRAMES=10000000 go test -count=1 -run TestConn_HostileFrames -v -timeout 900s ./internal/wsconn

recovery: ## publish a million messages to a Go client that is cut off twice in every thousand
	WSX_RECOVERY=1000000 go test -count=1 -run LosesNothing -v -timeout 600s ./wsx/wsxclient

clients: ## make clients of the examples' OpenAPI documents by openapi-typescript and ogen, and call every operation by them, about a minute
	@scripts/clients/run

peers: ## let npm's ws, Debian's python3-websockets and go-ethereum's rpc.Client talk to examples/conformance; installs the first two
	@scripts/peers

openapi: ## let @redocly/cli and @readme/openapi-parser read the OpenAPI documents of the tests and the quickstart, 20 s; installs them
	@scripts/openapi/run

proxies: ## run the configurations of docs/reverse-proxy.md with nginx, haproxy and caddy; installs them
	@scripts/install nginx-light haproxy caddy
	PROXIES=1 CI=true go test -count=1 -run TestProxies -v ./docs

page: ## try the page of openapi with chromium, by keyboard, and check it with axe-core, 20 s; installs both (PAGE='-v -run Looks')
	@scripts/page/run $(PAGE)

lockorder: ## run the tests of the packages with locks, which panic where two are taken in both orders, 3 min
	go vet -tags lockorder ./internal/lockorder ./internal/wsconn/... ./executor/... ./tasks/... ./wsx/...
	go test -tags lockorder -count=1 ./internal/lockorder ./internal/wsconn/... ./executor/... ./tasks/... ./wsx/...

counts: ## print what tells how easy the code is to read: widths, files, functions, names, methods
	@go run ./scripts/counts

mutants: ## change random lines of packages and tell which changes their tests do not notice (MUTANTS='-n 40 -seed 7 ./tasks')
	go run ./scripts/mutants $(MUTANTS)

mutants-vectors: ## change what each conformance vector expects, 4,500 times, and expect each change to be noticed, 11 s
	CONFORMANCE_MUTANTS=all go test -count=1 -run NoticeWhatIsWrong -v ./examples/conformance

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@scripts/fuzz $(FUZZTIME)

# The linter's version is pinned in tools/go.mod, a module apart so that its many dependencies touch no other.
$(LINTER): tools/go.mod tools/go.sum
	cd tools && GOWORK=off go build -buildvcs=false -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: help demo test test-sockets check check-bench fmt check-format vet lint lint-selftest standalone test-consumers bench bench-wsx bench-executor chaos-executor hostile recovery clients peers page openapi proxies mutants mutants-vectors fuzz chaos-tasks bench-tasks
