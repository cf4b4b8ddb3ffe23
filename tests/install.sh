#!/bin/sh
# install.sh BUILD TEMP - installs BUILD under TEMP, builds a C and a C++ program outside the tree against it, by pkg-config and
# by find_package, runs them, and looks at what the library exports.
set -eu
build=$1 temp=$2
cmake --install "$build" --prefix "$temp/usr" >/dev/null
lib=$(dirname "$(find "$temp/usr" -name libtimm.so)")
mkdir -p "$temp/app"
cat > "$temp/app/main.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <timm/timm.h>
int main(void)
{
    timm_ctx *ctx = timm_open(NULL);
    size_t n = 0;
    timm_list_models(ctx, NULL, &n);
    printf("%s %s\n", timm_version(), n > 400 ? "many models" : "too few models");
    return timm_close(ctx) || strcmp(timm_version(), TIMM_VERSION) || n <= 400;
}
C
sed 's/NULL/nullptr/' "$temp/app/main.c" > "$temp/app/main.cpp"
cat > "$temp/app/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.18)
project(app C CXX)
find_package(timm 0.1 REQUIRED)
add_executable(app_c main.c)
add_executable(app_cpp main.cpp)
target_link_libraries(app_c PRIVATE timm::timm)
target_link_libraries(app_cpp PRIVATE timm::timm)
C
export PKG_CONFIG_PATH="$lib/pkgconfig" LD_LIBRARY_PATH="$lib"
cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$temp/app/main.c" $(pkg-config --cflags --libs timm) -o "$temp/app/by_pkg_config"
"$temp/app/by_pkg_config"
cmake -S "$temp/app" -B "$temp/app/build" -DCMAKE_PREFIX_PATH="$temp/usr" >/dev/null
cmake --build "$temp/app/build" >/dev/null
"$temp/app/build/app_c"
"$temp/app/build/app_cpp"
unset LD_LIBRARY_PATH
"$temp/usr/bin/timm" --version
for page in timm timm-infer timm-list timm-train timm-validate; do
    grep -q '^.SH SYNOPSIS' "$temp/usr/share/man/man1/$page.1" || { echo "no manual page $page"; exit 1; }
done
others=$(nm -D --defined-only "$lib/libtimm.so" | awk '{ print $3 }' | grep -v '^timm_' || true)
[ -z "$others" ] || { echo "the library also exports: $others"; exit 1; }
size=$(for f in "$lib/libtimm.so" "$temp/usr/bin/timm"; do strip -o "$temp/stripped" "$f"; wc -c < "$temp/stripped"; done | awk '{ n += $1 } END { print n }')
echo "library and command, stripped: $size bytes"
[ "$size" -le 5000000 ] || { echo "that is more than 5 MB"; exit 1; }
