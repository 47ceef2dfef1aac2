/**
 * Reads a manifest: its shape, and that it stays within its folder; whether its parts fit each other is seen when a program is
 * made. A manifest may come from anywhere: what it names becomes a file only where that is safe.
 */
import type { Manifest } from '../compiler/emit/artefact.ts';
import { quote, RuntimeError } from './error.ts';

/** The manifest format that this runtime reads. */
const FORMAT = 1;

/** More levels than any build writes: what looks at each level by calling itself would run out of stack. */
const MOST_LEVELS = 100;

/** File systems take 255 bytes, of which suffixes need some. */
const MOST_BYTES = 240;

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
const yes: Check = (value, path) => {
  if (value !== true) fail(path, 'true', value);
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
  (item: Check, name: Check = text): Check =>
  (value, path) => {
    for (const [key, element] of Object.entries(fieldsOf(value, path))) {
      name(key, `a name in ${path}`);
      item(element, `${path}.${key}`);
    }
  };

/** Names of entries, outputs and states, which become files of a folder that the user gives. */
const fileStem: Check = (value, path) => {
  const safe = typeof value === 'string' && /^[\p{L}\d_$][\p{L}\d_.$-]*$/u.test(value);
  if (!safe || new TextEncoder().encode(value).length > MOST_BYTES)
    fail(path, `a name of letters, digits, _, . and -, of at most ${MOST_BYTES} bytes`, value);
};
/** The manifest names files of its own folder only. */
const kernelFile: Check = (value, path) => {
  if (typeof value !== 'string' || !/^kernels\/[\w][\w.-]*\.wgsl$/.test(value)) fail(path, 'kernels/NAME.wgsl', value);
};
const digest: Check = (value, path) => {
  if (typeof value !== 'string' || !/^[\da-f]{64}$/.test(value)) fail(path, 'a SHA-256 in hexadecimal', value);
};

const tensor = { name: text, shape: list(size), dtype: oneOf('f32', 'f16', 'i32', 'u32', 'bool') };
const named = object({ name: text });
const lead: Check = (value, path) => value === undefined || size(value, path);
const param = object({ name: text, lead });
const arena = object({ arena: size, offset: size, size, lead });
const resource: Check = (value, path) => {
  const { kind } = fieldsOf(value, path);
  oneOf('param', 'pack', 'state', 'bundle', 'input', 'constant', 'arena')(kind, `${path}.kind`);
  (kind === 'arena' ? arena : kind === 'param' ? param : named)(value, path);
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
const input = object({
  ...tensor,
  range: (value, path) => value === undefined || list(number, 2)(value, path),
  classes: (value, path) => value === undefined || size(value, path),
});
const entry = object({
  inputs: list(input),
  outputs: list(object({ ...tensor, name: fileStem, resource })),
  dispatches: list(dispatch),
  updates: list(object({ to: resource, from: resource, bytes: size })),
  changes: list(object({ kind: oneOf('param', 'state'), name: text })),
  prelude: (value, path) => value === undefined || text(value, path),
  parts: (value, path) => value === undefined || list(object({ entry: text, times: size }))(value, path),
  startedBy: (value, path) => value === undefined || mapOf(list(text))(value, path),
  memory: object({ arenas: list(size) }),
});
const state = object({
  ...tensor,
  name: fileStem,
  init,
  count: (value, path) => value === undefined || size(value, path),
  scratch: (value, path) => value === undefined || yes(value, path),
});
const matrixShape = object({ componentType: text, resultComponentType: text, M: size, N: size, K: size });
const kernel = object({
  file: kernelFile,
  bindings: list(object({ name: text, access: oneOf('read', 'read_write'), bytes: size })),
  features: list(text),
  subgroup: (value, path) => value === undefined || size(value, path),
  matrix: (value, path) => value === undefined || list(matrixShape)(value, path),
});
const manifestShape = object({
  model: text,
  entries: mapOf(entry, fileStem),
  kernels: mapOf(kernel),
  params: list(object({ ...tensor, init })),
  states: list(state),
  packs: (value, path) => value === undefined || list(object({ name: text, params: list(text) }))(value, path),
  bundles: (value, path) =>
    value === undefined || list(object({ name: text, states: list(text), alignment: size }))(value, path),
  constants: list(object(tensor)),
});
const digests = object({ files: mapOf(digest), digest });

function checkDepth(manifest: unknown): void {
  let level = [manifest];
  for (let depth = 0; level.length; depth++) {
    if (depth > MOST_LEVELS) throw new ShapeError(`it is nested deeper than ${MOST_LEVELS} levels`);
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
}

/** Entries run before others: those that there are, and none before itself. */
function checkParts({ entries }: Manifest): void {
  const done = new Set<string>();
  const check = (name: string, path: string, before: readonly string[]): void => {
    if (!Object.hasOwn(entries, name)) fail(path, 'the name of an entry', name);
    if (before.includes(name)) fail(path, 'an entry that does not run before itself', name);
    if (done.has(name)) return;
    const { prelude, parts = [] } = entries[name];
    const all = [...before, name];
    if (prelude !== undefined) check(prelude, `manifest.entries.${name}.prelude`, all);
    parts.forEach(({ entry: part }, i) => check(part, `manifest.entries.${name}.parts[${i}].entry`, all));
    done.add(name);
  };
  for (const name of Object.keys(entries)) check(name, `manifest.entries.${name}`, []);
}

const REBUILD = 'build the model again with ditc build';

/** The artefact is not what a build wrote: the file at `where`, or what it says. */
export function badManifest(
  where: string,
  what: string,
  why: string,
  fix = REBUILD,
  code = 'bad-artefact',
): RuntimeError {
  return new RuntimeError({ code, where, what, why, fix });
}

/** A manifest as a build writes it. */
export type Signed = Manifest & Required<Pick<Manifest, 'files' | 'digest'>>;

/** @throws RuntimeError `unsupported` for another format, `bad-artefact` with the path of the value that is wrong. */
export function parseManifest(path: string, content: string): Signed {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw badManifest(path, 'the manifest is no JSON', (error as Error).message);
  }
  try {
    const { format, digest } = fieldsOf(value, 'it');
    if (format === undefined) fail('format', `${FORMAT}`, format);
    if (format !== FORMAT) {
      const fix = 'build the model again, or use the version of ditc that wrote it';
      const what = `the artefact has format ${JSON.stringify(format)}`;
      throw badManifest(path, what, `this ditc reads format ${FORMAT}`, fix, 'unsupported');
    }
    checkDepth(value);
    manifestShape(value, 'manifest');
    if (digest === undefined) {
      const why = 'a build writes one, so that what was changed since is noticed; older versions of ditc did not';
      throw badManifest(path, 'the manifest carries no digest', why, REBUILD, 'unsupported');
    }
    digests(value, 'manifest');
    checkParts(value as Manifest);
  } catch (error) {
    if (error instanceof ShapeError) throw badManifest(path, 'the manifest is malformed', error.message);
    throw error;
  }
  return value as Signed;
}
