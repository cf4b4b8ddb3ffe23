# The everyday verbs over the CMake build.  `make help` lists them.
BUILD ?= build
CMAKE_FLAGS ?=
T ?=

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

setup:           ## install the Debian packages that are missing
	@tools/setup

$(BUILD)/build.ninja: CMakeLists.txt
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) >/dev/null

build: setup $(BUILD)/build.ninja     ## build the library, the timm command and the tests into build/
	@cmake --build $(BUILD)

demo: build      ## classify the bundled photograph with the bundled ImageNet weights
	$(BUILD)/timm infer share/chelsea.jpg --model tf_efficientnet_lite0 --checkpoint share/tf_efficientnet_lite0.in1k.safetensors

test: build      ## build and run every test; T=resize runs those whose name or file has that in it
	@$(BUILD)/tests/run $(T)

check-zoo: build ## every model against real timm's figures (an hour); T=resnet runs some
	@$(BUILD)/tests/check_zoo tests/data/golden.jsonl.xz $(T)

.PHONY: help setup build demo test check-zoo
.DEFAULT_GOAL := help
