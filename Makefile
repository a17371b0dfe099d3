# What a newcomer types. `make caffe` once; then PATH=.caffe/bin:$PATH gives caffe, python3 and pytest.
CAFFE = PATH="$(CURDIR)/.caffe/bin:$$PATH"
# this machine's own Python, also where .caffe/bin is first on PATH
HOST = PATH="$$(echo "$$PATH" | sed 's|$(CURDIR)/.caffe/bin:*||g')"
# every committed net says in its first line which command makes it
NETS = sed -n 's/^\# made by: //p' prototxt/*/train.prototxt

.PHONY: demo test check caffe prototxt

demo: caffe ## images and labels to a mAP table through real Caffe
	$(CAFFE) tools/demo.sh

test: caffe .venv/ready ## the parts that need no Caffe on this machine's Python, then everything in .caffe
	.venv/bin/python -m pytest -q -m "not caffe and not image"
	$(CAFFE) pytest -q

check: .venv/ready ## style, shell scripts, Dockerfiles, generated files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/shellcheck docker/*.sh tools/*.sh .ci/run
	.venv/bin/hadolint docker/Dockerfile
	$(NETS) | while read -r command; do eval ".venv/bin/python $$command --check" || exit 1; done

caffe: ## BVLC Caffe and its Python in .caffe, from Debian's packages
	docker/make_caffe.sh .caffe

prototxt: .venv/ready ## generates the committed nets anew
	$(NETS) | while read -r command; do eval ".venv/bin/python $$command" || exit 1; done

.venv/ready: pyproject.toml
	$(HOST) python3 -m venv --clear .venv
	.venv/bin/pip install --quiet --editable '.[test,check]'
	touch .venv/ready
