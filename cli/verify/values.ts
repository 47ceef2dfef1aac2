/**
 * What kernels are tried on when nothing else is given: values that leave no term of a formula out. Weights that start at
 * zero (gates, output heads) would make the check of whatever they multiply an empty one.
 */
import type { EntrySpec, InitSpec, Manifest, ParamSpec, TensorSpec } from '../../compiler/emit/artefact.ts';
import { isInteger, nodesOf, sizeOf, usersOf, type Graph, type Node } from '../../compiler/ir/index.ts';
import { opDef } from '../../compiler/ops/index.ts';
import { fillNormal, fillUniform, keyOf } from '../../runtime/random.ts';
import type { Program } from '../../runtime/program.ts';
import type { Values } from '../../runtime/weights.ts';

/** Elements drawn at a time. */
const CHUNK = 2 ** 20;
/** Whole numbers that index nothing lie below this. */
const WHOLE_NUMBERS = 100;
/** Stands for the fan-in of vectors (biases, norms): values of about a tenth. */
const VECTOR_FAN_IN = 100;

/** The manifest with every parameter that starts at one value drawn from a trained network's scale, U(±√(3/fan-in)). */
export function withoutConstantInits(manifest: Manifest): Manifest {
  const fanIn = (shape: readonly number[]) => (shape.length > 1 ? sizeOf(shape.slice(1)) : VECTOR_FAN_IN);
  const inits: Record<string, (spec: ParamSpec) => InitSpec> = {
    zeros: ({ shape }) => ({ kind: 'uniform', bound: Math.sqrt(3 / fanIn(shape)) }),
    ones: () => ({ kind: 'uniform', bound: Math.sqrt(3) }),
  };
  const params = manifest.params.map((spec) => ({ ...spec, init: inits[spec.init.kind]?.(spec) ?? spec.init }));
  return { ...manifest, params };
}

/** Gives the float states that start at zero values in [0, 1): they may be variances, under a root. */
export async function fillStates(program: Program, seed: number): Promise<void> {
  for (const { name, shape, dtype, init } of program.states) {
    if (init.kind !== 'zeros' || dtype !== 'f32') continue;
    const key = keyOf(seed, name);
    const count = sizeOf(shape);
    function* chunks(): Iterable<Float32Array> {
      for (let at = 0; at < count; at += CHUNK) {
        const part = new Float32Array(Math.min(CHUNK, count - at));
        fillUniform(part, key, at, 1);
        yield part.map(Math.abs);
      }
    }
    await program.setState(name, chunks());
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
