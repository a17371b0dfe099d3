# What a newcomer types. `make caffe` once; then PATH=.caffe/bin:$PATH gives caffe, python3 and pytest.
CAFFE = PATH="$(CURDIR)/.caffe/bin:$$PATH"
# this machine's own Python, also where .caffe/bin is first on PATH
HOST = PATH="$$(echo "$$PATH" | sed 's|$(CURDIR)/.caffe/bin:*||g')"
CORES = $(shell nproc)
# tests of a file share what they make, so that a file stays with one worker; newer releases of pytest-xdist would begin
# with the files of many tests, where conftest.py has the slow ones first
SIDE_BY_SIDE = -n $(CORES) --dist loadfile
AS_THEY_COME = --no-loadscope-reorder

.PHONY: help demo demo-mask setup experiment bench test image check docs commands pictures caffe torch prototxt

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: caffe ## images and labels to a mAP table through real Caffe
	$(CAFFE) tools/demo.sh

setup: caffe .venv/ready ## all that the README needs: .caffe and .venv

demo-mask: caffe ## images and masks to a table of boxes, classes and masks
	$(CAFFE) tools/demo_mask.sh

experiment: caffe .venv/ready ## the paper's folds x models on the drawn pictures: work/experiment/report
	mkdir -p work
	test -e work/experiment/data || $(CAFFE) tools/make_demo_data.py --count 600 --patients 200 --out work/experiment/data
	.venv/bin/skinmtl run work/experiment/data/manifest.csv --images work/experiment/data/images --out work/experiment \
		--preset demo --cores $(CORES)

# FILES=tests/skinmtl/nets runs one room's; a room may have no test for one of the two Pythons (pytest's status 5)
FILES =
NONE_IS_FINE = $(if $(FILES),|| [ $$? -eq 5 ])

test: caffe .venv/ready ## the parts that need no Caffe on this machine's Python, then those of Caffe and of libraries in .caffe
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -m "not caffe and not image" $(SIDE_BY_SIDE) $(AS_THEY_COME) \
		$(FILES) $(NONE_IS_FINE)
	$(CAFFE) OPENBLAS_NUM_THREADS=1 pytest -q -m "not image and (caffe or not once)" $(SIDE_BY_SIDE) $(FILES) \
		$(NONE_IS_FINE)

# in a mount namespace with memory of its own: nothing of it outlives the tests, however they end
image: .venv/ready ## the CPU image, built and tried out by buildah, which needs root; 4 GB of memory hold it
	mkdir -p work/image
	unshare --mount sh -ec 'mount -t tmpfs skinmtl-image work/image; \
		exec .venv/bin/python -m pytest -q -m image tests/docker/test_image.py --basetemp=work/image/tests'

bench: caffe torch ## each benchmark against its peer; some minutes each
	$(CAFFE) benchmarks/bootstrap.py
	$(CAFFE) benchmarks/folds.py
	$(CAFFE) benchmarks/jitter.py
	$(CAFFE) benchmarks/make_lmdb.py --data work/photographs
	$(CAFFE) benchmarks/mask_layers.py
	$(CAFFE) benchmarks/neighbours.py
	$(CAFFE) benchmarks/resume.py
	$(CAFFE) benchmarks/score.py
	.venv/bin/python benchmarks/engine_training.py
	.venv/bin/python benchmarks/engine_scoring.py
	.venv/bin/python benchmarks/mask_step.py
	.venv/bin/python benchmarks/odd_photographs.py
	.venv/bin/python benchmarks/overfit_masks.py
	.venv/bin/python benchmarks/proposals.py
	.venv/bin/python benchmarks/rare_lesions.py
	.venv/bin/python benchmarks/same_probabilities.py
	.venv/bin/python benchmarks/trained_images.py

check: .venv/ready ## style, shell scripts, Dockerfile, documents, generated files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/shellcheck docker/*.sh docs/images/*.sh tools/*.sh .ci/run
	.venv/bin/hadolint docker/Dockerfile
	.venv/bin/python docs/make_commands.py --check
	.venv/bin/mkdocs build --quiet --strict
	.venv/bin/python prototxt/make.py --check

docs: .venv/ready ## the documents as a site: work/site/index.html
	.venv/bin/mkdocs build --quiet --strict

commands: .venv/ready ## docs/commands.md anew, from the tools' own parsers
	.venv/bin/python docs/make_commands.py

pictures: caffe ## docs/images anew, from what `make demo`, `make demo-mask` and `make experiment` have left
	$(CAFFE) docs/images/make.sh

caffe: ## BVLC Caffe and its Python in .caffe, from Debian's packages
	docker/make_caffe.sh .caffe

torch: .venv/ready ## caffe-torch, the engine on PyTorch, in .venv
	.venv/bin/pip install --quiet torch==2.14.1 torchvision==0.29.1 --editable '.[torch,onnx]'

prototxt: .venv/ready ## generates the committed nets anew
	.venv/bin/python prototxt/make.py

.venv/ready: pyproject.toml setup.py
	$(HOST) python3 -m venv --clear .venv
	.venv/bin/pip install --quiet --editable '.[test,check,docs,workflow,heic,fast]'
	touch .venv/ready
