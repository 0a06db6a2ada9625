#!/bin/bash
# Binaryen 132's `wasm-opt -O`, which worker-build runs over every worker unless it is told otherwise, makes a Rust module a tenth smaller
# and yet more to fetch: after gzip it is larger than the same module without any pass, where `-O1` makes it smaller. One of the passes that
# does it is `--coalesce-locals`: the bytes stay as many, and compress worse. Workers are limited, and fetched, by their size after gzip.
#
# Seen: no pass 3484242 bytes, 1021782 after gzip; -O1 3277528, 997193; -O 3146641, 1023088; --coalesce-locals 3483839, 1039676.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts binaryen@132.0.0 @dprint/typescript@0.96.1
opt=node_modules/binaryen/bin/wasm-opt
node "$opt" --version

# Bytes of the module, and of it after gzip, when these passes ran. Names of functions are left out in every case.
sizes() {
  node "$opt" --all-features node_modules/@dprint/typescript/plugin.wasm "$@" -o module.wasm 2> told
  echo "$(stat -c %s module.wasm) $(gzip -9 -c module.wasm | wc -c)"
}
read -r raw gzip <<< "$(sizes --strip-debug)"
echo "no pass            $raw bytes, $gzip after gzip"
read -r raw_small gzip_small <<< "$(sizes -O1)"
echo "-O1                $raw_small bytes, $gzip_small after gzip"
read -r raw_usual gzip_usual <<< "$(sizes -O)"
echo "-O                 $raw_usual bytes, $gzip_usual after gzip"
read -r raw_locals gzip_locals <<< "$(sizes --coalesce-locals)"
echo "--coalesce-locals  $raw_locals bytes, $gzip_locals after gzip"

[ $((raw_usual * 100)) -lt $((raw * 92)) ]
[ "$gzip_usual" -gt "$gzip" ]
[ "$raw_usual" -lt "$raw_small" ] && [ $((gzip_usual * 100)) -gt $((gzip_small * 102)) ]
[ "$raw_locals" -le "$raw" ] && [ $((gzip_locals * 1000)) -gt $((gzip * 1015)) ]
