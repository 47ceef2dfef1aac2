/** Random graphs that update state: next values that read each other's old ones, in place or not. */
import { GraphBuilder, type Graph, type Node } from '../../compiler/ir/index.ts';
import { Functional, opTable, Random } from '../../compiler/ops/index.ts';

export const SHAPE = [8, 16];
export const NAMES = ['a', 'b', 'c'];

/**
 * Next values of three states: element by element, shifted, transposed, through a product or a sum; some are others' old values.
 * `packed`: they are parameters, which are also read side by side.
 */
export function updatesGraph(seed: number, packed = false): Graph {
  const random = new Random(seed);
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const op = packed ? 'param' : 'state';
  const states = NAMES.map((name) => builder.apply(op, [], { name, dtype: 'f32', shape: SHAPE }));
  const all = packed ? f.concat(states, 0) : undefined;
  const pool: Node[] = [...states];
  const pick = () => random.pick(pool);
  const shifted = (x: Node) => f.concat([f.slice(x, [1, 0], [7, 16]), f.slice(x, [0, 0], [1, 16])], 0);
  const steps: (() => Node)[] = [
    () => f.add(f.mul(pick(), 0.5), pick()),
    () => f.add(pick(), shifted(pick())),
    () => f.sub(pick(), f.mean(pick(), [1])),
    () => f.mul(f.matmul(f.matmul(pick(), f.transpose(pick())), pick()), 0.01),
    () => f.sigmoid(pick()),
    pick,
  ];
  if (all) {
    steps.push(() => f.slice(all, [random.int(0, 16), 0], SHAPE));
    steps.push(() => f.mul(f.matmul(f.matmul(pick(), f.transpose(all)), all), 0.01));
  }
  const count = random.int(2, 6);
  for (let i = 0; i < count; i++) pool.push(random.pick(steps)());
  const updates = states.filter(() => random.next() < 0.85).map((state) => ({ state, node: pick() }));
  return { name: 'step', inputs: [], outputs: [{ name: 'out', node: pick() }], updates };
}
