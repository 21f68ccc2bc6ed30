# A target's help text is the comment after its name.

MINIMUM_COVERAGE = 85
FUZZTIME         = 60s
BENCH            = .
BENCHFLAGS       = -benchmem

LINTER = bin/golangci-lint

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## serve the quickstart on 127.0.0.1:8080
	go run ./examples/quickstart

test: ## run the tests of every module with the race detector
	@scripts/each go test -race ./...

cover: ## the same, and fail when a package is covered by less than MINIMUM_COVERAGE per cent
	@scripts/each $(CURDIR)/scripts/cover $(MINIMUM_COVERAGE)

check: check-format vet lint lint-selftest standalone test-consumers cover ## all that CI checks

fmt: $(LINTER) ## format every Go file
	$(LINTER) fmt

check-format: $(LINTER) ## fail when a Go file is not formatted
	$(LINTER) fmt --diff

vet: ## go vet in every module
	@scripts/each go vet ./...

lint: $(LINTER) ## lint every module; holds the import rules too
	@scripts/each $(CURDIR)/$(LINTER) run --config $(CURDIR)/.golangci.yaml ./...

lint-selftest: $(LINTER) ## plant forbidden imports in a scratch tree and expect each to be reported
	@scripts/lint-selftest $(CURDIR)/$(LINTER)

standalone: ## tidy, build and test-compile each module without the workspace
	@scripts/each $(CURDIR)/scripts/standalone

test-consumers: ## build and run a throw-away module for each package; check what it pulls in
	@scripts/test-consumers

bench: ## run the benchmarks (BENCH selects by regexp, BENCHFLAGS adds flags)
	@scripts/each go test -run '^$$' -bench '$(BENCH)' $(BENCHFLAGS) ./...

bench-wsx: ## measure wsx beside its peers and the floor, about 5 minutes (WSXBENCH adds flags, such as '-only slow,recovery')
	cd bench && go run ./cmd/wsxbench drive $(WSXBENCH)

fuzz: ## run every fuzz target for FUZZTIME (60s)
	@scripts/fuzz $(FUZZTIME)

# The linter's version is pinned in tools/go.mod, a module apart so that its many dependencies touch no other.
$(LINTER): tools/go.mod tools/go.sum
	cd tools && GOWORK=off go build -buildvcs=false -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: help demo test cover check fmt check-format vet lint lint-selftest standalone test-consumers bench bench-wsx fuzz
