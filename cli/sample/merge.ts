/** The parts of a run as one: checked to be all there, of one run, and as they were written. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, renameSync, rmdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DitcError } from '../../compiler/ir/error.ts';
import { encodeNpyHeader } from '../../runtime/checkpoint/npy-header.ts';
import { writeZip } from '../../runtime/checkpoint/zip-write.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { writeAtomically } from '../../runtime/node/file.ts';
import { discard, temporaryIn } from '../../runtime/node/temporary.ts';
import { ARRAY } from '../eval/pictures.ts';
import { fileError } from '../../library/file-error.ts';
import { encodePng } from '../pictures.ts';
import { startProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { checkSameRun, filesOf, recordsIn, type RunRecord, type ShardRecord } from './record.ts';
import { rangeOf } from './shard.ts';

/** The parts in order. @throws DitcError `mismatch` for those of two runs, `not-found` naming those that are missing. */
export function partsIn(folder: string): readonly ShardRecord[] {
  const found = recordsIn(folder);
  if (!found.length) {
    const fix = 'give the --out of ditc sample --num';
    throw new DitcError({ code: 'not-found', where: folder, what: 'there are no parts of a run', fix });
  }
  const [{ record: first, path: firstPath }] = found;
  for (const { path, record } of found) checkSameRun(path, record, first, `in ${firstPath}`);
  const { of } = first.shard;
  const whole = new Map(found.filter(({ isWhole }) => isWhole).map(({ record }) => [record.shard.index, record]));
  const missing = Array.from({ length: of }, (_, index) => index).filter((index) => !whole.has(index));
  if (missing.length) throw incomplete(folder, missing, first);
  const parts = Array.from({ length: of }, (_, index) => whole.get(index)!);
  for (const part of parts) checkRange(folder, part);
  return parts;
}

function incomplete(folder: string, missing: readonly number[], { run, shard: { of } }: ShardRecord): DitcError {
  const size = run.shape.reduce((a, b) => a * b);
  const lines = missing.slice(0, 8).map((index) => {
    const { part } = filesOf(folder, { index, of });
    const { count } = rangeOf({ index, of }, run.num, run.batch);
    const header = encodeNpyHeader('u8', [count, ...run.shape]).length;
    const bytes = statSync(part, { throwIfNoEntry: false })?.size;
    const state =
      bytes === undefined ? 'not begun' : `${Math.floor(Math.max(0, bytes - header) / size)} of ${count} pictures`;
    return `${index}/${of}: ${state}`;
  });
  const more = missing.length > lines.length ? [`… and ${missing.length - lines.length} more`] : [];
  const what = `${missing.length} of ${of} parts ${missing.length === 1 ? 'is' : 'are'} missing`;
  const fix = `draw ${missing.length === 1 ? 'it' : 'them'} by the same command, with --shard ${missing[0]}/${of}`;
  throw new DitcError({ code: 'not-found', where: folder, what, why: [...lines, ...more].join('\n'), fix });
}

function checkRange(folder: string, { run, shard }: ShardRecord): void {
  const { data } = filesOf(folder, shard);
  const wanted = rangeOf(shard, run.num, run.batch);
  const header = encodeNpyHeader('u8', [wanted.count, ...run.shape]).length;
  const expected = header + wanted.count * run.shape.reduce((a, b) => a * b);
  const size = statSync(data, { throwIfNoEntry: false })?.size;
  if (shard.first === wanted.first && shard.count === wanted.count && size === expected) return;
  const why = size === undefined ? 'the file of its pictures is gone' : `it has ${size} bytes, ${expected} are due`;
  throw damaged(folder, { run, shard }, why);
}

function damaged(folder: string, { shard }: Pick<ShardRecord, 'run' | 'shard'>, why: string): DitcError {
  const { data, record } = filesOf(folder, shard);
  const fix = `remove ${record} and what is left of its pictures, and draw that part again: --shard ${shard.index}/${shard.of}`;
  return new DitcError({ code: 'bad-format', where: data, what: 'it is not as it was written', why, fix });
}

/** The bytes of all pictures in order; each part is checked by its SHA-256 once it has passed. */
async function* bytesOf(folder: string, parts: readonly ShardRecord[]): AsyncGenerator<Buffer> {
  for (const part of parts) {
    const { data } = filesOf(folder, part.shard);
    const hash = createHash('sha256');
    let skip = encodeNpyHeader('u8', [part.shard.count, ...part.run.shape]).length;
    for await (const chunk of createReadStream(data, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      const from = Math.min(skip, chunk.length);
      skip -= from;
      if (from < chunk.length) yield chunk.subarray(from);
    }
    if (hash.digest('hex') !== part.sha256) throw damaged(folder, part, 'its SHA-256 is not that of its record');
  }
}

/** Each picture's bytes. */
async function* picturesOf(folder: string, parts: readonly ShardRecord[]): AsyncGenerator<Buffer> {
  const size = parts[0].run.shape.reduce((a, b) => a * b);
  let rest = Buffer.alloc(0);
  for await (const bytes of bytesOf(folder, parts)) {
    rest = Buffer.concat([rest, bytes]);
    let at = 0;
    for (; at + size <= rest.length; at += size) yield rest.subarray(at, at + size);
    rest = rest.subarray(at);
  }
}

/** As an evaluator takes pictures: in three channels, grey ones too. */
async function* inColor(pictures: AsyncIterable<Buffer>, channels: number): AsyncGenerator<Buffer> {
  for await (const pixels of pictures) {
    if (channels === 3) yield pixels;
    else yield Buffer.from(Uint8Array.from({ length: 3 * pixels.length }, (_, i) => pixels[Math.floor(i / 3)]));
  }
}

async function* counted<T>(items: AsyncIterable<T>, onItem: () => void): AsyncGenerator<T> {
  for await (const item of items) {
    yield item;
    onItem();
  }
}

/** Writes all pictures to `out`: a `.npz` with `arr_0` [N,H,W,3], or a new folder of PNGs. Gives what was merged. */
export async function mergeParts(
  folder: string,
  out: string,
  terminal: Terminal,
): Promise<RunRecord & { parts: number }> {
  const parts = partsIn(folder);
  const { run } = parts[0];
  const bar = startProgress(terminal, 'merging', run.num, 'pictures');
  let done = 0;
  const pictures = counted(picturesOf(folder, parts), () => bar.update(++done));
  try {
    if (/\.npz$/i.test(out)) await writeNpz(out, run, pictures);
    else await writePngs(out, run, pictures);
  } finally {
    bar.stop();
  }
  return { ...run, parts: parts.length };
}

async function writeNpz(out: string, { num, shape }: RunRecord, pictures: AsyncIterable<Buffer>): Promise<void> {
  const [height, width, channels] = shape;
  const header = encodeNpyHeader('u8', [num, height, width, 3]);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield header;
    yield* inColor(pictures, channels);
  }
  const file = { name: `${ARRAY}.npy`, size: header.length + num * height * width * 3, chunks };
  await writeAtomically(out, (write) => writeZip(write, [file]));
}

/** `000000.png`, …, in a folder that is there when all of them are. */
async function writePngs(out: string, { shape }: RunRecord, pictures: AsyncIterable<Buffer>): Promise<void> {
  const [height, width, channels] = shape;
  const target = resolve(out);
  let made: string | undefined;
  try {
    mkdirSync(dirname(target), { recursive: true });
    made = temporaryIn(dirname(target), 'new');
    mkdirSync(made);
    let index = 0;
    for await (const pixels of pictures) {
      const png = encodePng({ width, height, channels: channels as 1 | 3, pixels: Uint8Array.from(pixels) });
      await writeAtomically(join(made, `${String(index++).padStart(6, '0')}.png`), (write) => write(png));
    }
    if (existsSync(target)) rmdirSync(target);
    renameSync(made, target);
  } catch (error) {
    throw error instanceof RuntimeError ? error : fileError(out, 'cannot write the pictures', error);
  } finally {
    if (made !== undefined) discard(made);
  }
}
