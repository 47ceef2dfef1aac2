/**
 * Networks of ONNX files with other numbers, names and nodes than they had, as no damage of bytes would leave them: what is read of
 * such a file is a model, or a named error.
 *
 *     npx tsx test/fuzz/onnx.ts --count 20000 --seed 1
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { DitcError } from '../../compiler/ir/index.ts';
import { Random } from '../../compiler/ops/index.ts';
import { networkOf, onnxModel } from '../../library/onnx/load.ts';
import { ops } from '../../library/onnx/ops/index.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { MemorySource } from '../../runtime/checkpoint/source.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { parseOnnx, type OnnxFile } from '../../runtime/onnx/parse.ts';

const DATA = fileURLToPath(new URL('../golden/data/onnx/', import.meta.url));

/** The networks of the golden tests. */
export async function networks(): Promise<{ name: string; bytes: Uint8Array }[]> {
  const found: { name: string; bytes: Uint8Array }[] = [];
  for (const name of ['inception', 'resnet', 'vit', 'decoder', 'text', 'ops']) {
    const file = await openSafetensors(new MemorySource(name, readFileSync(`${DATA}${name}.safetensors`)));
    for (const key of file.tensors.keys())
      if (key.endsWith('model'))
        found.push({ name: `${name}/${key}`, bytes: Uint8Array.from(await file.readF32(key)) });
  }
  return found;
}

/** Traces the network. @throws DitcError or RuntimeError */
export const traced = (file: OnnxFile, name: string) =>
  traceEntry(onnxModel(networkOf(file, name, DATA)), 'forward', { batch: 2, height: 37, width: 29 });

/** Anything that holds values: a message, a list, bytes. */
type Holder = Record<string, unknown>;
type Slot = readonly [holder: Holder, key: string];

/** Of bytes, the first few: sizes and flags, not weights. */
const MOST_BYTES = 8;

function slotsOf(value: unknown): Slot[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Holder;
  if (value instanceof Uint8Array) return Object.keys(value.subarray(0, MOST_BYTES)).map((key) => [holder, key]);
  return Object.keys(holder).flatMap((key) => [[holder, key] as const, ...slotsOf(holder[key])]);
}

const NUMBERS = [0, -1, 1, 2, 3, 7, 65537, 1e9, 2 ** 31, 2 ** 53, -(2 ** 63)];

/** The file with one to three values changed to others of their kind. */
export function mutated(random: Random, file: OnnxFile): OnnxFile {
  const copy = structuredClone(file);
  for (let n = random.int(1, 3); n > 0; n--) change(random, slotsOf(copy));
  return copy;
}

function change(random: Random, slots: readonly Slot[]): void {
  const [holder, key] = random.pick(slots);
  const value = holder[key];
  if (holder instanceof Uint8Array) holder[Number(key)] = random.int(0, 255);
  else if (typeof value === 'number')
    holder[key] = random.next() < 0.5 ? random.pick(NUMBERS) : value + random.int(-2, 2);
  else if (key === 'opType') holder[key] = random.pick(Object.keys(ops));
  else if (typeof value === 'string') holder[key] = random.pick(slots.map(([of, at]) => of[at]).filter(isText));
  else if (Array.isArray(holder)) changeList(random, holder, Number(key));
  else if (Array.isArray(value) && value.length) changeList(random, value, random.int(0, value.length - 1));
}

const isText = (value: unknown): value is string => typeof value === 'string';

function changeList(random: Random, list: unknown[], at: number): void {
  const other = random.int(0, list.length - 1);
  const action = random.int(0, 2);
  if (action === 0) list.splice(at, 1);
  else if (action === 1) list.push(list[at]);
  else [list[at], list[other]] = [list[other], list[at]];
}

/** A try that takes longer hangs, for what it is. */
const SLOW_MS = 5_000;

/** Reads changed networks `count` times; `told` hears of every fault, with what makes it again. */
export async function fuzzNetworks(count: number, seed: number, told: (line: string) => void) {
  const files = (await networks()).map(({ name, bytes }) => ({ name, file: parseOnnx(bytes, name) }));
  const counts = { read: 0, refused: 0 };
  for (let i = 0; i < count; i++) {
    const { name, file } = files[i % files.length];
    const start = performance.now();
    try {
      traced(mutated(new Random(seed + i), file), name);
      counts.read++;
    } catch (error) {
      if (error instanceof DitcError || error instanceof RuntimeError) counts.refused++;
      else told(`${name}, try ${i} of seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
    }
    const took = performance.now() - start;
    if (took > SLOW_MS) told(`${name}, try ${i} of seed ${seed}: ${Math.round(took)} ms`);
  }
  return counts;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { count: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } },
  });
  let faults = 0;
  console.log(await fuzzNetworks(Number(values.count), Number(values.seed), (line) => (faults++, console.log(line))));
  process.exitCode = faults ? 1 : 0;
}
