#!/usr/bin/env bash
# Libtorch 2.4.0 for the CPU, which the deep tier links (tch 0.17 and rust-bert 0.23 want just this version), out of the wheel
# of PyTorch: Linux on x86_64, with pip, unzip, binutils and a C compiler.
#   deploy/libtorch.sh FOLDER        makes FOLDER/lib and FOLDER/include, about 520 MB, once
set -euo pipefail
folder=$(realpath -m "${1:?the folder to make it in}")
if [ -e "$folder/complete" ]; then exit 0; fi
if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "libtorch.sh: $(uname -sm); only Linux x86_64 has this wheel: set LIBTORCH to a libtorch 2.4.0 of your own" >&2
    exit 2
fi
for program in pip3 unzip nm cc; do
    command -v "$program" >/dev/null && continue
    echo "libtorch.sh: $program is missing; on Debian: apt-get install -y python3-pip unzip build-essential" >&2
    exit 2
done
if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
    echo "libtorch.sh: $folder is there and was not made by this script; name another folder, or remove it" >&2
    exit 2
fi
mkdir -p "$(dirname "$folder")"
# In a folder beside it, which takes its name when it is whole.
making=$(mktemp -d "$folder.XXXXXX")
wheel=$(mktemp -d)
trap 'rm -rf "$wheel" "$making"' EXIT
echo "fetching libtorch 2.4.0 (about 800 MB)" >&2
pip3 download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux1_x86_64 \
    --dest "$wheel" torch==2.4.0
mkdir -p "$making/lib"
unzip -q "$wheel"/torch-*.whl -d "$wheel" 'torch/include/*' torch/lib/libtorch_cpu.so torch/lib/libc10.so \
    'torch/lib/libgomp*' 'torch-*/LICENSE' 'torch-*/NOTICE'
mv "$wheel/torch/include" "$making/"
mv "$wheel"/torch/lib/* "$making/lib/"
mv "$wheel"/torch-*/LICENSE "$wheel"/torch-*/NOTICE "$making/"
echo 2.4.0 >"$making/build-version"
cd "$making/lib"
# The wheel is one for GPUs: its CPU library names functions of two libraries of CUDA's that are only called where there is
# one. Stand-ins answer "no device" (999: unknown error) to each.
for library in libcudart.so.12 libcupti.so.12; do
    nm --dynamic --undefined-only libtorch_cpu.so | sed -n "s/.* \(cu[A-Za-z0-9_]*\)@$library\$/int \1(void) { return 999; }/p" \
        >"$wheel/stand-in.c"
    echo "$library { global: cu*; local: *; };" >"$wheel/versions.map"
    cc -shared -fPIC -o "$library" "$wheel/stand-in.c" -Wl,-soname,"$library" -Wl,--version-script="$wheel/versions.map"
done
# The wheel's libtorch.so pulls in the GPU library: an empty one that needs the CPU library alone takes its place.
cc -shared -o libtorch.so -xc /dev/null -Wl,-soname,libtorch.so -Wl,--no-as-needed -L. -Wl,--allow-shlib-undefined \
    -ltorch_cpu -lc10 -Wl,-rpath,'$ORIGIN'
touch "$making/complete"
chmod 755 "$making"
[ ! -d "$folder" ] || rmdir "$folder"
mv "$making" "$folder"
