# Each target is one line; the work is in scripts/.
.PHONY: help run dev test test-vllm fuzz bench bench-logs fmt clippy e2e test-faults test-engines screenshots engine engine-stop clean-test deny

help: ## What can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: ## Build in release and serve on 127.0.0.1:3000 (ARGS="…" go to the server)
	@scripts/run.sh $(ARGS)

dev: ## Build, serve and rebuild on every change
	@scripts/dev.sh $(ARGS)

test: ## Everything: format, lints, unit, integration and page tests
	@scripts/test.sh

bench: ## Print the figures against their budgets
	@scripts/bench.sh

bench-logs: ## Those of the log alone (ARGS="sse page viewers run history" narrows them; FULL=1 takes longer)
	@scripts/bench-logs.sh $(ARGS)

fmt: ## Format the Rust code
	@cargo fmt --all

clippy: ## Lint the server side and the browser side
	@scripts/clippy.sh

e2e: ## The page tests alone (ARGS="tests/logs.spec.ts" narrows them)
	@scripts/e2e.sh $(ARGS)

test-faults: ## What happens to a dashboard, at length: STEPS=1000 steps by chance from SEED=1, and every fault that has a test
	@FUZZ_STEPS=$$(( $(or $(STEPS),1000) * 10 )) FUZZ_SEED=$(or $(SEED),1) cargo test --quiet -p server -p app --test fuzz
	@FAULTS_STEPS=$(or $(STEPS),1000) FAULTS_SEED=$(or $(SEED),1) scripts/e2e.sh tests/faults tests/crash tests/trouble tests/outside tests/engine-hung tests/engine-away tests/dashboard-restart tests/history tests/pull tests/auto-start tests/settings-safety tests/attacks

test-engines: ## A service's life on an engine that you name (opt-in): ENGINE=unix:///PATH IMAGE=an image of vLLM
	@ENGINE="$(ENGINE)" IMAGE="$(IMAGE)" scripts/test-engines.sh

screenshots: ## Pictures of the page into OUT (default: target/screenshots)
	@scripts/screenshots.sh

engine: ## Start the tests' own Docker engine and leave it running
	@scripts/engine.sh start

engine-stop: ## Stop it and remove what it left
	@scripts/engine.sh stop

clean-test: ## Remove what the tests leave (not the build)
	@scripts/engine.sh stop; rm -rf end2end/test-results end2end/playwright-report

test-vllm: ## Against a real vLLM on the CPU (opt-in: sets up about 6 GB once, then takes about 5 minutes)
	@scripts/test-vllm.sh

fuzz: ## Fuzz every parser (ARGS="60" seconds each)
	@scripts/fuzz.sh $(ARGS)

deny: ## Licences, sources and known holes of what is built in (fetches RustSec's list)
	@scripts/deny.sh
