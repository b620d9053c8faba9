# The course from a bare clone, on Linux or macOS, with nothing but Python 3.10+, git and make:
#
#   make lab    the lessons in JupyterLab, in a folder of yours, with a RabbitMQ of its own
#   make test   every test, the notebooks included
#   make site   the lessons as pages to read, in build/site; open its index.html
#
# For a particular Python: make lab PYTHON=python3.12

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Containers often set it. Each of a thousand worker processes would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help lab test site matrix hosted notebooks lint clean

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
SITE_READY := $(VENV)/site-ready
SITE := build/site
RUN := $(VENV)/bin/python
# A broker for the tests alone: neither in the way of a lab that is open, nor disturbed by one.
TEST_HOME := $(CURDIR)/$(VENV)/test-home

help:
	@sed -n 's/^#   //p' $(MAKEFILE_LIST)
	@echo 'notebooks   run the notebooks and save their outputs (NOTEBOOKS="notebooks/01_publishing.ipynb" for some)'
	@echo 'lint        ruff, and mypy over the package'
	@echo 'matrix      run the tests with the Python and RabbitMQ of Debian unstable; needs root and debootstrap'
	@echo 'hosted      build the container, bring up the profiles of docker-compose.yml and try them; needs Docker'
	@echo 'clean       remove the virtual environment and what tests left'

lab: $(READY)
	@$(RUN) -m rpclab lab $(LAB_ARGS)

test: $(READY) $(SITE_READY)
	@$(RUN) -m rpclab up --install | sed '/Password/d'
	@$(RUN) -m pytest $(TEST_ARGS) && status=0 || status=$$?; $(RUN) -m rpclab down > /dev/null; exit $$status

test: export RPCLAB_HOME := $(TEST_HOME)

site: $(SITE_READY)
	@$(RUN) website/build.py $(SITE)
	@echo "The site: $(CURDIR)/$(SITE)/index.html"

NOTEBOOKS ?= $(wildcard notebooks/[0-9]*.ipynb)
notebooks: $(READY)
	@$(RUN) tests/notebooks/execute.py $(NOTEBOOKS)

matrix: export TEST_ARGS := $(TEST_ARGS)
matrix:
	@tests/matrix.sh

hosted: $(READY)
	@RPCLAB_TEST_HOSTED=1 $(RUN) -m pytest tests/hosted -n 0

lint: $(READY)
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

clean:
	rm -rf build $(VENV) .mypy_cache .pytest_cache .ruff_cache tests/browser/screenshots

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "The course needs Python 3.10 or later; $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || { \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		echo "Python's venv module is missing. Running: $$sudo apt-get install --yes python3-venv"; \
		$$sudo apt-get update -q && $$sudo apt-get install --yes -q python3-venv; }
	@echo "Making the virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing pika, JupyterLab and the rest (a minute or two, once) ..."
	@$(RUN) -m pip install --disable-pip-version-check -r requirements.txt \
		| sed -u -n -e 's/^Collecting \([A-Za-z0-9._-]*\).*/  \1/p' -e 's/^Installing collected.*/Installing them .../p'
	@touch $@

$(SITE_READY): website/requirements.txt $(READY)
	@echo "Installing what makes the site ..."
	@$(RUN) -m pip install --disable-pip-version-check --quiet -r $<
	@touch $@
