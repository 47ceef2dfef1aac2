/** Opens a checkpoint by its path: a file, an index of shards, or a folder that holds one of them. */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseJson } from '../checkpoint/json.ts';
import { openCheckpoint } from '../checkpoint/open.ts';
import { joinShards, readIndex } from '../checkpoint/sharded.ts';
import type { ByteSource, TensorFile } from '../checkpoint/source.ts';
import type { Part } from '../checkpoint/trained.ts';
import { RuntimeError } from '../error.ts';
import { openFile } from './file.ts';

/** `part` is which of the weights, of a file that has several. The caller closes it. @throws as `openCheckpoint`. */
export async function openCheckpointFile(path: string, part?: Part): Promise<TensorFile> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory();
  if (!isFolder) return openOne(path, part);
  const file = await openOne(join(path, await checkpointIn(path)), part);
  try {
    file.config = await configIn(path);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The files that a checkpoint is made of. */
export async function checkpointFiles(path: string): Promise<string[]> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory();
  const file = isFolder ? join(path, await checkpointIn(path)) : path;
  const source = await openFile(file);
  try {
    if (!(await isJson(source))) return [file];
    return [file, ...shardsOf(await readIndex(source)).map((shard) => join(dirname(file), shard))];
  } finally {
    await source.close();
  }
}

async function openOne(path: string, part?: Part): Promise<TensorFile> {
  const source = await openFile(path);
  let isKept = false;
  try {
    if (await isJson(source)) return await openSharded(source, part);
    const beside = (location: string) => openFile(join(dirname(path), location));
    const file = await openCheckpoint(source, { prefer: part, beside });
    isKept = true;
    return file;
  } finally {
    if (!isKept) await source.close();
  }
}

const isJson = async (source: ByteSource): Promise<boolean> =>
  source.size > 0 && String.fromCharCode((await source.read(0, 1))[0]) === '{';

const shardsOf = (index: ReadonlyMap<string, string>): string[] => [...new Set(index.values())].sort();

async function openSharded(source: ByteSource, part?: Part): Promise<TensorFile> {
  const index = await readIndex(source);
  const names = shardsOf(index);
  await checkThere(source.name, names);
  const files = new Map<string, TensorFile>();
  try {
    for (const name of names) files.set(name, await openShard(join(dirname(source.name), name), part));
    return joinShards(source.name, index, files);
  } catch (error) {
    await Promise.all([...files.values()].map((file) => file.close()));
    throw error;
  }
}

async function openShard(path: string, part?: Part): Promise<TensorFile> {
  const source = await openFile(path);
  try {
    return await openCheckpoint(source, { prefer: part });
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function checkThere(index: string, shards: readonly string[]): Promise<void> {
  const there = new Set(await readdir(dirname(index)));
  const missing = shards.filter((shard) => !there.has(shard));
  if (!missing.length) return;
  const what = `${missing.length} of its ${shards.length} shards ${missing.length > 1 ? 'are' : 'is'} not beside it`;
  const why = missing.slice(0, 4).join(', ') + (missing.length > 4 ? ', …' : '');
  const fix = 'download them into the folder of the index';
  throw new RuntimeError({ code: 'io', where: index, what, why, fix });
}

const INDEX = /\.index\.json$/;
const WEIGHTS = /\.(safetensors|pt|pth|bin|ckpt)(\.index\.json)?$/;
const SHARD = /-\d{5}-of-\d{5}\.\w+$/;

/**
 * The checkpoint in a folder, by its name: safetensors rather than pickles, the plain one rather than a variant (`.fp16.`), an
 * index rather than one file. @throws RuntimeError `not-found` where there is none, or several.
 */
async function checkpointIn(folder: string): Promise<string> {
  const found = (await candidatesIn(folder)).sort();
  const stem = (name: string): string => name.replace(INDEX, '');
  const rank = (name: string): number => (/\.safetensors/.test(name) ? 0 : 1000) + stem(name).split('.').length;
  const best = found.filter((name) => rank(name) === Math.min(...found.map(rank)));
  if (best.length && best.every((name) => stem(name) === stem(best[0])))
    return best.find((name) => INDEX.test(name)) ?? best[0];
  if (!found.length) throw await noneIn(folder);
  const why = best.slice(0, 6).join(', ') + (best.length > 6 ? ', …' : '');
  const fix = 'give the path of the one that is meant';
  const what = `it holds ${best.length} checkpoints`;
  throw new RuntimeError({ code: 'not-found', where: folder, what, why, fix });
}

const candidatesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => WEIGHTS.test(name) && !SHARD.test(name));

/** Of a pipeline's folder, the parts lie in folders of their own. */
async function noneIn(folder: string): Promise<RuntimeError> {
  const parts: string[] = [];
  for (const { name } of (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory()))
    if ((await candidatesIn(join(folder, name)).catch(() => [])).length) parts.push(name);
  const why = parts.length
    ? `it has folders that do: ${parts.join(', ')}`
    : 'no .safetensors, .pt, .bin or index is there';
  const fix = parts.length ? `give the one that is meant, such as ${join(folder, parts[0])}` : 'check the path';
  return new RuntimeError({ code: 'not-found', where: folder, what: 'it holds no checkpoint', why, fix });
}

const MAX_CONFIG_BYTES = 2 ** 20;

/** What `config.json` in a folder says; undefined where there is none. */
async function configIn(folder: string): Promise<ReadonlyMap<string, unknown> | undefined> {
  const path = join(folder, 'config.json');
  if (!(await stat(path).catch(() => undefined))?.isFile()) return undefined;
  const source = await openFile(path);
  try {
    const bytes = await source.read(0, Math.min(source.size, MAX_CONFIG_BYTES));
    const config = parseJson(new TextDecoder().decode(bytes), path, 16);
    return config instanceof Map ? config : undefined;
  } finally {
    await source.close();
  }
}
