# The everyday verbs over the CMake build.  `make help` lists them.
BUILD ?= build
CMAKE_FLAGS ?=
T ?=
FUZZ_SECONDS ?= 60
KILLS ?= 100

help:            ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

setup:           ## install the Debian packages that are missing
	@tools/setup

$(BUILD)/build.ninja: CMakeLists.txt
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) >/dev/null

build: setup $(BUILD)/build.ninja     ## build the library, the timm command and the tests into build/
	@cmake --build $(BUILD)

demo: build      ## classify the bundled photograph with the bundled ImageNet weights
	$(BUILD)/timm infer share/chelsea.jpg --model tf_efficientnet_lite0 --checkpoint share/tf_efficientnet_lite0.in1k.safetensors

train-demo: build ## train a small network on Fashion-MNIST to 93 %: minutes on two cores; into output/train/fashion-mnist
	@tools/setup dataset-fashion-mnist
	$(BUILD)/timm train --config share/recipes/fashion-mnist.yaml --experiment fashion-mnist --resume auto

test: build      ## build and run every test; T=resize runs those whose name or file has that in it
	@$(BUILD)/tests/run $(T)

check-resume: build ## kill training KILLS times (100) at random moments; every run must end with the same bytes
	@TIMM_KILLS=$(KILLS) $(BUILD)/tests/run runs_killed

check-zoo: build ## every model against real timm's figures (half an hour); T=resnet runs some
	@$(BUILD)/tests/check_zoo tests/data/golden.jsonl.xz $(T)

check-arm64:     ## build for arm64 with Debian's cross compiler and run tests under qemu-user; T="ops_" runs some
	@tools/cross-arm64 $(BUILD)-arm64 $(if $(T),$(T),ops_ gradients_ graph_ plan_ half_ resize_ transform_ image_ safetensors_ json_)

man: build       ## the manual pages, made of the help: build/man/timm.1, timm-infer.1, ...
	@ls $(BUILD)/man/*.1

PREFIX ?= /usr/local
install: build   ## install library, headers, command and manual under PREFIX (/usr/local)
	@cmake --install $(BUILD) --prefix $(PREFIX)

fuzz:            ## run each fuzz target for FUZZ_SECONDS (60), with clang; T=json runs some
	@tools/setup clang libclang-rt-14-dev
	@cmake -S . -B $(BUILD)-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS='-O1 -g' -DTIMM_FUZZ=ON >/dev/null
	@cmake --build $(BUILD)-fuzz --target fuzz
	@tools/fuzz $(BUILD)-fuzz $(FUZZ_SECONDS) $(T)

PEERS_PYTHON ?=
need_peers = [ -n "$(PEERS_PYTHON)" ] || { echo 'PEERS_PYTHON=path/to/python is needed: one with torch timm onnx onnxruntime openvino:'; \
    echo '  python3 -m venv ~/peers && ~/peers/bin/pip install torch timm onnx onnxruntime openvino'; \
    echo '  make $@ PEERS_PYTHON=~/peers/bin/python'; exit 1; }
bench: build     ## against ONNX Runtime, OpenVINO and PyTorch, into docs/SPEED.md; needs PEERS_PYTHON; T="resnet18 ..." runs some
	@$(need_peers)
	@$(PEERS_PYTHON) bench/run.py $(BUILD)/timm docs/SPEED.md --cache $(BUILD)/bench $(T)

bench-train: build ## steps of training against PyTorch, into docs/SPEED.md; needs PEERS_PYTHON; T="resnet18:32 ..." runs some
	@$(need_peers)
	@$(PEERS_PYTHON) bench/train.py $(BUILD)/timm docs/SPEED.md $(T)

bench-start: build ## start to first answer and peak memory, into docs/SPEED.md; needs PEERS_PYTHON; T="resnet50 ..." runs some
	@$(need_peers)
	@$(PEERS_PYTHON) bench/start.py $(BUILD)/timm docs/SPEED.md --cache $(BUILD)/bench $(T)

.PHONY: help setup build demo train-demo test check-resume check-arm64 man install check-zoo fuzz bench bench-train bench-start
.DEFAULT_GOAL := help
