/**
 * What kernels are tried on when nothing else is given: values that leave no term of a formula out. Weights that start at
 * zero (gates, output heads) would make the check of whatever they multiply an empty one.
 */
import type { Manifest, ParamSpec, TensorSpec } from '../../compiler/emit/artefact.ts';
import { isFloat, sizeOf } from '../../compiler/ir/types.ts';
import { fillNormal, fillUniform, keyOf } from '../../runtime/random.ts';
import type { Program } from '../../runtime/program.ts';
import type { Values } from '../../runtime/transfer.ts';

/** Elements drawn at a time. */
const CHUNK = 2 ** 20;
/** Whole numbers that index nothing lie below this. */
const WHOLE_NUMBERS = 100;
/** Stands for the fan-in of vectors (biases): values of about a tenth. */
const VECTOR_FAN_IN = 100;

/** A range to draw from. */
type Range = readonly [middle: number, radius: number];

/**
 * Draws the float states, and the parameters where they come from no checkpoint, that would start at one value everywhere.
 * What starts at one may be a variance, and so may a state: those stay positive. Parameters that start at zero get a trained
 * network's scale, U(±√(3/fan-in)).
 */
export async function fillConstants(program: Program, seed: number, { params }: { params: boolean }): Promise<void> {
  const fanIn = (shape: readonly number[]) => (shape.length > 1 ? sizeOf(shape.slice(1)) : VECTOR_FAN_IN);
  for (const spec of params ? program.manifest.params : []) {
    const range = rangeFor(spec, [0, Math.sqrt(3 / fanIn(spec.shape))]);
    if (range) await program.setParam(spec.name, drawn(spec, range, seed));
  }
  for (const spec of program.states) {
    const range = rangeFor(spec, [0.5, 0.5]);
    if (range) await program.setState(spec.name, drawn(spec, range, seed));
  }
}

function rangeFor({ dtype, init: { kind } }: ParamSpec, zeros: Range): Range | undefined {
  if (!isFloat(dtype)) return undefined;
  return kind === 'zeros' ? zeros : kind === 'ones' ? [1, 0.5] : undefined;
}

function* drawn({ name, shape }: ParamSpec, [middle, radius]: Range, seed: number): Iterable<Float32Array> {
  const key = keyOf(seed, name);
  const count = sizeOf(shape);
  for (let at = 0; at < count; at += CHUNK) {
    const part = new Float32Array(Math.min(CHUNK, count - at));
    fillUniform(part, key, at, radius);
    yield middle ? part.map((x) => middle + x) : part;
  }
}

/** Values of an entry's inputs: N(0,1), or whole numbers that are rows of the tables that they choose from. */
export function drawInputs({ entries }: Manifest, entry: string, seed: number): Map<string, Values> {
  // Entries share their inputs.
  const all = Object.values(entries).flatMap(({ inputs }) => inputs);
  return new Map(
    entries[entry].inputs.map((spec) => {
      const ranges = all.flatMap(({ name, range }) => (name === spec.name && range ? [range] : []));
      return [spec.name, drawInput(spec, ranges, seed)];
    }),
  );
}

function drawInput({ name, shape, dtype }: TensorSpec, ranges: readonly (readonly [number, number])[], seed: number) {
  const values = new Float32Array(sizeOf(shape));
  if (dtype === 'f32' || dtype === 'f16') {
    fillNormal(values, keyOf(seed, name), 0, 1);
    return values;
  }
  fillUniform(values, keyOf(seed, name), 0, 1);
  const end = Math.min(...ranges.map(([, end]) => end), dtype === 'bool' ? 2 : 2 ** 31);
  const least = Math.max(...ranges.map(([least]) => least), Math.min(0, end - 1));
  const count = end < 2 ** 31 ? end - least : WHOLE_NUMBERS;
  const whole = values.map((u) => least + Math.min(count - 1, Math.floor(((u + 1) / 2) * count)));
  return dtype === 'i32' ? Int32Array.from(whole) : Uint32Array.from(whole);
}
