/** The loss on examples that are not trained on, always with the same times and noise: what a curve of training cannot show. */
import { isBadExample, withTold, writeValues, type Dataset } from '../../runtime/data/dataset.ts';
import { heldOut } from '../../runtime/data/held-out.ts';
import { writeTold } from '../../runtime/data/told.ts';
import { openData, type DataOptions } from '../../runtime/node/data/open.ts';
import { openTold } from '../../runtime/node/data/told.ts';
import type { InputSpec } from '../../compiler/emit/artefact.ts';
import type { Program } from '../../runtime/program.ts';
import { takesLabels } from '../../runtime/train.ts';
import type { Values } from '../../runtime/transfer.ts';
import { UsageError } from '../errors.ts';
import type { LoadedModel } from '../model.ts';

/** images, labels, seed as of `trainStep`, first u32[] (the number of the first example) → loss f32[N], of each example. */
export const VALIDATION = 'validate';

/** What the loss is measured on: a share of the data, or the path of other data. */
export interface HeldOut {
  readonly share: number;
  readonly path?: string;
  readonly seed: number;
}

/** What the model is told of each example, and the files of it. */
export interface ToldFiles {
  readonly inputs: readonly InputSpec[];
  readonly paths: ReadonlyMap<string, string>;
}

/** What is trained on, and what is measured on. */
export interface SplitData {
  readonly data: Dataset;
  readonly held?: Dataset;
  close(): Promise<void>;
}

/** @throws UsageError for a model that has no such entry, RuntimeError as `openData`. */
export async function openSplit(
  path: string,
  options: DataOptions,
  told: ToldFiles,
  { share, path: other, seed }: HeldOut,
  { model, source }: LoadedModel,
): Promise<SplitData> {
  const wanted = share > 0 || other !== undefined;
  if (wanted && !Object.hasOwn(model.entries, VALIDATION)) {
    const fix = 'leave --val out, or write the entry: see docs/training.md';
    throw new UsageError({ what: '--val has nothing to measure', why: `${source} has no entry ${VALIDATION}`, fix });
  }
  if (share > 0 && other !== undefined)
    throw new UsageError({ what: '--val and --val-data exclude each other', fix: 'give one of them' });
  if (other !== undefined && told.inputs.length) {
    const why = `the model is told ${told.inputs.map(({ name }) => name).join(' and ')} of each example, and --input gives that of --data`;
    throw new UsageError({ what: '--val-data has nothing to tell the model', why, fix: 'hold out a share with --val' });
  }
  const data = await openTrained(path, options, told);
  try {
    if (!wanted) return { data, close: () => data.close() };
    if (other === undefined) return { ...heldOut(data, share, seed), close: () => data.close() };
    const held = await openData(other, { ...options, labels: data.classes, flip: false });
    return { data, held, close: async () => void (await Promise.all([data.close(), held.close()])) };
  } catch (error) {
    await data.close();
    throw error;
  }
}

/** Data, with what is told of its examples. */
async function openTrained(path: string, options: DataOptions, { inputs, paths }: ToldFiles): Promise<Dataset> {
  const data = await openData(path, options);
  if (!inputs.length) return data;
  try {
    return withTold(data, await openTold(inputs, paths, data.count));
  } catch (error) {
    await data.close();
    throw error;
  }
}

/** The mean loss over all of the examples; undefined when `stop` came first. Those that cannot be read are left out where training does. */
export async function validate(
  program: Program,
  held: Dataset,
  { seed, stop }: { readonly seed: number; readonly stop: AbortSignal },
): Promise<number | undefined> {
  const { inputs } = program.manifest.entries[VALIDATION];
  const [batch, ...shape] = inputs.find(({ name }) => name === 'images')!.shape;
  const size = shape.reduce((a, b) => a * b, 1);
  const [images, labels] = [new Float32Array(batch * size), new Int32Array(batch)];
  const told: Record<string, Values> = {};
  let [sum, count] = [0, 0];
  for (let first = 0; first < held.count; first += batch) {
    if (stop.aborted) return undefined;
    const isRead = Array.from({ length: Math.min(batch, held.count - first) }, () => true);
    for (const i of isRead.keys()) {
      labels[i] = held.labels[first + i];
      try {
        writeValues(images, i * size, await held.read(first + i, false, { seed, epoch: 0 }));
        writeTold(told, batch, i, (await held.told?.read(first + i)) ?? {});
      } catch (error) {
        if (!isBadExample(error) || held.onBad === 'refuse') throw error;
        isRead[i] = false;
      }
    }
    program.write('images', images);
    if (takesLabels(program)) program.write('labels', labels);
    for (const [name, values] of Object.entries(told)) program.write(name, values);
    program.write('first', Uint32Array.of(first));
    await program.run(VALIDATION);
    const losses = (await program.readOutput(VALIDATION, 'loss')) as Float32Array;
    isRead.forEach((read, i) => {
      if (read) [sum, count] = [sum + losses[i], count + 1];
    });
  }
  return count ? sum / count : undefined;
}
