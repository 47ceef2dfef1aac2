/**
 * A long reduction to few values has little to do at a time: a row is one workgroup's affair. It becomes two, of many short
 * rows and then of their results: the norm of a weight's gradient is that of its rows' norms.
 */
import { isHardware } from '../device.ts';
import { rebuild, sizeOf, type Graph, type Node, type Shape } from '../ir/index.ts';
import type { PassContext } from './pass.ts';
import { attrList, Functional, opDef, opTable } from '../ops/index.ts';

/** Fewer rows than this leave most of a device idle; of an example, where the first axis counts those of a batch. */
const FEW_ROWS = 16;
/** The same of a GPU, where a row is the work of one of its cores. */
const FEW_ROWS_OF_HARDWARE = 64;
/** Elements of a row that several workgroups share with profit: one takes some hundred turns over it. */
const LONG_ROW = 2 ** 14;

export function split(graph: Graph, { device }: Pick<PassContext, 'device'>): Graph {
  const few = isHardware(device) ? FEW_ROWS_OF_HARDWARE : FEW_ROWS;
  return rebuild(graph, opTable, (node, [x], builder) => {
    const f = new Functional(builder);
    f.like = node;
    return opDef(node.op).kind === 'reduce' ? inTwo(f, node.op, x, attrList(node.attrs, 'axes'), few) : undefined;
  });
}

const reduce = (f: Functional, op: string, x: Node, axes: readonly number[], few: number): Node =>
  inTwo(f, op, x, axes, few) ?? f.op(op, [x], { axes });

/** The reduction in two stages; undefined when one is as good, or nothing divides its length. */
function inTwo(f: Functional, op: string, x: Node, axes: readonly number[], few: number): Node | undefined {
  const { shape } = x.type;
  const length = axes.reduce((n, axis) => n * shape[axis], 1);
  const examples = axes.includes(0) ? 1 : shape[0];
  if (length < LONG_ROW || sizeOf(shape) / length / examples >= few) return undefined;
  const inner = innermost(shape, axes, Math.sqrt(length));
  const outer = axes.filter((axis) => !inner.includes(axis));
  if (outer.length) return reduce(f, op, reduce(f, op, x, inner, few), outer, few);
  // All are needed for rows so long: the first is cut, to make rows of pieces of it.
  const [axis] = axes;
  const piece = nearestDivisor(shape[axis], shape[axis] / Math.sqrt(length));
  if (piece === shape[axis]) return undefined;
  const cut = f.reshape(x, [...shape.slice(0, axis), shape[axis] / piece, piece, ...shape.slice(axis + 1)]);
  const rows = reduce(
    f,
    op,
    cut,
    axes.map((a) => a + 1),
    few,
  );
  return f.reshape(
    reduce(f, op, rows, [axis], few),
    shape.map((n, a) => (axes.includes(a) ? 1 : n)),
  );
}

/** The last of the axes: as few as make rows of at least `least` elements. */
function innermost(shape: Shape, axes: readonly number[], least: number): number[] {
  const inner: number[] = [];
  let row = 1;
  for (const axis of [...axes].reverse()) {
    if (row >= least) break;
    inner.unshift(axis);
    row *= shape[axis];
  }
  return inner;
}

/** The divisor of `size` (1 excepted, as long as there is another) whose ratio to `wanted` is nearest to one. */
function nearestDivisor(size: number, wanted: number): number {
  const divisors = Array.from({ length: size - 1 }, (_, i) => i + 2).filter((d) => size % d === 0);
  const ratio = (d: number) => Math.abs(Math.log(d / wanted));
  return divisors.reduce((best, d) => (ratio(d) < ratio(best) ? d : best), size);
}
