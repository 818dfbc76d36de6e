#!/bin/sh
# Inside the image of the reference environment: gather its Python, with all that it needs, into one folder.
#   collect.sh FOLDER carried|none
# The folder is put into images whose system may be years older. So the C library and its loader go along, with every
# other library that a file in there asks for: nothing of the other system is used but its kernel.
set -eu
out=$1
runtime=$2
env=/opt/env/bin/python
version=$("$env" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
prefix=$("$env" -c 'import sys; print(sys.base_prefix)')
packages=$("$env" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

mkdir -p "$out/bin" "$out/lib" "$out/system"
cp -L "$prefix/bin/$version" "$out/bin/python"
cp -a "$prefix/lib/$version" "$out/lib/$version"
cd "$out/lib/$version"
rm -rf site-packages test idlelib tkinter turtledemo lib2to3 ensurepip config-*
cp -a "$packages" site-packages
cd site-packages
rm -rf pip setuptools pip-*.dist-info setuptools-*.dist-info
# Written by its tests alone, and a fifth of the whole.
rm -rf onnx/backend/test
if [ "$runtime" = none ]; then
    rm -rf onnxruntime onnxruntime-*.dist-info
fi

# ldd names, for each file, where its libraries and the loader were found: "name => /path (0x…)", "/path (0x…)".
find "$out" -type f \( -name '*.so' -o -name '*.so.*' -o -path "$out/bin/python" \) -exec ldd {} + 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\// {print $3} $1 ~ /^\/.*ld-linux/ {print $1}' | sort -u >"$out/libraries"
while read -r library; do
    case $library in
    "$out"/*) ;;
    *) cp -L "$library" "$out/system/" ;;
    esac
done <"$out/libraries"
rm "$out/libraries"
# The C library loads this one by itself, when a thread ends.
find /lib /usr/lib -name 'libgcc_s.so.1' -exec cp -L {} "$out/system/" \;
mv "$out"/system/ld-linux-*.so.* "$out/system/loader"
chmod -R a+rX "$out"
