# The targets a person needs; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= ../shared/data
PYTEST_ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z_-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[pipeline,dev]'
	$(BIN)/curate models fetch
	@touch $@

.PHONY: setup
setup: $(READY) ## Make the environment in .venv and fetch the language model

.PHONY: demo
demo: $(READY) ## Render a small web with known truth, run the whole pipeline on it, and compare
	$(BIN)/python -m pipelines.demo.web runs/demo-web
	$(BIN)/curate run demo --output runs/demo
	$(BIN)/python -m pipelines.demo.check runs/demo runs/demo-web

.PHONY: lint
lint: $(READY) ## Style, types and layers
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: $(READY) lint ## The tests that CI runs, file by file over up to four processes
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

.PHONY: coverage
coverage: $(READY) ## The lines that those tests reach, against the floor in pyproject.toml; compiled kernels are left out
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(PYTEST_ARGS)

.PHONY: test-ray
test-ray: $(READY) ## Tests that start Ray: clusters, jobs, killed workers
	$(BIN)/python -m pytest -m ray $(PYTEST_ARGS)

.PHONY: test-slow
test-slow: $(READY) ## Long tests: twenty SIGKILLs of a demo run, large inputs
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

.PHONY: test-nightly
test-nightly: $(READY) ## Long runs of what varies: 20,000 mutated archive records, new examples for every property
	$(BIN)/python -m pytest -m nightly $(PYTEST_ARGS)
	HYPOTHESIS_PROFILE=random $(BIN)/python -m pytest tests/property tests/unit/curate $(PYTEST_ARGS)

VENV_SECURITY := build/venv-security

$(VENV_SECURITY)/.ready: scripts/security.txt
	$(PYTHON) -m venv $(VENV_SECURITY)
	$(VENV_SECURITY)/bin/python -m pip install --quiet --requirement scripts/security.txt
	@touch $@

.PHONY: security
security: $(VENV_SECURITY)/.ready ## What bandit finds in the packages, and pip-audit among the pinned libraries
	$(VENV_SECURITY)/bin/bandit --quiet --configfile pyproject.toml --recursive manifests curate tokenizer pipelines
	$(VENV_SECURITY)/bin/python scripts/audit.py constraints.txt

EXPORTS := build/exports-venv
$(EXPORTS)/.ready: tests/exports/readers.txt tests/exports/dependencies.txt
	$(PYTHON) -m venv $(EXPORTS)
	$(EXPORTS)/bin/python -m pip install --quiet --no-deps --requirement tests/exports/readers.txt
	$(EXPORTS)/bin/python -m pip install --quiet --requirement tests/exports/dependencies.txt
	@touch $@

.PHONY: test-exports
test-exports: $(READY) $(EXPORTS)/.ready ## Every export read back by its format's official reader
	$(BIN)/python -m pytest -m exports $(PYTEST_ARGS)

.PHONY: test-recipes
test-recipes: $(READY) ## Every packaged recipe on the crawl, texts and dumps in DATA, and the shape of its funnel
	CURATE_SHARED_DATA=$(abspath $(DATA)) $(BIN)/python -m pytest -m recipes tests/recipes $(PYTEST_ARGS)

VENV_TRL := build/venv-trl

$(VENV_TRL)/.ready: tests/trl/requirements.txt tests/trl/axolotl.txt
	$(PYTHON) -m venv $(VENV_TRL)
	$(VENV_TRL)/bin/python -m pip install --quiet --requirement tests/trl/requirements.txt
	$(VENV_TRL)/bin/python -m pip install --quiet --no-deps --requirement tests/trl/axolotl.txt
	@touch $@

.PHONY: test-trl
test-trl: $(READY) $(VENV_TRL)/.ready ## Ids and masks of dialogues beside TRL's and axolotl's, in an environment of their own
	$(BIN)/python -m pytest -m trl $(PYTEST_ARGS)

VENV_BROWSER := build/venv-browser

$(VENV_BROWSER)/.ready: pyproject.toml constraints.txt
	@command -v chromium chromedriver > /dev/null || { echo "needs Chromium and its driver: apt-get install chromium chromium-driver"; exit 1; }
	$(PYTHON) -m venv $(VENV_BROWSER)
	$(VENV_BROWSER)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[pipeline,ui]' hypothesis pytest \
	  pytest-timeout 'selenium>=4.20,<5'
	@touch $@

.PHONY: test-browser
test-browser: $(VENV_BROWSER)/.ready ## Report and ui in headless Chromium: no console errors, filters, sliders, SQL; screenshots in build/screenshots
	$(VENV_BROWSER)/bin/python -m pytest -m browser tests/browser $(PYTEST_ARGS)

VENV_CROISSANT := build/venv-croissant

$(VENV_CROISSANT)/.ready:
	$(PYTHON) -m venv $(VENV_CROISSANT)
	$(VENV_CROISSANT)/bin/python -m pip install --quiet mlcroissant==1.1.1
	@touch $@

.PHONY: test-croissant
test-croissant: $(READY) $(VENV_CROISSANT)/.ready ## The Croissant description of a dataset, validated by mlcroissant in an environment of its own
	CURATE_MLCROISSANT=$(VENV_CROISSANT)/bin/mlcroissant $(BIN)/python -m pytest -m croissant tests/croissant $(PYTEST_ARGS)

.PHONY: test-plugin
test-plugin: $(READY) ## The wheels in fresh environments: the base install, and a run with the plug-ins of examples/plugin
	rm -rf build/wheels build/base-venv build/plugin-venv
	$(BIN)/python -m build --no-isolation --outdir build/wheels .
	$(BIN)/python -m build --no-isolation --outdir build/wheels examples/plugin
	$(PYTHON) -m venv build/base-venv
	build/base-venv/bin/python -I -m pip install --quiet build/wheels/curate_corpus-*.whl
	$(PYTHON) -m venv build/plugin-venv
	build/plugin-venv/bin/python -I -m pip install --quiet --constraint constraints.txt \
	  "$$(ls build/wheels/curate_corpus-*.whl)[pipeline]" "$$(ls build/wheels/curate_example-*.whl)[dev]"
	build/plugin-venv/bin/python -I -m pytest -q --import-mode=importlib -c /dev/null --rootdir examples/plugin examples/plugin/tests
	$(BIN)/python -m pytest -m plugin tests/plugin $(PYTEST_ARGS)

VENV_TORCH := .venv-torch

$(VENV_TORCH)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV_TORCH)
	$(VENV_TORCH)/bin/python -m pip install --quiet --constraint constraints.txt --editable . \
	  torch==2.13.0 tokenizers hypothesis pytest pytest-timeout
	@touch $@

.PHONY: test-torch
test-torch: $(VENV_TORCH)/.ready ## The loader's torch face and the example trainer, in an environment with torch
	$(VENV_TORCH)/bin/python -m pytest -m torch tests/unit/manifests/torch tests/unit/manifests/examples $(PYTEST_ARGS)

# Other trainers, each with an environment of its own: what they pin excludes one another.
TRAINERS := torchdata torchtitan transformers lightning grain
PIN_torchdata := torchdata==0.11.0
PIN_torchtitan := torchtitan==0.3.0 torchdata==0.11.0
PIN_transformers := transformers==5.24.0 accelerate==1.15.0
PIN_lightning := lightning==2.6.6
PIN_grain := grain==0.2.18 jax==0.10.2

build/venv-%/.ready: pyproject.toml
	$(PYTHON) -m venv build/venv-$*
	build/venv-$*/bin/python -m pip install --quiet --editable . torch==2.13.0 hypothesis pytest pytest-timeout $(PIN_$*)
	@touch $@

.PHONY: test-trainers
test-trainers: $(TRAINERS:%=build/venv-%/.ready) ## The data set in torchdata, torchtitan, transformers, Lightning, Grain and JAX
	for peer in $(TRAINERS); do \
	  build/venv-$$peer/bin/python -m pytest -m trainers tests/trainers/test_$$peer.py $(PYTEST_ARGS) || exit 1; done

.PHONY: bench-planning
bench-planning: $(READY) ## Planning where nothing is to do, over N archives (4000) and the whole graph; DELAY=20 for an object store
	$(BIN)/python -m tests.benchmarks.planning --parts $(or $(N),4000) --delay $(or $(DELAY),0)

.PHONY: bench-snapshot
bench-snapshot: $(READY) ## A run over N archives (90000) whose tasks only touch files: driver, files, opens, requests; then planning
	$(BIN)/python -m tests.benchmarks.snapshot --parts $(or $(N),90000)

.PHONY: bench-gpt3
bench-gpt3: $(READY) ## The gpt3 recipe on the pages in DATA: pages a second, and CPU ms a page by stage, marginal and fixed
	$(BIN)/python -m tests.benchmarks.gpt3 --data $(DATA)

.PHONY: bench-documents
bench-documents: $(READY) build/datatrove/.ready ## From an archive to documents, beside datatrove, on the pages in DATA
	$(BIN)/python -m tests.benchmarks.documents --data $(DATA) --datatrove build/datatrove/bin/python

.PHONY: bench-dumps
bench-dumps: $(READY) ## Dumps read on one core, and the share of the parsers of their markup, on the excerpts in DATA
	$(BIN)/python -m tests.benchmarks.dumps --data $(DATA)

.PHONY: bench-http
bench-http: $(READY) ## Reading an archive over HTTP beside reading it from disk, on the pages in DATA
	$(BIN)/python -m tests.benchmarks.http_source --data $(DATA)

.PHONY: bench-scorer
bench-scorer: $(READY) ## The linear scorer against fastText's predict, on the texts of RUN (default runs/gpt3)
	$(BIN)/python -m tests.benchmarks.scorer $(or $(RUN),runs/gpt3)

.PHONY: bench-decontamination
bench-decontamination: $(READY) ## Decontamination and its report on the texts of RUN (default runs/gpt3), MB/s on one core
	$(BIN)/python -m tests.benchmarks.decontamination --data $(DATA) --texts $(or $(RUN),runs/gpt3)

build/divsufsort/.ready:
	$(PYTHON) -m venv build/divsufsort
	build/divsufsort/bin/python -m pip install --quiet pydivsufsort==0.0.20 'numpy<3'
	touch $@

.PHONY: bench-substrings
bench-substrings: $(READY) build/divsufsort/.ready ## Repeated passages on the texts of RUN (default runs/gpt3), beside a suffix array
	$(BIN)/python -m tests.benchmarks.substrings $(or $(RUN),runs/gpt3) --peer build/divsufsort/bin/python

.PHONY: bench-archives
bench-archives: $(READY) ## Records found in the archives of DATA beside warcio and FastWARC
	$(BIN)/python -m tests.benchmarks.archives --data $(DATA)

build/trafilatura/.ready:
	$(PYTHON) -m venv build/trafilatura
	build/trafilatura/bin/python -m pip install --quiet trafilatura==2.3.0 lxml_html_clean
	@touch $@

.PHONY: bench-extraction
bench-extraction: $(READY) build/trafilatura/.ready ## Extractors on pages with gold text: agreement out of fold (every page's in build/extraction/pages.tsv), and speed as ratios
	$(BIN)/python -m scripts.extraction_model.train build/extraction $(DATA)/extraction/wcxb-dev.parquet $(DATA)/extraction/dev.parquet
	$(BIN)/python -m tests.benchmarks.extraction --data $(DATA) --trafilatura build/trafilatura/bin/python --judged build/extraction/pages.tsv

build/datatrove/.ready:
	$(PYTHON) -m venv build/datatrove
	build/datatrove/bin/python -m pip install --quiet 'datatrove[io,processing]==0.10.1' 'spacy>=3.8,<4'
	@touch $@

.PHONY: bench-minhash
bench-minhash: $(READY) build/datatrove/.ready ## MinHash signatures beside datatrove's stage, on the texts of RUN (default runs/gpt3)
	$(BIN)/python -m tests.benchmarks.minhash $(or $(RUN),runs/gpt3) --datatrove build/datatrove/bin/python

.PHONY: bench-paragraphs
bench-paragraphs: $(READY) ## Repeated paragraphs, sentences and n-grams on the texts of RUN (default runs/gpt3), MB/s on one core
	$(BIN)/python -m tests.benchmarks.paragraphs $(or $(RUN),runs/gpt3)

.PHONY: bench-filters
bench-filters: $(READY) build/datatrove/.ready ## The fineweb preset beside datatrove's filters, on the texts of RUN (default runs/gpt3)
	$(BIN)/python -m tests.benchmarks.filters $(or $(RUN),runs/gpt3) --datatrove build/datatrove/bin/python

.PHONY: bench-dedup-truth
bench-dedup-truth: $(READY) ## Near-duplicates of known similarity made of the texts of RUN (default runs/gpt3): found and wrong
	$(BIN)/python -m tests.benchmarks.dedup_truth $(or $(RUN),runs/gpt3)

.PHONY: bench-dedup-scale
bench-dedup-scale: $(READY) ## From bands to decisions over N documents (default 1000000): time, memory, disk
	$(BIN)/python -m tests.benchmarks.dedup_scale --documents $(or $(N),1000000)

.PHONY: bench-components
bench-components: $(READY) ## Components of N documents (default 67108864) from disk: CPU seconds, memory
	$(BIN)/python -m tests.benchmarks.components --documents $(or $(N),67108864)

.PHONY: bench-shuffles
bench-shuffles: $(READY) ## Shuffles over 100, 1,000 and 4,000 tiny parts: files opened, and CPU a part
	$(BIN)/python -m tests.benchmarks.shuffles --parts 100,1000,4000

.PHONY: bench-templates
bench-templates: $(READY) ## Resolution of N (default 50000) pages of one template, by SPLIT tasks or one: CPU seconds, memory
	$(BIN)/python -m tests.benchmarks.templates --pages $(or $(N),50000) $(if $(SPLIT),--split)

.PHONY: bench-charsets
bench-charsets: $(READY) ## Decoders beside Python's codecs, and guesses of encodings on the sentences of DATA
	$(BIN)/python -m tests.benchmarks.charsets --data $(DATA)

.PHONY: bench-language
bench-language: $(READY) ## Accuracy of language identification on the sentences of DATA
	$(BIN)/python -m tests.benchmarks.language --data $(DATA)

.PHONY: bench-blocklists
bench-blocklists: $(READY) ## Time to build and ask a list of five million domains
	$(BIN)/python -m tests.benchmarks.blocklists

# Other loaders, each with an environment of its own (build/venv-PEER, by the rule above); nanoGPT's is a few lines.
LOADERS := nanogpt megatron streaming litdata
PIN_megatron := megatron-core==0.16.1
PIN_streaming := mosaicml-streaming==0.13.0
PIN_litdata := litdata==0.2.76

.PHONY: bench-loader
bench-loader: $(LOADERS:%=build/venv-%/.ready) ## The loader beside a bare gather from memory maps, nanoGPT's, Megatron's, MosaicML's and litdata's
	build/venv-nanogpt/bin/python -W ignore -m tests.benchmarks.loader
	for peer in $(LOADERS); do \
	  build/venv-$$peer/bin/python -W ignore -m tests.benchmarks.loader_peers $$peer || exit 1; done

.PHONY: bench-asking
bench-asking: $(READY) ## Look-ups, samples and counts on the made-up tables of N documents (default 1000000), in CPU seconds
	$(BIN)/python -m tests.benchmarks.asking --documents $(or $(N),1000000)

.PHONY: bench-many-parts
bench-many-parts: $(READY) ## Pages of `curate ui` and the report of RUN (default runs/own) with each part there 313 times, in CPU seconds
	$(BIN)/python -m tests.benchmarks.many_parts $(or $(RUN),runs/own)

.PHONY: bench-bpe
bench-bpe: $(READY) ## Training a BPE beside tokenizers' trainer, on MB (default 500) of the pages in DATA
	$(BIN)/python -m tests.benchmarks.bpe --data $(DATA) --megabytes $(or $(MB),500)

.PHONY: bench-encode
bench-encode: $(READY) ## Encoding beside tokenizers and tiktoken on one core, on the pages in DATA
	$(BIN)/python -m tests.benchmarks.encode --data $(DATA) --all

.PHONY: bench-pack
bench-pack: $(READY) ## Token files to packed shards on one core, beside memcpy
	$(BIN)/python -m tests.benchmarks.pack

.PHONY: bench-estimate
bench-estimate: $(READY) ## How often a run on the pages in DATA lies inside what `curate estimate` says, over SEEDS (10) samples
	$(BIN)/python -m tests.benchmarks.estimate --data $(DATA) --seeds $(or $(SEEDS),10)

.PHONY: bench-engine
bench-engine: $(READY) ## CPU seconds of Ray's start and of a task on it, beside one process; of parts of the pages in DATA too
	$(BIN)/python -m tests.benchmarks.engine
	$(BIN)/python -m tests.benchmarks.engine_parts --data $(DATA)

.PHONY: bench-skewed
bench-skewed: $(READY) ## Idle time of two cores beside one archive of 16 times the size, of the pages in DATA, whole and split
	$(BIN)/python -m tests.benchmarks.skewed --data $(DATA)

.PHONY: bench-cores
bench-cores: $(READY) ## How much faster two cores extract archives of one size than one, of the pages in DATA
	$(BIN)/python -m tests.benchmarks.cores --data $(DATA)

.PHONY: docs
docs: $(READY) ## Write the pages that are generated from code, and build the docs site
	$(BIN)/curate recipe reference > docs/recipe.md
	$(BIN)/curate recipe schema > docs/recipe.schema.json
	$(BIN)/python -m scripts.api_reference > docs/api.md
	$(BIN)/python -m scripts.reference_pages
	$(BIN)/python -m scripts.readme_images
	$(MAKE) docs-site

.PHONY: images
images: demo ## The picture of the demo's funnel, from the demo as this environment makes it
	$(BIN)/python -m scripts.readme_images runs/demo

VENV_DOCS := build/venv-docs

$(VENV_DOCS)/.ready: scripts/docs_requirements.txt
	$(PYTHON) -m venv $(VENV_DOCS)
	$(VENV_DOCS)/bin/python -m pip install --quiet --requirement scripts/docs_requirements.txt
	@touch $@

.PHONY: docs-site
docs-site: $(READY) $(VENV_DOCS)/.ready ## The docs site in build/site; a link that leads nowhere ends it
	$(BIN)/python -m scripts.docs_site pages
	$(VENV_DOCS)/bin/zensical build --clean --strict --config-file mkdocs.yml
	$(BIN)/python -m scripts.docs_site finish

.PHONY: docs-serve
docs-serve: $(READY) $(VENV_DOCS)/.ready ## The docs site on this machine, at an address that it prints
	$(BIN)/python -m scripts.docs_site pages
	$(VENV_DOCS)/bin/zensical serve --config-file mkdocs.yml

.PHONY: test-docs
test-docs: $(READY) ## Every shell and Python block of README and the tutorial, run as it stands
	$(BIN)/python -m pytest -m docs tests/docs $(PYTEST_ARGS)

.PHONY: build
build: $(READY) ## The source distribution, and the wheel made of it, in dist/
	$(BIN)/python -m build --no-isolation --outdir dist .

.PHONY: clean
clean: ## Remove runs and caches of tools, not the environment
	rm -rf runs build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
