/**
 * Reads an artefact folder (`codegen-out/<model>/`): manifest.json, kernels/*.wgsl and, if there are any, the dense values in
 * constants.safetensors. The manifest's shape is checked here; whether its parts fit each other, when a program is made.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artefact, Manifest } from '../../compiler/emit/artefact.ts';
import { openSafetensors } from '../checkpoint/safetensors.ts';
import { quote, RuntimeError } from '../error.ts';
import { openFile } from './file.ts';

/** The manifest format that this runtime reads. */
const FORMAT = 1;

/** A check of one value: throws with the value's path when it has another shape. Keys it does not name are ignored. */
type Check = (value: unknown, path: string) => void;

class ShapeError extends Error {}

function fail(path: string, expected: string, value: unknown): never {
  const shown = value === undefined ? 'missing' : quote(JSON.stringify(value) ?? String(value), 40);
  throw new ShapeError(`${path} must be ${expected}, it is ${shown}`);
}

const text: Check = (value, path) => {
  if (typeof value !== 'string') fail(path, 'text', value);
};
const size: Check = (value, path) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) fail(path, 'a non-negative integer', value);
};
const number: Check = (value, path) => {
  if (typeof value !== 'number') fail(path, 'a number', value);
};
const oneOf =
  (...choices: string[]): Check =>
  (value, path) => {
    if (!choices.includes(value as string)) fail(path, `one of ${choices.join(', ')}`, value);
  };
const list =
  (item: Check, length?: number): Check =>
  (value, path) => {
    const right = Array.isArray(value) && (length === undefined || value.length === length);
    if (!right) fail(path, length === undefined ? 'a list' : `a list of ${length}`, value);
    value.forEach((element, i) => item(element, `${path}[${i}]`));
  };
function fieldsOf(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(path, 'an object', value);
  return value as Record<string, unknown>;
}
const object =
  (fields: Record<string, Check>): Check =>
  (value, path) => {
    const given = fieldsOf(value, path);
    for (const [key, check] of Object.entries(fields)) {
      check(Object.hasOwn(given, key) ? given[key] : undefined, `${path}.${key}`);
    }
  };
const mapOf =
  (item: Check): Check =>
  (value, path) => {
    for (const [key, element] of Object.entries(fieldsOf(value, path))) item(element, `${path}.${key}`);
  };

const tensor = { name: text, shape: list(size), dtype: oneOf('f32', 'f16', 'i32', 'u32', 'bool') };
const named = object({ name: text });
const arena = object({ arena: size, offset: size, size });
const resource: Check = (value, path) => {
  const { kind } = fieldsOf(value, path);
  oneOf('param', 'pack', 'state', 'bundle', 'input', 'constant', 'arena')(kind, `${path}.kind`);
  (kind === 'arena' ? arena : named)(value, path);
};
const init: Check = (value, path) => {
  const { kind } = fieldsOf(value, path);
  oneOf('zeros', 'ones', 'file', 'normal', 'uniform')(kind, `${path}.kind`);
  if (kind === 'normal') object({ std: number })(value, path);
  if (kind === 'uniform') object({ bound: number })(value, path);
};
const dispatch = object({
  kernel: text,
  workgroups: list(size, 3),
  value: text,
  ops: list(text),
  source: list(text),
  resources: list(resource),
});
const entry = object({
  inputs: list(object(tensor)),
  outputs: list(object({ ...tensor, resource })),
  dispatches: list(dispatch),
  updates: list(object({ to: resource, from: resource, bytes: size })),
  changes: list(object({ kind: oneOf('param', 'state'), name: text })),
  prelude: (value, path) => value === undefined || text(value, path),
  memory: object({ arenas: list(size) }),
});
const kernel = object({
  file: text,
  bindings: list(object({ name: text, access: oneOf('read', 'read_write'), bytes: size })),
  features: list(text),
  subgroup: (value, path) => value === undefined || size(value, path),
});
const manifestShape = object({
  model: text,
  entries: mapOf(entry),
  kernels: mapOf(kernel),
  params: list(object({ ...tensor, init })),
  states: list(object({ ...tensor, init })),
  packs: (value, path) => value === undefined || list(object({ name: text, params: list(text) }))(value, path),
  bundles: (value, path) =>
    value === undefined || list(object({ name: text, states: list(text), alignment: size }))(value, path),
  constants: list(object(tensor)),
});

function checkPreludes({ entries }: Manifest): void {
  for (const [name, { prelude }] of Object.entries(entries)) {
    if (prelude !== undefined && !Object.hasOwn(entries, prelude))
      fail(`manifest.entries.${name}.prelude`, 'the name of an entry', prelude);
  }
}

const REBUILD = 'build the model again with ditc build';

function bad(where: string, what: string, why: string, fix = REBUILD, code = 'bad-artefact'): RuntimeError {
  return new RuntimeError({ code, where, what, why, fix });
}

/**
 * Reads an artefact folder into memory (kernels and constants; weights are a checkpoint's business).
 * @throws RuntimeError `not-found` when the folder holds no artefact, `unsupported` for another format number,
 * `bad-artefact` with the path of the value that is wrong, or for a kernel file that is missing.
 */
export async function readArtefact(dir: string): Promise<Artefact> {
  const path = join(dir, 'manifest.json');
  const manifest = checkManifest(path, await readText(path, dir));
  const wgsl = new Map<string, string>();
  await Promise.all(
    Object.entries(manifest.kernels).map(async ([name, { file }]) => {
      // The manifest may come from anywhere: it names files of this folder only.
      if (!/^kernels\/[\w][\w.-]*\.wgsl$/.test(file))
        throw bad(path, `kernels.${name}.file is ${quote(file)}`, 'it must be kernels/NAME.wgsl');
      wgsl.set(name, await readKernel(join(dir, file), name));
    }),
  );
  return { manifest, wgsl, data: await readData(join(dir, 'constants.safetensors'), manifest) };
}

async function readText(path: string, dir: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const what = 'it is not an artefact folder';
    const fix = 'pass a folder that ditc build wrote, such as codegen-out/dit-xl';
    throw new RuntimeError({ code: 'not-found', where: dir, what, why: `manifest.json: ${reason}`, fix, cause });
  }
}

function checkManifest(path: string, content: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw bad(path, 'the manifest is no JSON', (error as Error).message);
  }
  try {
    const { format } = fieldsOf(value, 'it');
    if (format === undefined) fail('format', `${FORMAT}`, format);
    if (format !== FORMAT) {
      const fix = 'build the model again, or use the version of ditc that wrote it';
      const what = `the artefact has format ${JSON.stringify(format)}`;
      throw bad(path, what, `this ditc reads format ${FORMAT}`, fix, 'unsupported');
    }
    manifestShape(value, 'manifest');
    checkPreludes(value as Manifest);
  } catch (error) {
    if (error instanceof ShapeError) throw bad(path, 'the manifest is malformed', error.message);
    throw error;
  }
  return value as Manifest;
}

async function readKernel(path: string, name: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw bad(path, `kernel ${name} cannot be read`, (error as Error).message);
  }
}

/** The constants, and the first values of parameters and states that have fixed ones. */
async function readData(path: string, manifest: Manifest): Promise<Artefact['data']> {
  const fixed = [...manifest.params, ...manifest.states].filter((spec) => spec.init.kind === 'file');
  const wanted = [...manifest.constants, ...fixed.map((spec) => ({ ...spec, name: `init.${spec.name}` }))];
  const data = new Map<string, Float32Array | Int32Array | Uint32Array>();
  if (wanted.length === 0) return data;
  const source = await openFile(path);
  try {
    const file = await openSafetensors(source);
    for (const { name, shape, dtype } of wanted) {
      const found = file.tensors.get(name);
      if (!found || found.shape.join() !== shape.join()) {
        const why = found ? `it is [${found.shape.join(', ')}]` : 'the file does not have it';
        throw bad(path, `tensor ${name} must be [${shape.join(', ')}]`, why);
      }
      if (dtype === 'f32' || dtype === 'f16') data.set(name, await file.readF32(name));
      else {
        const values = await file.readI32(name);
        data.set(name, dtype === 'i32' ? values : new Uint32Array(values));
      }
    }
    return data;
  } finally {
    await source.close();
  }
}
