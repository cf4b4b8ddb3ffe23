# The everyday verbs over the CMake build.  `make help` lists them.
BUILD ?= build
CMAKE_FLAGS ?=
T ?=
FUZZ_SECONDS ?= 60

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

PREFIX ?= /usr/local
install: build   ## install library, headers and command under PREFIX (/usr/local)
	@cmake --install $(BUILD) --prefix $(PREFIX)

fuzz:            ## run each fuzz target for FUZZ_SECONDS (60), with clang; T=json runs some
	@tools/setup clang
	@cmake -S . -B $(BUILD)-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS='-O1 -g' -DTIMM_FUZZ=ON >/dev/null
	@cmake --build $(BUILD)-fuzz --target fuzz
	@tools/fuzz $(BUILD)-fuzz $(FUZZ_SECONDS) $(T)

.PHONY: help setup build demo test install check-zoo fuzz
.DEFAULT_GOAL := help
