/**
 * Builds what npm publishes into dist/: every source as JavaScript and declarations, the files that they read beside them, and
 * the software GPU, so that an installed ditc needs neither TypeScript's loader nor a browser's package. In the repository
 * nothing reads dist/: commands and tests run from the sources.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleRuntime } from './library/web/esbuild.mjs';

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');
const at = (...path) => join(root, ...path);

rmSync(dist, { recursive: true, force: true });
execFileSync(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at('tsconfig.build.json')], {
  stdio: 'inherit',
});
for (const folder of ['cli', 'compiler', 'library', 'runtime']) copyAssets(folder);
for (const [name, source] of Object.entries({ runtime: 'index', training: 'training' }))
  writeFileSync(join(dist, `library/web/${name}.js`), await bundleRuntime(at(`runtime/web/${source}.ts`)));
copySwiftShader();

/** What the code reads at run time: rules, device specs, parts of pages. */
function copyAssets(folder) {
  const asset = (name) => /\.(rules|json|m?js|css|html|svg|d\.ts)$/.test(name);
  for (const entry of readdirSync(at(folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !asset(entry.name)) continue;
    const from = join(entry.parentPath ?? entry.path, entry.name);
    const to = join(dist, from.slice(root.length));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
}

/** The archive of runtime/node/swiftshader.ts, with where it is from and its licence. */
function copySwiftShader() {
  const require = createRequire(import.meta.url);
  const source = at('node_modules/@sparticuz/chromium');
  const { name, version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
  const folder = join(dist, 'runtime/node/swiftshader');
  mkdirSync(folder, { recursive: true });
  cpSync(join(source, 'bin/swiftshader.tar.br'), join(folder, 'swiftshader.tar.br'));
  cpSync(join(dirname(require.resolve('typescript/package.json')), 'LICENSE.txt'), join(folder, 'LICENSE-Apache-2.0'));
  writeFileSync(join(folder, 'source.json'), `${JSON.stringify({ name, version })}\n`);
  writeFileSync(
    join(folder, 'NOTICE'),
    `swiftshader.tar.br is taken unchanged from the npm package ${name} ${version}. Of it ditc uses SwiftShader
(libvk_swiftshader.so, copyright The SwiftShader Authors, https://github.com/google/swiftshader) and the Vulkan
loader (libvulkan.so.1, copyright The Khronos Group Inc., Valve Corporation and LunarG, Inc.,
https://github.com/KhronosGroup/Vulkan-Loader). Both are licensed under the Apache License, Version 2.0.
`,
  );
}
