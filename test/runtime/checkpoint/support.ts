/** Shared by the checkpoint tests: the fixtures, and the one kind of failure that is allowed. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RuntimeError } from '../../../runtime/error.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import type { TensorFile } from '../../../runtime/checkpoint/source.ts';

export interface ExpectedTensor {
  dtype: string;
  shape: number[];
  values: number[];
}

export const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
export const fixtureBytes = (name: string) => new Uint8Array(readFileSync(fixture(name)));
export const fixtureSource = (name: string) => new MemorySource(name, fixtureBytes(name));

/** What torch, numpy and safetensors read from the fixtures: see make_fixtures.py. */
export const expected = JSON.parse(readFileSync(fixture('expected.json'), 'utf8')) as Record<
  string,
  Record<string, Record<string, ExpectedTensor>>
>;

/** The RuntimeError that `action` throws; any other outcome fails the test. */
export async function failure(action: () => unknown): Promise<RuntimeError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof RuntimeError) return error;
    throw error;
  }
  throw new Error('expected a RuntimeError, but nothing was thrown');
}

/** Reads every tensor to the end. */
export async function readAll(file: TensorFile): Promise<Map<string, Float32Array>> {
  const out = new Map<string, Float32Array>();
  for (const name of file.tensors.keys()) out.set(name, await file.readF32(name));
  return out;
}

/** Mulberry32: uniform in [0, 1), the same on every machine. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A copy with one to three bytes changed: a bit flipped, or set to a value that breaks parsers. */
export function mutate(bytes: Uint8Array, next: () => number): Uint8Array {
  const out = bytes.slice();
  for (let n = 1 + Math.floor(next() * 3); n > 0; n--) {
    const at = Math.floor(next() * out.length);
    const kind = next();
    if (kind < 0.6) out[at] ^= 1 << Math.floor(next() * 8);
    else out[at] = [0, 0x7f, 0x80, 0xff, 0x28, 0x2e][Math.floor(next() * 6)];
  }
  return out;
}
