/** `ditc build --target web`: a folder for any web server, with a page to begin with. */
import { join } from 'node:path';
import { SAMPLING_ENTRIES } from '../runtime/sample.ts';
import type { ModelFile } from '../runtime/web/model-file.ts';
import type { Context } from './context.ts';
import { UsageError } from './errors.ts';
import type { Precision } from '../compiler/pipeline.ts';
import { bytes, plural, seconds, table } from './text.ts';

export interface WebBuildOptions {
  readonly out?: string;
  readonly entry?: readonly string[];
  readonly batch: number;
  readonly dtype: Precision;
  readonly weights?: string;
  readonly steps?: number;
  readonly json?: boolean;
}

/** What a page decides by itself, or has no use for. */
export function checkForWeb(options: Readonly<Record<string, unknown>>): void {
  const others = { memory: '--memory', tuning: '--tuning', printIr: '--print-ir' };
  const given = Object.entries(others).find(([name]) => options[name] !== undefined)?.[1];
  const device = options.device === 'portable' ? undefined : '--device';
  const flag = given ?? device;
  if (!flag) return;
  const fix = `leave ${flag} out: a page runs on any device, and chooses among kernels for several`;
  throw new UsageError({ what: `${flag} has no effect with --target web`, fix });
}

export async function buildForWeb(path: string, options: WebBuildOptions, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [
    { compileArtefact },
    { loadModel },
    { webFiles },
    { withChoices },
    { checkWebFolder, spoolFor, writeWebFolder },
    { openCheckpointFile },
  ] = await Promise.all([
    import('../library/model.ts'),
    import('./model.ts'),
    import('../library/web/build.ts'),
    import('../library/web/choices.ts'),
    import('../library/web/folder.ts'),
    import('../runtime/node/checkpoint.ts'),
  ]);
  if (options.out !== undefined) checkWebFolder(options.out);
  const loaded = loadModel(path, terminal);
  const out = options.out ?? join('codegen-out', `${loaded.name}-web`);
  checkWebFolder(out);
  const drawn = SAMPLING_ENTRIES.every((name) => Object.hasOwn(loaded.model.entries, name));
  const choices = drawn && !options.entry ? withChoices(loaded.model, options.batch, options.steps) : undefined;
  const entries = choices?.entries ?? (options.entry && [...new Set(options.entry)]);
  const chosen = choices ? { ...loaded, model: choices.model } : loaded;
  const checkpoint = options.weights === undefined ? undefined : await openCheckpointFile(options.weights);
  const spool = spoolFor(out);
  try {
    const { files, model } = await webFiles({
      name: loaded.name,
      dtype: options.dtype,
      checkpoint,
      compile: (device, dtype) =>
        compileArtefact(chosen, {
          ...{ device, dtype, entries, tuning: 'off' },
          entryOptions: { batch: options.batch, ...choices?.options },
        }),
      later: choices?.entries.filter((name) => !SAMPLING_ENTRIES.some((own) => own === name)),
      samplers: choices?.samplers,
      keep: spool.keep,
      onNote: (note) => terminal.err(note),
    });
    writeWebFolder(out, files);
    const took = performance.now() - start;
    if (options.json)
      terminal.out(
        JSON.stringify({ model: model.model, out, variants: model.variants, seconds: took / 1000 }, null, 2),
      );
    else terminal.out(report(model, out, (files.get('runtime.js') as string).length, took));
  } finally {
    spool.discard();
    await checkpoint?.close();
  }
}

/** What was built, on one screen. */
function report({ model, variants, weights }: ModelFile, out: string, runtime: number, took: number): string {
  const sum = (sizes: readonly { bytes: number }[]) => sizes.reduce((total, stored) => total + stored.bytes, 0);
  const rows = variants.map((variant) => {
    const chunks = variant.weights === undefined ? [] : weights[variant.weights].chunks;
    const needs = [...variant.features, ...(variant.subgroup ? [`subgroups of ${variant.subgroup}`] : [])].join(', ');
    const carried = chunks.length
      ? `${bytes(sum(chunks))} weights in ${plural(chunks.length, 'file')}`
      : 'weights from a seed';
    return [
      `  ${variant.name}`,
      `${bytes(variant.code.bytes)} code`,
      carried,
      needs ? `needs ${needs}` : 'any WebGPU device',
    ];
  });
  return [
    `${model}  ${plural(variants.length, 'variant')}: a page takes the first that its GPU runs`,
    ...table(rows),
    `  runtime.js is ${bytes(runtime)}`,
    `  wrote ${out}/ — serve it and open index.html, such as with: npx http-server ${out}  (${seconds(took)})`,
  ].join('\n');
}
