# The front door. Every target is a line or two: the work is in playbooks/, in tests/ and, for the set-up, in bootstrap/.

INVENTORY ?= inventories/lab
FORMAT ?= table
ONLY ?=

ifeq ($(wildcard $(INVENTORY)),)
$(error There is no inventory $(INVENTORY); INVENTORY may be one of: $(wildcard inventories/*))
endif
ifeq ($(filter table json,$(FORMAT)),)
$(error FORMAT=$(FORMAT) is not known; it is table or json)
endif

BIN := .venv/bin
PLAYBOOK = $(BIN)/ansible-playbook -i $(INVENTORY)
REPORT = ANSIBLE_STDOUT_CALLBACK=report $(PLAYBOOK) -e format=$(FORMAT)
ROOT := $(filter 0,$(shell id -u))
# `make down` means every lab of this machine, unless one is named.
EVERY_LAB = $(if $(FLEXCORE_LAB_NAME),,$(filter file,$(origin INVENTORY)))

# Ansible refuses to run in a locale that is not UTF-8, and a fresh Debian has none set.
export LC_ALL := C.UTF-8
# Where this is set, as images of Python do, every start of Python compiles everything anew; the tests make hundreds.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  INVENTORY=inventories/<name> (now $(INVENTORY)), FORMAT=table|json for health, logs and plugins"

.PHONY: up
up: lab-packages venv ## Boot the lab of INVENTORY, deploy everything to it and show its health
	@$(PLAYBOOK) playbooks/lab.yml playbooks/site.yml
	@$(REPORT) playbooks/health.yml

.PHONY: health
health: venv ## Show how every service is: exit code 0 if all are healthy, 2 if one is not
	@$(REPORT) playbooks/health.yml

.PHONY: verify
verify: venv ## Verify the hosts of INVENTORY from the outside; changes nothing
	@$(BIN)/pytest tests/infra --inventory $(INVENTORY) -p no:randomly

.PHONY: logs
logs: venv ## Show FlexCore's latest log records
	@$(REPORT) playbooks/logs.yml

.PHONY: plugins
plugins: venv ## Show FlexCore's plugins, and what would change to bring the declared ones about; changes nothing
	@$(REPORT) playbooks/plugins.yml --check

.PHONY: test
test: test-packages venv lint ## Run everything: lint, unit, integration (own PostgreSQL and Redis), lab (own hosts)
	@$(BIN)/pytest tests/unit -n 2
	@$(BIN)/pytest tests/integration -n 2
	@$(BIN)/pytest tests/lab

.PHONY: lint
lint: venv ## Check style, types, imports and Ansible content; the quick ones first
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/yamllint .
	@$(BIN)/mypy
	@PATH="$(CURDIR)/$(BIN):$$PATH" ansible-lint -q --offline

.PHONY: docs
docs: venv ## Write the generated reference pages anew; the unit tests tell when one is stale
	@$(BIN)/python -m docs.generate

.PHONY: bench
bench: bench-packages venv ## Compare with peers, one line a figure; ONLY=<name> for one
	@$(BIN)/pytest tests/bench -q -s $(if $(ONLY),-k "$(ONLY)")

.PHONY: soak
soak: test-packages lab-packages venv ## Run the long proofs; ONLY=<name> for one
	@$(BIN)/pytest tests/soak $(if $(ONLY),-k "$(ONLY)")

.PHONY: mutate
mutate: venv ## Change the client bit by bit and list what its tests do not notice; ONLY=<module> for one
	@$(BIN)/mutmut run $(if $(ONLY),"module_utils.flexcore_client.$(ONLY).*")
	@$(BIN)/mutmut results | sed '/: not checked$$/d'

.PHONY: down
down: venv ## Remove every lab of this machine, or the one that INVENTORY or FLEXCORE_LAB_NAME names
	@$(PLAYBOOK) playbooks/lab_down.yml -e lab_down_all=$(if $(EVERY_LAB),true,false)

.PHONY: lock
lock: venv ## Renew the locks in requirements/ from pyproject.toml
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header \
		pyproject.toml --output-file requirements/runtime.txt
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header \
		--constraint requirements/runtime.txt --group controller pyproject.toml --output-file requirements/controller.txt

# Set-up. Says what it does on standard error and nothing when there is nothing to do.

.PHONY: venv
venv:
	@bootstrap/venv

.PHONY: lab-packages
lab-packages:
	@bootstrap/packages lab

.PHONY: test-packages
test-packages:
	@bootstrap/packages tests $(if $(ROOT),lab)

.PHONY: bench-packages
bench-packages:
	@bootstrap/packages tests bench
