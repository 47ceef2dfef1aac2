/** What the files of a run say of themselves: of which run they are, which part, and of which bytes. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { attrsText } from '../../compiler/emit/traced.ts';
import { guard, type LoadedModel } from '../../compiler/frontend/index.ts';
import { DitcError, printGraph } from '../../compiler/ir/index.ts';
import { checkpointFiles } from '../../runtime/node/checkpoint.ts';
import { codeDigest, isUnchanged } from '../../library/code.ts';
import type { Shard } from './shard.ts';

/** All that the pictures depend on but the device. Parts of one run have equal ones. */
export interface RunRecord {
  readonly model: string;
  /** SHA-256 of what the sampling entries compute and how parameters start, of the code of ditc, and of the files of the weights. */
  readonly computation: string;
  readonly code: string;
  readonly weights: readonly string[];
  readonly part?: string;
  readonly vae?: { readonly computation: string; readonly weights: readonly string[] };
  readonly settings: Readonly<Record<string, unknown>>;
  readonly dtype: string;
  readonly seed: number;
  readonly num: number;
  /** Those given; drawn from the seed where there are none. */
  readonly classes?: readonly number[];
  readonly batch: number;
  /** Of a picture. */
  readonly shape: readonly [height: number, width: number, channels: number];
}

export interface ShardRecord {
  readonly format: 1;
  readonly run: RunRecord;
  readonly shard: Shard & { readonly first: number; readonly count: number };
  readonly adapter: string;
  /** Of the whole file of pictures; absent while it is being written. */
  readonly sha256?: string;
}

const NAME = /^shard-(\d+)-of-(\d+)\.(json|part\.json)$/;
const numbered = ({ index, of }: Shard): string =>
  `shard-${String(index).padStart(4, '0')}-of-${String(of).padStart(4, '0')}`;

/** The files of a part: its pictures and its record, and both while they are being made. */
export const filesOf = (folder: string, shard: Shard) => {
  const stem = join(folder, numbered(shard));
  return { data: `${stem}.npy`, record: `${stem}.json`, part: `${stem}.npy.part`, partRecord: `${stem}.part.json` };
};

/** The records in a folder, by file. @throws DitcError `bad-format` for one that is none. */
export function recordsIn(
  folder: string,
): { readonly path: string; readonly isWhole: boolean; readonly record: ShardRecord }[] {
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  return names.flatMap((name) => {
    const [, , , ending] = NAME.exec(name) ?? [];
    if (ending === undefined) return [];
    const path = join(folder, name);
    const record = parse(path);
    return record ? [{ path, isWhole: ending === 'json', record }] : [];
  });
}

/** Undefined for one that is gone: another process has just finished that part. */
function parse(path: string): ShardRecord | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const record = JSON.parse(text) as ShardRecord;
    const { run, shard } = record;
    const counts = [run.num, run.batch, shard.index, shard.of, shard.first, shard.count, ...run.shape];
    if (record.format === 1 && run.shape.length === 3 && counts.every((n) => Number.isSafeInteger(n) && n >= 0))
      return record;
  } catch {
    // Told below.
  }
  const fix = 'remove it and its pictures, and draw that part again';
  throw new DitcError({ code: 'bad-format', where: path, what: 'it is no record of a part', fix });
}

/** Throws unless both are of one run, divided into as many parts. */
export function checkSameRun(path: string, found: ShardRecord, wanted: ShardRecord, other: string): void {
  const flat = ({ run, shard }: ShardRecord): Record<string, unknown> => ({ ...run, parts: shard.of });
  const [a, b] = [found, wanted].map((record) => JSON.parse(JSON.stringify(flat(record))) as Record<string, unknown>);
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => !isDeepStrictEqual(a[key], b[key]));
  if (!keys.length) return;
  const shown = (value: unknown) => (JSON.stringify(value) ?? 'none').slice(0, 60);
  const why = keys.map((key) => `${key}: ${shown(a[key])} there, ${shown(b[key])} ${other}`).join('\n');
  const fix = 'give each run a folder of its own';
  throw new DitcError({ code: 'mismatch', where: path, what: 'it is a part of another run', why, fix });
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Of every file that a checkpoint is made of. */
export async function digestsOf(weights: string | undefined): Promise<string[]> {
  if (weights === undefined) return [];
  const digests: string[] = [];
  for (const file of await checkpointFiles(weights)) digests.push(await sha256Of(file));
  return digests;
}

/** Of what entries compute and what their parameters start as, wherever the model's file lies. */
export function computationOf(
  loaded: LoadedModel,
  entries: readonly string[],
  options: Readonly<Record<string, unknown>>,
): string {
  const hash = createHash('sha256');
  for (const entry of entries) {
    const { graph, params, states } = guard(loaded, () => traceEntry(loaded.model, entry, { ...options, batch: 1 }));
    hash.update(printGraph(graph, { locations: false }));
    for (const { node, init } of [...params, ...states])
      hash.update(`${String(node.attrs.name)} ${attrsText({ ...init })}\n`);
  }
  return hash.digest('hex');
}

/** Of the code that draws. @throws DitcError `mismatch` where it was changed since the command began. */
export function drawingCode(): string {
  if (isUnchanged()) return codeDigest();
  const why = 'pictures of two versions of the code would lie in one run';
  const fix = 'give the command again';
  throw new DitcError({ code: 'mismatch', what: 'the code of ditc was changed while it ran', why, fix });
}
