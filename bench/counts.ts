/**
 * What the compiler makes of every entry of every model in models/ and test/models/zoo: dispatches, distinct kernels, memory for
 * activations. With `--against`, only what a change of the compiler changed; models change too, so `--models` compiles those of an
 * earlier commit.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { specOf } from '../library/device.ts';
import { table } from '../cli/text.ts';
import type { Model } from '../compiler/dsl/model.ts';
import type { Artefact } from '../compiler/emit/artefact.ts';
import { DitcError } from '../compiler/ir/index.ts';
import { compileModel } from '../compiler/compile.ts';
import { modelFolders } from './lib/model-folders.ts';
import { options, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/counts.ts [options] [NAME…]   dispatches, kernels and activations of all models, or of those named

  --device D        what to compile for (portable)
  --batch N         examples (2)
  --models COMMIT   the models as they were at that commit, by today's compiler
  --against FILE    print what differs from an earlier --json FILE; fails where an entry needs more of anything`;
const { positionals, json, count, text } = options(HELP, {
  device: { type: 'string', default: 'portable' },
  batch: { type: 'string', default: '2' },
  models: { type: 'string' },
  against: { type: 'string' },
});

interface Counts {
  readonly dispatches: number;
  readonly kernels: number;
  readonly activationBytes: number;
  /** Of the WGSL and the manifest: equal where nothing changed. */
  readonly digest: string;
}

const device = specOf(text('device')!);
const MODELS = modelFolders(text('models'));

/** The model that a file exports by default, or makes by a function of the file's name. */
async function modelIn(path: string): Promise<Model | undefined> {
  const exported = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  if (exported.default) return exported.default as Model;
  const name = basename(path, '.ts').replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  const make = exported[name];
  const made: unknown = path.includes('zoo') && typeof make === 'function' && make.length === 0 ? make() : {};
  return 'entries' in (made as object) ? (made as Model) : undefined;
}

function countsOf({ manifest, wgsl }: Artefact, entry: string): Counts {
  const entries = Object.values(manifest.entries);
  const dispatches = entries.flatMap((each) => each.dispatches);
  const bytes = manifest.entries[entry].memory.activationPeakBytes;
  const digest = createHash('sha256').update(JSON.stringify([manifest, ...wgsl]));
  return {
    dispatches: dispatches.length,
    kernels: new Set(dispatches.map(({ kernel }) => kernel)).size,
    activationBytes: bytes,
    digest: digest.digest('hex').slice(0, 16),
  };
}

const found: Record<string, Counts> = {};
for (const path of MODELS.flatMap((folder) => readdirSync(folder).map((file) => `${folder}/${file}`)).sort()) {
  const name = basename(path, '.ts');
  if (!path.endsWith('.ts') || (positionals.length && !positionals.includes(name))) continue;
  const model = await modelIn(path);
  for (const entry of Object.keys(model?.entries ?? {})) {
    const own = { name, source: name, device, entries: [entry], entryOptions: { batch: count('batch') } };
    try {
      found[`${name} ${entry}`] = countsOf(compileModel(model!, own), entry);
    } catch (error) {
      if (!(error instanceof DitcError)) throw error;
      console.error(`${name} ${entry}: ${error.what}`);
    }
  }
}

const cells = (counts?: Counts): string[] =>
  counts
    ? [String(counts.dispatches), String(counts.kernels), (counts.activationBytes / 1e6).toFixed(2)]
    : ['', '', ''];
const against = text('against');
const before = against ? (JSON.parse(readFileSync(against, 'utf8')) as Record<string, Counts>) : undefined;
const shown = Object.keys(found).filter((name) => !before || before[name]?.digest !== found[name].digest);
const head = ['', 'dispatches', 'kernels', 'activations MB', ...(before ? ['before:', 'kernels', 'MB'] : [])];
const rows = shown.map((name) => [name, ...cells(found[name]), ...(before ? cells(before[name]) : [])]);
console.log(table([head, ...rows], new Set([...head.keys()].slice(1))).join('\n'));
writeJson(json, found);
const KEYS = ['dispatches', 'kernels', 'activationBytes'] as const;
for (const name of shown) {
  const then = before?.[name];
  const more = then ? KEYS.filter((key) => found[name][key] > then[key]) : [];
  more.forEach((key) => console.error(`${name} needs more: ${key} ${then![key]} → ${found[name][key]}`));
  if (more.length) process.exitCode = 1;
}
