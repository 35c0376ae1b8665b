# `make` prints the targets. Each target installs what it is missing, and passes ARGS on:
#   make run ARGS=--web.listen-address=127.0.0.1:10042
# A line that begins with ## describes the target below it, ##@ begins a group.

PYTHON := /usr/bin/python3
VENV := .venv
CACHE := .cache
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo,)
PYTEST := $(SUDO) $(VENV)/bin/python -m pytest
TOOLS := $(SUDO) $(VENV)/bin/python -m tests.tools
CLANG_FORMAT := $(VENV)/bin/clang-format --style=file

.PHONY: help run \
    test test-all test-tools unit test-guests test-kernels test-debian13 bench test-cluster \
    lint ruff ruff-format mypy clang-format format docs dashboards clean \
    image install uninstall
.DEFAULT_GOAL := help

help:
	@awk 'BEGIN { print "make TARGET [ARGS=...]" } /^##@ / { print "\n" substr($$0, 5) ":" } /^## / { text = substr($$0, 4) } \
	    text && /^[a-z][a-z0-9-]*:/ { sub(/:.*/, ""); printf "  make %-14s %s\n", $$0, text; text = "" }' Makefile

##@ Run
## serve http://localhost:10042/metrics
run: $(VENV)/run-ready
	exec $(SUDO) $(VENV)/bin/exec_exporter $(ARGS)

##@ Test
## lint, unit tests, and the tests that need root, on this kernel and on others; 14 minutes
test: $(VENV)/test-ready
	@+$(MAKE) --no-print-directory --jobs=2 lint test-tools
	$(SUDO) env EXHAUSTIVE=$(EXHAUSTIVE) $(VENV)/bin/python -m tests.run $(ARGS)

## the same with every repetition: all crash points, more examples, both ways of reading everywhere
test-all: EXHAUSTIVE := 1
test-all: test

## tests that need neither root nor BCC; 2 minutes
unit: $(VENV)/test-ready
	@$(VENV)/bin/python -m tests.tools promtool
	$(VENV)/bin/python -m pytest --numprocesses=auto tests/unit $(ARGS)

## other kernels only: the types of all, and the oldest and the newest in emulated machines
test-guests: lint
	$(TOOLS) vm
	$(PYTEST) tests/vm -v $(ARGS)

## every kernel of docs/kernels.md, whose table it writes; 90 minutes
test-kernels: lint
	$(TOOLS) vm ports
	$(SUDO) env KERNELS=all $(VENV)/bin/python -m pytest tests/vm -v $(ARGS)

## make run and make test in Debian 13's user space
test-debian13: $(VENV)/test-ready
	$(TOOLS) ports
	$(SUDO) $(VENV)/bin/python -m tests.vm.debian13

## the tables of docs/performance.md; 15 minutes, or 4 with ARGS=--quick
bench: $(VENV)/test-ready
	$(TOOLS) bench
	$(SUDO) $(VENV)/bin/python -m tests.bench $(ARGS)

## the chart on a real Kubernetes, compiled at the first run, which takes 15 minutes more
test-cluster: $(VENV)/test-ready
	$(TOOLS) image cluster helm crds seccomp-profile
	$(SUDO) $(VENV)/bin/python -m tests.cluster.compile
	$(PYTEST) tests/cluster -v -s $(ARGS)

# What the tiers of make test run; tests.run compiles the rest. Without apt-get tests that lack something are skipped.
NEEDS := kernel vm image
test-tools: $(VENV)/test-ready
	@$(VENV)/bin/python -m tests.tools promtool
	@$(TOOLS) $(NEEDS) prometheus prometheus-alertmanager alertmanager-templates

##@ Develop
## check with ruff, mypy and clang-format
lint: ruff ruff-format mypy clang-format

ruff: $(VENV)/test-ready
	$(VENV)/bin/ruff check --quiet .

ruff-format: $(VENV)/test-ready
	$(VENV)/bin/ruff format --check --quiet .

mypy: $(VENV)/test-ready
	$(VENV)/bin/mypy --no-error-summary

clang-format: $(VENV)/test-ready
	$(CLANG_FORMAT) --dry-run --Werror bpf/*.c bpf/*.h

## format Python and C
format: $(VENV)/test-ready
	$(VENV)/bin/ruff check --fix --quiet .
	$(VENV)/bin/ruff format --quiet .
	$(CLANG_FORMAT) -i bpf/*.c bpf/*.h

## generate the tables of docs/ and the chart's README, and the plain manifest
docs: $(VENV)/test-ready
	$(TOOLS) helm
	$(VENV)/bin/python -m exporter.metrics.markdown
	$(VENV)/bin/python -m exporter.service.flags_markdown
	$(VENV)/bin/python helm/generate.py "$$($(TOOLS) path helm)"

## generate the committed dashboards; with OUT, RUNBOOKS and JOB all of dashboards/ for your site
dashboards: $(VENV)/test-ready
	$(VENV)/bin/python -m dashboards $(if $(OUT),--output='$(OUT)') $(if $(RUNBOOKS),--runbooks='$(RUNBOOKS)') $(if $(JOB),--job='$(JOB)')

## remove .venv and .cache
clean:
	rm -rf $(VENV) $(CACHE)

##@ Install
## build localhost/exec-exporter:VERSION with docker, podman or buildah
image:
	@for engine in docker podman buildah; do \
	    command -v $$engine > /dev/null || continue; \
	    format=; [ $$engine = docker ] || format=--format=docker; \
	    exec $$engine build $$format --tag localhost/exec-exporter:$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py) .; \
	done; echo "make: no docker, podman or buildah here" >&2; exit 1

APP := /opt/exec_exporter
UNIT := /etc/systemd/system/exec_exporter.service
MOUNT := /etc/systemd/system/run-exec_exporter_pins.mount
PINS := /run/exec_exporter_pins

## install as a systemd service, without enabling or starting it
install: $(VENV)/bin/python
	$(SUDO) $(PYTHON) -m venv --system-site-packages --clear $(APP)
	$(SUDO) $(APP)/bin/python -m pip install --quiet .
	$(SUDO) ln -sf $(APP)/bin/exec_exporter /usr/local/bin/exec_exporter
	$(SUDO) install -D -m 644 exporter/systemd/exec_exporter.service $(UNIT)
	$(SUDO) install -D -m 644 exporter/systemd/run-exec_exporter_pins.mount $(MOUNT)
	$(SUDO) install -D -m 644 exporter/systemd/sysusers.conf /etc/sysusers.d/exec_exporter.conf
	$(SUDO) install -D -m 644 exporter/systemd/tmpfiles.conf /etc/tmpfiles.d/exec_exporter.conf
	$(SUDO) systemd-sysusers exec_exporter.conf
	$(SUDO) systemd-tmpfiles --create exec_exporter.conf
	@if [ -d /run/systemd/system ]; then $(SUDO) systemctl daemon-reload; fi
	@echo "installed; start it with: systemctl enable --now exec_exporter"

## unpin and remove the service; the user, /etc/exec_exporter and /var/lib/exec_exporter stay
uninstall:
	@if [ -d /run/systemd/system ]; then $(SUDO) systemctl disable --now exec_exporter; fi
	-@if mountpoint -q $(PINS); then $(SUDO) $(APP)/bin/exec_exporter unpin --bpf.pin-path=$(PINS)/probe && \
	    $(SUDO) umount $(PINS); fi
	$(SUDO) rm -rf $(APP) /usr/local/bin/exec_exporter $(UNIT) $(MOUNT) /var/cache/exec_exporter /etc/sysusers.d/exec_exporter.conf /etc/tmpfiles.d/exec_exporter.conf
	@if [ -d /run/systemd/system ]; then $(SUDO) systemctl daemon-reload; fi

# BCC comes from the distribution, and only the distribution's Python can import it.
$(VENV)/bin/python:
	@$(PYTHON) -c 'from bcc import BPF; import ensurepip' 2> /dev/null || { \
	    echo "installing BCC and venv from the distribution"; \
	    if command -v apt-get > /dev/null; then \
	        $(SUDO) apt-get update -qq && \
	        $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-bpfcc python3-venv > /dev/null; \
	    elif command -v dnf > /dev/null; then \
	        $(SUDO) dnf install -y -q python3-bcc; \
	    else \
	        echo "make: neither apt-get nor dnf here: install BCC for $(PYTHON) by hand" >&2; exit 1; \
	    fi; }
	$(PYTHON) -m venv --system-site-packages --clear $(VENV)

$(VENV)/run-ready: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/test-ready: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --editable '.[test,dashboards]'
	@touch $@ $(VENV)/run-ready
