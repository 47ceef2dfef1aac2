/**
 * What kernels are tried on when nothing else is given: values that leave no term of a formula out. Weights that start at
 * zero (gates, output heads) would make the check of whatever they multiply an empty one.
 */
import type { EntrySpec, ParamSpec, TensorSpec } from '../../compiler/emit/artefact.ts';
import { isFloat, isInteger, nodesOf, sizeOf, usersOf, type Graph, type Node } from '../../compiler/ir/index.ts';
import { opDef } from '../../compiler/ops/index.ts';
import { fillNormal, fillUniform, keyOf } from '../../runtime/random.ts';
import type { Program } from '../../runtime/program.ts';
import type { Values } from '../../runtime/weights.ts';

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

/** Values of an entry's inputs: N(0,1), or whole numbers below their bound. */
export function drawInputs(entry: EntrySpec, bounds: ReadonlyMap<string, number>, seed: number): Map<string, Values> {
  return new Map(
    entry.inputs.map((spec) => [spec.name, drawInput(spec, bounds.get(spec.name) ?? WHOLE_NUMBERS, seed)]),
  );
}

/** Bounds of the inputs that are rows of tables, by name: entries share their inputs. */
export function inputBounds(graphs: readonly Graph[]): Map<string, number> {
  const bounds = new Map<string, number>();
  for (const graph of graphs) {
    const users = usersOf(nodesOf(graph));
    for (const node of graph.inputs) {
      const name = String(node.attrs.name);
      const rows = Math.min(tableRows(node, users) ?? Infinity, bounds.get(name) ?? Infinity);
      if (rows < Infinity) bounds.set(name, rows);
    }
  }
  return bounds;
}

function drawInput({ name, shape, dtype }: TensorSpec, below: number, seed: number): Values {
  const values = new Float32Array(sizeOf(shape));
  if (dtype === 'f32' || dtype === 'f16') {
    fillNormal(values, keyOf(seed, name), 0, 1);
    return values;
  }
  fillUniform(values, keyOf(seed, name), 0, 1);
  const count = dtype === 'bool' ? 2 : below;
  const whole = values.map((u) => Math.min(count - 1, Math.floor(((u + 1) / 2) * count)));
  return dtype === 'i32' ? Int32Array.from(whole) : Uint32Array.from(whole);
}

/** Rows of the smallest table that the elements of a whole-number value choose from, unchanged; undefined when there is none. */
function tableRows(node: Node, users: ReadonlyMap<Node, readonly Node[]>): number | undefined {
  if (!isInteger(node.type.dtype)) return undefined;
  const rows = users.get(node)!.map((user) => {
    if (user.op === 'gather' && user.inputs[1] === node) return user.inputs[0].type.shape[0];
    return opDef(user.op).kind === 'view' || user.op === 'cast' ? tableRows(user, users) : undefined;
  });
  const known = rows.filter((n) => n !== undefined);
  return known.length ? Math.min(...known) : undefined;
}
