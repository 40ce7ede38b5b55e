# make demo | test | lint | bench [NETWORK=FILE.onnx] | clean. Needs Python 3.10 or newer; all else
# goes to .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(VENV)/runtime
	$(BIN)/python tests/demo.py demo-output

test: $(VENV)/test
	$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/test
	$(BIN)/python tests/bench/bench.py $(ARGS)
	$(BIN)/python tests/bench/matting.py $(ARGS)
	$(BIN)/python tests/bench/networks.py $(NETWORK) $(ARGS)

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python tests/tools/check_js.py

$(VENV)/runtime: pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[cpu]"
	touch $@

$(VENV)/test: $(VENV)/runtime tests/requirements.txt
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) demo-output *.egg-info
