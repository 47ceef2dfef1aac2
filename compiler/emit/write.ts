/**
 * The files of an artefact, as text and bytes: the same for the same model, on every machine. Writing them to a disk is
 * the caller's part.
 */
import { printGraph, type Graph } from '../ir/index.ts';
import type { Artefact, Manifest, TensorSpec } from './artefact.ts';
import { bindingsText } from './bindings.ts';
import { signed } from './digest.ts';

export type Files = ReadonlyMap<string, string | Uint8Array>;

/**
 * Every file by its path inside the artefact's folder, in a fixed order; `graphs` are the entries after all passes, `beside`
 * what the caller writes with it.
 */
export function artefactFiles(artefact: Artefact, graphs: readonly Graph[], beside: Files = new Map()): Files {
  const { manifest, wgsl, data } = artefact;
  const files = new Map<string, string | Uint8Array>();
  files.set('graph.ir', graphs.map((graph) => printGraph(graph)).join('\n'));
  files.set('index.ts', bindingsText(manifest));
  if (data.size) files.set('constants.safetensors', safetensors(dataSpecs(manifest, data), data));
  for (const [name, text] of wgsl) files.set(manifest.kernels[name].file, text.endsWith('\n') ? text : `${text}\n`);
  for (const [name, content] of beside) files.set(name, content);
  return new Map([['manifest.json', `${formatJson(signed(ordered(manifest), files))}\n`], ...files]);
}

/** The manifest with its keys in the documented order, whatever order they were set in. */
function ordered(manifest: Manifest): Manifest {
  const { format, model, source, device, options, entries, kernels, params, states, constants, ...rest } = manifest;
  return { format, model, source, device, options, entries, kernels, params, states, constants, ...rest };
}

/** Longest line of a list or object that is written on one line. */
const WIDTH = 120;

/** JSON with two-space indent, in which what fits on a line is on one: shapes, and a dispatch's resources. */
export function formatJson(value: unknown, indent = ''): string {
  if (!isContainer(value)) return JSON.stringify(value);
  const line = indent ? oneLine(value) : undefined;
  if (line !== undefined && indent.length + line.length <= WIDTH) return line;
  const inner = `${indent}  `;
  const items = Array.isArray(value)
    ? value.map((item) => formatJson(item, inner))
    : defined(value).map(([key, item]) => `${JSON.stringify(key)}: ${formatJson(item, inner)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return items.length ? `${open}\n${inner}${items.join(`,\n${inner}`)}\n${indent}${close}` : open + close;
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** As in JSON.stringify, undefined values are left out. */
const defined = (value: object): [string, unknown][] => Object.entries(value).filter(([, item]) => item !== undefined);

/** A value on one line; undefined when a container is too long for that. */
function oneLine(value: unknown): string | undefined {
  if (!isContainer(value)) return JSON.stringify(value);
  const items: string[] = [];
  let length = 0;
  for (const [key, item] of defined(value)) {
    const text = oneLine(item);
    if (text === undefined) return undefined;
    items.push(Array.isArray(value) ? text : `${JSON.stringify(key)}: ${text}`);
    // Most of a manifest is too long: giving up early keeps the whole linear.
    if ((length += text.length) > WIDTH) return undefined;
  }
  if (Array.isArray(value)) return `[${items.join(', ')}]`;
  return items.length ? `{ ${items.join(', ')} }` : '{}';
}

type Data = Artefact['data'];

/** Dense tensors with their shapes: constants, then the initial values that the model file computed. */
function dataSpecs(manifest: Manifest, data: Data): TensorSpec[] {
  const inits = [...manifest.params, ...manifest.states].map((spec) => ({ ...spec, name: `init.${spec.name}` }));
  return [...manifest.constants, ...inits].filter(({ name }) => data.has(name));
}

/**
 * The tensors as a safetensors file: 8 bytes of header length, the JSON header padded to 8, the data.
 * Source: https://github.com/huggingface/safetensors#format
 */
function safetensors(specs: readonly TensorSpec[], data: Data): Uint8Array {
  const header: string[] = [];
  let at = 0;
  for (const { name, shape } of specs) {
    const values = data.get(name)!;
    const entry = { dtype: storedType(values), shape, data_offsets: [at, at + values.byteLength] };
    header.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    at += values.byteLength;
  }
  const text = new TextEncoder().encode(`{${header.join(',')}}`);
  const start = 8 + Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(start + at).fill(0x20, 8, start);
  new DataView(out.buffer).setBigUint64(0, BigInt(start - 8), true);
  out.set(text, 8);
  let offset = start;
  for (const { name } of specs) {
    const values = data.get(name)!;
    out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
    offset += values.byteLength;
  }
  return out;
}

/** u32 (and bool, which is a u32 on the GPU) is stored as the i32 of the same bits. */
const storedType = (values: Float32Array | Int32Array | Uint32Array): string =>
  values instanceof Float32Array ? 'F32' : 'I32';
