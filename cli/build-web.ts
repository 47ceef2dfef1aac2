/** `ditc build --target web`: a folder for any web server, with a page to begin with. */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { TrainerOptions } from '../library/web/build.ts';
import { recordOf } from '../runtime/data/dataset.ts';
import { SAMPLING_ENTRIES } from '../runtime/sample.ts';
import { TRAINING_ENTRIES } from '../runtime/train.ts';
import type { ModelFile } from '../runtime/web/model-file.ts';
import type { Context } from './context.ts';
import { UsageError } from './errors.ts';
import type { LoadedModel } from './model.ts';
import type { Precision } from '../compiler/pipeline.ts';
import { bytes, plural, seconds, table } from './text.ts';

export interface WebBuildOptions {
  readonly out?: string;
  readonly entry?: readonly string[];
  readonly batch: number;
  readonly dtype: Precision;
  readonly weights?: string;
  readonly steps?: number;
  readonly data?: string;
  readonly trainBatch?: number;
  readonly lr?: number;
  readonly ema?: number;
  readonly json?: boolean;
}

/** Options of web builds alone, with what does the same elsewhere. */
const WEB_ONLY: Readonly<Record<string, readonly [flag: string, elsewhere: string]>> = {
  weights: ['--weights', 'ditc run, sample and train take weights when they load an artefact'],
  steps: ['--steps', 'ditc sample --steps says how many a picture takes elsewhere'],
  data: ['--data', 'ditc train --data trains'],
  trainBatch: ['--train-batch', 'ditc train --batch says how many examples a step takes'],
  lr: ['--lr', 'ditc train --lr sets it elsewhere'],
  ema: ['--ema', 'ditc train --ema sets it elsewhere'],
};

/** What a page decides by itself, or has no use for. */
export function checkForWeb(options: Readonly<Record<string, unknown>>): void {
  const others = { memory: '--memory', tuning: '--tuning', printIr: '--print-ir' };
  const given = Object.entries(others).find(([name]) => options[name] !== undefined)?.[1];
  const idle = ['trainBatch', 'lr', 'ema'].find((name) => options[name] !== undefined);
  if (idle && options.data === undefined)
    throw new UsageError({ what: `${WEB_ONLY[idle][0]} has no effect without --data`, fix: 'add --data' });
  const device = options.device === 'portable' ? undefined : '--device';
  const flag = given ?? device;
  if (!flag) return;
  const fix = `leave ${flag} out: a page runs on any device, and chooses among kernels for several`;
  throw new UsageError({ what: `${flag} has no effect with --target web`, fix });
}

export function checkForNode(options: object): void {
  for (const [name, [flag, elsewhere]] of Object.entries(WEB_ONLY))
    if ((options as Record<string, unknown>)[name] !== undefined)
      throw new UsageError({ what: `${flag} is for --target web`, fix: `add --target web; ${elsewhere}` });
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
  const trainer = options.data === undefined ? undefined : await openTrainer(loaded, options.data, options);
  const checkpoint = options.weights === undefined ? undefined : await openCheckpointFile(options.weights);
  const spool = spoolFor(out);
  try {
    const { files, model } = await webFiles(
      {
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
        picture: loaded.model.picture,
        keep: spool.keep,
        onNote: (note) => terminal.err(note),
      },
      trainer,
    );
    writeWebFolder(out, files);
    const took = performance.now() - start;
    if (options.json)
      terminal.out(
        JSON.stringify({ model: model.model, out, variants: model.variants, seconds: took / 1000 }, null, 2),
      );
    else terminal.out(report(model, out, files.get('runtime.js') as string, took));
  } finally {
    spool.discard();
    await checkpoint?.close();
    await trainer?.data.close();
  }
}

/** What a page trains: the model from new weights, on data that comes with it. */
async function openTrainer(loaded: LoadedModel, path: string, options: WebBuildOptions): Promise<TrainerOptions> {
  const [{ compileArtefact }, { checkTrainer }, { settle }, { openData }] = await Promise.all([
    import('../library/model.ts'),
    import('./train/entries.ts'),
    import('./train/settings.ts'),
    import('../runtime/node/data/open.ts'),
  ]);
  const given = Object.fromEntries(
    Object.entries({ lr: options.lr, ema: options.ema }).filter(([, value]) => value !== undefined),
  );
  const { settings } = settle({ batch: options.trainBatch, options: given });
  const entryOptions = { ...settings.options, batch: settings.batch };
  const { shape, classes, told } = checkTrainer(loaded, { ...entryOptions, dtype: 'f32' });
  if (told.length) {
    const what = `--data has no effect: the model is told ${told.map(({ name }) => name).join(', ')} of each example`;
    throw new UsageError({ what, fix: 'leave --data out, and train it with ditc train' });
  }
  const data = await openData(path, { shape, classes });
  const { name, model } = loaded;
  const compile: TrainerOptions['model']['compile'] = (device, dtype) =>
    compileArtefact(loaded, { device, dtype, entries: TRAINING_ENTRIES, entryOptions, tuning: 'off' });
  const record = { format: 1, model: name, config: model.config, settings, data: recordOf(data) } as const;
  return { model: { name, dtype: 'f32', compile }, data, record };
}

/** What was built, on one screen. */
function report({ model, variants, weights }: ModelFile, out: string, runtime: string, took: number): string {
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
    `  runtime.js is ${bytes(Buffer.byteLength(runtime))}, ${bytes(gzipSync(runtime).length)} as servers send it (gzip)`,
    `  wrote ${out}/ — serve it and open index.html, such as with: npx http-server ${out}  (${seconds(took)})`,
  ].join('\n');
}
