#!/usr/bin/env bash
# The table of a GPU as files for a machine without npm: one program, and what it reads.
#   bench/gpu/bundle.sh [FOLDER]      default .gpu; there: node FOLDER/gpu.mjs, with the package webgpu in FOLDER/node_modules
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-.gpu}
npx esbuild bench/gpu/main.ts --bundle --platform=node --format=esm --external:webgpu --log-level=warning \
  --banner:js="import { createRequire as requireFor } from 'node:module'; const require = requireFor(import.meta.url);" --outfile="$out/gpu.mjs"
cp -r compiler/rewrite/rules "$out/"
# The grammar's library is asked for when a grammar is first read, which a bundler does not see.
npx esbuild ohm-js --bundle --platform=node --format=cjs --log-level=warning --outfile="$out/ohm-js.cjs"
sed -i 's#"ohm-js")#"./ohm-js.cjs")#' "$out/gpu.mjs"
