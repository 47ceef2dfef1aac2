/**
 * The files that `ditc encode` makes, and which of them are there already: made from the same pictures, byte by byte, by the
 * same weights and options. So the work goes on where it stopped, and what is no longer true is not taken for done.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { DTYPE_BYTES } from '../../runtime/checkpoint/dtype.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import type { Dataset } from '../../runtime/data/dataset.ts';
import { ENCODED, shardName, shardOf } from '../../runtime/data/encoded.ts';
import { checkpointFiles } from '../../runtime/node/checkpoint.ts';
import { UsageError } from '../errors.ts';
import { withWeights } from '../gpu.ts';
import type { Autoencoder } from './autoencoder.ts';

/** A file to be written: examples first … first + count − 1. */
export interface Shard {
  readonly path: string;
  readonly first: number;
  readonly count: number;
  /** What it is made from: equal records are of equal files. It takes a reading of all the pictures. */
  record(): Promise<string>;
}

export interface EncodeJob {
  readonly vae: Autoencoder;
  readonly data: Dataset;
  readonly out: string;
  readonly weights: string;
  /** Which of the weights, where the file has several. */
  readonly part?: Part;
  readonly dtype: 'f32' | 'f16';
  /** Most bytes of a file. */
  readonly shardBytes: number;
}

/** The files that the job makes. */
export function shardsOf({ vae, data, out, weights, part, dtype, shardBytes }: EncodeJob): Shard[] {
  const elements = 2 * vae.latent.reduce((a, b) => a * b);
  const most = Math.max(1, Math.floor(shardBytes / (2 * elements * DTYPE_BYTES[dtype])));
  const of = Math.ceil(data.count / most);
  const digests = new Map<string, Promise<string>>();
  const digestOf = (path: string): Promise<string> => {
    // One that cannot be read is told when it is encoded, or left out.
    if (!digests.has(path))
      digests.set(
        path,
        digest(createReadStream(path)).catch(() => 'unreadable'),
      );
    return digests.get(path)!;
  };
  const made = async (first: number, count: number) => {
    const pictures: string[] = [];
    for (const file of data.filesOf(first, count)) pictures.push(await digestOf(file));
    return {
      format: 2,
      vae: vae.computation,
      scale: vae.scale,
      weights: await digest(await Promise.all((await checkpointFiles(weights)).map(digestOf))),
      part,
      data: { count: data.count, fingerprint: data.fingerprint, onBad: data.onBad, pictures: await digest(pictures) },
      dtype,
      first,
      count,
    };
  };
  return Array.from({ length: of }, (_, index) => {
    const first = index * most;
    const count = Math.min(most, data.count - first);
    const path = of === 1 ? out : shardName(out.replace(/\.safetensors$/i, ''), index, of);
    return { path, first, count, record: async () => JSON.stringify(await made(first, count)) };
  });
}

async function digest(chunks: AsyncIterable<Buffer> | Iterable<string>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex').slice(0, 16);
}

/**
 * Those that are not there yet. One that is there counts when it was made from what is there now: the same pictures, byte by
 * byte, by the same weights and options. @throws UsageError for a file that is in the way.
 */
export async function missingShards(shards: readonly Shard[], out: string): Promise<Shard[]> {
  checkDivision(shards, out);
  const missing: Shard[] = [];
  for (const shard of shards) {
    if (!existsSync(shard.path)) {
      missing.push(shard);
      continue;
    }
    const record = await withWeights(shard.path, async (file) => file?.metadata[ENCODED.record]).catch(() => undefined);
    const wanted = record === undefined ? undefined : await shard.record();
    if (record !== undefined && record === wanted) continue;
    const why =
      record === undefined ? 'it is not one of ditc encode' : `it was made from other ${differing(record, wanted!)}`;
    throw new UsageError({ what: `--out: ${shard.path} is there`, why, fix: 'remove it, or give another --out' });
  }
  return missing;
}

/** Files of another division into parts would be taken for parts of the same whole. */
function checkDivision(shards: readonly Shard[], out: string): void {
  const folder = dirname(out);
  const stem = basename(out).replace(/\.safetensors$/i, '');
  const ours = new Set(shards.map(({ path }) => basename(path)));
  const other = readdirSync(folder).find(
    (name) => (name === basename(out) || shardOf(name)?.stem === stem) && !ours.has(name),
  );
  if (other === undefined) return;
  const why = `with this --shard there are ${shards.length} files, and it is none of them`;
  throw new UsageError({
    what: `--out: ${join(folder, other)} is there`,
    why,
    fix: 'remove it, or give another --out',
  });
}

/** What the two records do not agree in, in words. */
function differing(before: string, now: string): string {
  const words: Record<string, string> = {
    vae: 'computations of the model',
    weights: 'weights',
    part: 'weights',
    data: 'pictures',
  };
  const parts = (text: string): Record<string, unknown> => {
    try {
      return JSON.parse(text) as Record<string, unknown>;
    } catch {
      return {};
    }
  };
  const [was, is] = [parts(before), parts(now)];
  const other = Object.keys({ ...was, ...is }).filter((key) => !isDeepStrictEqual(was[key], is[key]));
  return [...new Set(other.map((key) => words[key] ?? 'options'))].join(' and ') || 'data';
}
