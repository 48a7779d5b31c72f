# The targets a person needs; HACKING.md says what each is for.

SHELL   := /bin/bash
BIN     := bin/sekimori
MAXSIZE := 15728640
TOOL    := go tool -modfile=tools/go.mod
BUILD   := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'
TARGETS := linux/amd64 linux/arm64 freebsd/amd64 windows/amd64 darwin/arm64

.DELETE_ON_ERROR:
.PHONY: run test check bench build fuzz referee format lint cross skips clean weak-machine

run: build ## see who can reach what on this machine
	@bash .ci/asroot $(BIN)

test: ## every test, as go knows them; no root needed
	go test ./...

build: ## the static binary, bin/sekimori
	@$(BUILD) -o $(BIN) ./cmd/sekimori
	@bash .ci/size $(BIN) $(MAXSIZE)

check: lint skips fuzz benchonce cross build ## the gate: all that must hold of a commit
	@echo "check: passed"

.PHONY: lint formatted vet staticcheck fixed
lint: formatted vet staticcheck fixed

formatted:
	@bash .ci/silent "gofumpt (make format mends it)" $(TOOL) gofumpt -l .

vet:
	go vet ./...
	cd tools && go vet ./...

staticcheck:
	$(TOOL) staticcheck ./...

fixed:
	go fix -diff ./...

skips: ## the tests with -race; a test that skips must be in testdata/skips.txt
	@set -o pipefail; SEKIMORI_LAB=require go test -race -timeout 20m -json ./... \
	| go run -C tools ./gotest -skips $(CURDIR)/testdata/skips.txt

fuzz: ## every fuzz target for FUZZTIME (default 3s)
	@bash .ci/fuzz

.PHONY: benchonce
benchonce:
	go test -run '^$$' -bench . -benchtime 1x ./...

bench: ## the figures
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-guard
bench-guard: ## the guard beside fail2ban, sshguard, CrowdSec and grep (docs/guard.md)
	@.ci/bench-guard

.PHONY: bench-packets
bench-packets: ## packets per second through one policy, as sekimori, ufw and firewalld load it; as root, in a namespace of its own
	SEKIMORI_BENCH_PACKETS=1 SEKIMORI_LAB_OUTSIDE=$$(stat -Lc %i /proc/self/ns/net) unshare -nm \
	go test -run '^$$' -bench PacketRate -benchtime 300x -count 3 -timeout 20m ./internal/referee

referee: ## the model against the kernel, at full length
	@mkdir -p bin; echo "the whole log: bin/referee.log"; set -o pipefail; \
	SEKIMORI_LAB=require go test -v -timeout 120m ./internal/referee -args -referee.rulesets 500 -referee.packets 50000 \
	| tee bin/referee.log | grep -E 'referee: |^(---|FAIL|ok|panic)'

weak-machine: ## the audit of a fresh Debian, and of one set up badly; needs root, debootstrap and the archive
	@testdata/weak-machine/debian

.PHONY: referee-ipfw
referee-ipfw: ## what is written for ipfw, against an ipfw of your own: IPFW=/path/to/ipfw
	@[ -x "$(IPFW)" ] || { echo "referee-ipfw needs IPFW=/path/to/ipfw: FreeBSD's own, or one that was built on Linux from" \
	"luigirizzo/netmap-ipfw with the headers of luigirizzo/netmap (make CC='gcc -fcommon' NETMAP_INC=…/netmap/sys)." \
	"It is asked with -n, which checks rules and changes nothing. That port is of 2013: it has no tables with names" \
	"and no IPv6 unless built with INET6, and refuses such lines. No ipfw is part of this project." >&2; exit 1; }
	SEKIMORI_IPFW="$(IPFW)" go test -count=1 -v -run TestReferee ./internal/firewall/ipfw

cross: ## builds for the other systems
	@set -e; for t in $(TARGETS); do echo "build $$t"; \
	CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} go build -trimpath ./...; done

format: ## what go fix and gofumpt mend by themselves
	go fix ./...
	$(TOOL) gofumpt -w .

clean:
	rm -rf bin
