/**
 * The sources of this repository as JavaScript that starts at once: bundled in a fifth of a second when they have changed, kept
 * by their content in node_modules/.cache. Node's loader with tsx, which takes them one by one, spends a second and more on each start.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['cli', 'compiler', 'library', 'runtime'];
/** What starts by itself: the command, and the thread that checks types. */
const ENTRIES = ['cli/main.ts', 'compiler/frontend/check-worker.ts'];
const KEPT = join(ROOT, 'node_modules/.cache/ditc');
/** Bundles to keep: those of a few branches. */
const MOST = 8;
const DAY_MS = 24 * 3600 * 1000;

/** What cli/main.ts exports. */
export async function importSources() {
  const bundle = await bundled().catch(() => undefined);
  if (bundle) return import(pathToFileURL(join(bundle, 'main.js')).href);
  // Nothing can be kept here, or esbuild is not installed.
  const { register } = await import('tsx/esm/api');
  // Without this, a tsconfig.json in the user's folder would decide how ditc's own sources are read.
  register({ tsconfig: false });
  return import('./main.ts');
}

/** The folder of the bundle of the sources as they are now. */
async function bundled() {
  const digest = digestOf(sourceFiles());
  const folder = join(KEPT, digest);
  if (existsSync(folder)) return folder;
  mkdirSync(KEPT, { recursive: true });
  const made = mkdtempSync(join(KEPT, 'new-'));
  try {
    await bundle(made);
    if (digestOf(sourceFiles()) !== digest) throw new Error('a source was changed while it was bundled');
    renameSync(made, folder);
  } catch (error) {
    rmSync(made, { recursive: true, force: true });
    // Another process may have been as quick.
    if (!existsSync(folder)) throw error;
  }
  sweep(folder);
  return folder;
}

function sourceFiles() {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  );
  const read = files.filter((name) => /\.(m?[jt]s|json|rules|css|html)$/.test(name));
  return [...read.sort(), 'package.json', 'package-lock.json'];
}

/** Of all that decides what the bundle is, and what its code reads; the bundle names the folder that it was made in. */
function digestOf(files) {
  const hash = createHash('sha256').update(`${ROOT} ${process.version}`);
  for (const file of files) {
    const text = readFileSync(join(ROOT, file));
    hash.update(`\n${file} ${text.length}\n`).update(text);
  }
  return hash.digest('hex').slice(0, 32);
}

async function bundle(outdir) {
  const { build } = await import('esbuild');
  await build({
    absWorkingDir: ROOT,
    entryPoints: ENTRIES.filter((entry) => existsSync(join(ROOT, entry))),
    outdir,
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: true,
    tsconfigRaw: {},
    logLevel: 'silent',
    define: { 'import.meta.url': '__source' },
    plugins: [{ name: 'places', setup: keepPlaces }],
  });
}

/** `import.meta.url` is where the source is: assets lie beside it. */
function keepPlaces(build) {
  build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
    const text = readFileSync(path, 'utf8');
    const place = JSON.stringify(pathToFileURL(path).href);
    return { loader: 'ts', contents: text.includes('import.meta.url') ? `const __source = ${place}; ${text}` : text };
  });
}

/** Keeps the newest, and those of the last day: what runs may yet import a part of its own. */
function sweep(used) {
  const age = (folder) => Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  const folders = readdirSync(KEPT).map((name) => join(KEPT, name));
  const old = folders.sort((a, b) => age(a) - age(b)).slice(MOST);
  for (const folder of old)
    if (folder !== used && age(folder) > DAY_MS) rmSync(folder, { recursive: true, force: true });
}
