/** The checkpoint that a training goes on from: which one it is, and what to do when it cannot be read. */
import { statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DitcError } from '../../compiler/ir/error.ts';
import { RuntimeError } from '../../runtime/error.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import type { Dataset } from '../../runtime/data/dataset.ts';
import { withWeights } from '../gpu.ts';
import { plural } from '../text.ts';
import { checkpointSteps, POINTER } from './checkpoint.ts';
import { recordIn, type TrainingRecord } from './record.ts';

export interface Checkpoint {
  readonly path: string;
  readonly file: TensorFile;
  readonly record: TrainingRecord;
}

/** The checkpoint of a folder that was written last: `latest` names it, or had no time to. @throws DitcError where there is none. */
export async function latestCheckpoint(folder: string): Promise<string> {
  const named = (await readFile(join(folder, POINTER), 'utf8').catch(() => '')).trim();
  if (/^\d+\.safetensors$/.test(named)) return join(folder, named);
  const [last] = await newestFirst(folder);
  if (last) return last;
  const fix = 'leave --resume out to begin, or give the path of a checkpoint';
  throw new DitcError({ code: 'io', where: folder, what: 'there is no checkpoint to go on from', fix });
}

async function newestFirst(folder: string): Promise<string[]> {
  const found = (await checkpointSteps(folder)).map(({ name }) => join(folder, name)).reverse();
  const written = new Map(found.map((path) => [path, statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0]));
  return found.sort((a, b) => written.get(b)! - written.get(a)!);
}

/**
 * Opens a checkpoint, for the time of `work`; without a path, `work` gets none.
 * @throws DitcError for one that cannot be read, naming the newest one beside it that can.
 */
export async function withCheckpoint<T>(
  path: string | undefined,
  work: (checkpoint?: Checkpoint) => Promise<T>,
): Promise<T> {
  if (path === undefined) return work();
  let isRead = false;
  try {
    return await withWeights(path, (file) => {
      const record = recordIn(file!);
      isRead = true;
      return work({ path, file: file!, record });
    });
  } catch (error) {
    throw isRead ? error : await withAnother(path, error);
  }
}

/** A note when data was written after the checkpoint, which tells data apart by names and labels only. */
export async function changedSince(
  { path }: Checkpoint,
  { name, filesOf, count }: Dataset,
): Promise<string | undefined> {
  const { mtimeMs } = await stat(path);
  const files = filesOf(0, count);
  let newer = 0;
  for (const file of files) {
    const written = await stat(file).catch(() => undefined);
    if (written && written.mtimeMs > mtimeMs) newer++;
  }
  if (!newer) return undefined;
  return `${newer} of ${plural(files.length, 'file')} of ${name} ${newer === 1 ? 'is' : 'are'} newer than ${path}: training goes on with what is there now`;
}

async function withAnother(path: string, error: unknown): Promise<unknown> {
  if (!(error instanceof DitcError || error instanceof RuntimeError)) return error;
  for (const other of await newestFirst(dirname(path))) {
    if (resolve(other) === resolve(path) || !(await isWhole(other))) continue;
    const { code, where, what, why } = error;
    const fix = `go on from the newest that is whole: --resume ${other}`;
    return new DitcError({ code, where, what, why, fix }, { cause: error });
  }
  return error;
}

const isWhole = (path: string): Promise<boolean> =>
  withWeights(path, async (file) => recordIn(file!)).then(
    () => true,
    () => false,
  );
