# Everything starts here. Needs Python 3.11-3.13 and make; the rest is installed into .venv.
# Extra words for the command behind a target: make test ARGS="-k labs"
PYTHON := .venv/bin/python
RUNTIME := @sh runner/bootstrap.sh requirements.txt
DEVELOPMENT := @sh runner/bootstrap.sh requirements.txt requirements-dev.txt
ARGS ?=
FILES ?=

.DEFAULT_GOAL := help
.PHONY: help run test coverage check static contract openapi proof bench shots journey manage \
	requirements venv dev-venv erase clean

help:
	@echo "make run       start everything (Ctrl-C stops it); prints addresses and sign-ins"
	@echo "make journey   walk through the main story on the running system; FILES=\"a.hl7 b.hl7\""
	@echo "make manage    a management command on the running system; ARGS=\"shell\""
	@echo "make test      all tests; make coverage: the same, counting the lines that ran"
	@echo "make check     static checks, contracts, then all tests"
	@echo "make bench     measure; make proof: full-size figures; make shots: screenshots"
	@echo "make openapi   write docs/openapi.yaml anew; make requirements: compile the pins anew"
	@echo "make erase     delete the data of this checkout; make clean: delete what was built"

venv:
	$(RUNTIME)

dev-venv:
	$(DEVELOPMENT)

run: venv
	@exec $(PYTHON) -m runner run $(ARGS)

journey: venv
	@exec $(PYTHON) -m portal.journeys $(ARGS) $(FILES)

manage: venv
	@exec $(PYTHON) -m runner exec --running -- $(PYTHON) manage.py $(ARGS)

test: dev-venv
	$(PYTHON) -m runner test -- -n 2 $(ARGS)

coverage: dev-venv
	$(PYTHON) -m runner test -- -n 2 --cov --cov-report=term:skip-covered $(ARGS)

check: static contract test

static: dev-venv
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports

contract: dev-venv
	$(PYTHON) -m runner exec -- sh -ec ' \
		"$$0" manage.py makemigrations --check --dry-run; \
		mkdir -p var; \
		"$$0" manage.py spectacular --fail-on-warn --validate --file var/openapi.yaml; \
		diff -u docs/openapi.yaml var/openapi.yaml || \
			{ echo "docs/openapi.yaml is out of date: make openapi"; exit 1; }' $(PYTHON)

openapi: dev-venv
	$(PYTHON) -m runner exec -- $(PYTHON) manage.py spectacular \
		--fail-on-warn --validate --file docs/openapi.yaml

bench: dev-venv
	$(PYTHON) -m runner exec --durable -- $(PYTHON) -m bench $(ARGS)

proof: dev-venv
	$(PYTHON) -m runner exec --durable -- $(PYTHON) -m bench.proof $(ARGS)

shots: dev-venv
	$(PYTHON) -m portal.journeys.shots $(ARGS)

# Compile with the oldest supported Python: what only it needs does no harm to the newer ones.
COMPILE = CUSTOM_COMPILE_COMMAND="make requirements" $(PYTHON) -m piptools compile --quiet \
	--generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-emit-options
requirements: dev-venv
	$(COMPILE) $(ARGS) --output-file requirements.txt requirements.in
	$(COMPILE) $(ARGS) --output-file requirements-dev.txt requirements-dev.in

erase: venv
	@exec $(PYTHON) -m runner erase

clean:
	rm -rf .venv staticfiles htmlcov .coverage .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
