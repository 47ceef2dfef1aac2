/** Reads the reference files of test/golden/data (see its README): named tensors in float32, and a configuration. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { MemorySource } from '../../runtime/checkpoint/source.ts';

const DATA = join(import.meta.dirname, '..', 'golden', 'data');

export interface Golden {
  readonly config: Record<string, unknown>;
  /** Row-major values by name (`param.…`, `input.…`, `output.…`). */
  readonly values: Record<string, ArrayLike<number>>;
  readonly shapes: Record<string, readonly number[]>;
}

/** Stems of the files `<prefix>*.safetensors`; never empty, so that a missing folder cannot pass for success. */
export function goldenCases(prefix: string): string[] {
  const files = readdirSync(DATA).filter((file) => file.startsWith(prefix) && file.endsWith('.safetensors'));
  if (!files.length) throw new Error(`no ${prefix}*.safetensors in ${DATA}: run the scripts of test/golden`);
  return files.map((file) => file.replace('.safetensors', ''));
}

export async function readGolden(stem: string): Promise<Golden> {
  const path = join(DATA, `${stem}.safetensors`);
  const file = await openSafetensors(new MemorySource(path, readFileSync(path)));
  const values: Record<string, ArrayLike<number>> = {};
  const shapes: Record<string, readonly number[]> = {};
  for (const [name, { dtype, shape }] of file.tensors) {
    values[name] = dtype === 'i32' ? await file.readI32(name) : await file.readF32(name);
    shapes[name] = shape;
  }
  return { config: JSON.parse(file.metadata.config) as Record<string, unknown>, values, shapes };
}

/** Inputs and parameters by the names that a graph has for them. */
export const bindingsOf = ({ values }: Golden): Record<string, ArrayLike<number>> =>
  Object.fromEntries(Object.entries(values).map(([name, v]) => [name.replace(/^(param|input)\./, ''), v]));

export function readGoldenJson<T>(stem: string): T {
  const path = join(DATA, `${stem}.json`);
  if (!existsSync(path)) throw new Error(`${path} is missing: run the scripts of test/golden`);
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}
