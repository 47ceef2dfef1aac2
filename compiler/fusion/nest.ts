/**
 * The pass `nest`. No op but a concatenation has more operands than a kernel may bind: of what joins more values than that, runs are
 * joined first. Where one kernel reads it all, the fewest of these are stored (limit-reads.ts); where the parts are written into their
 * places (passes/eliminate-concats.ts), none is.
 */
import { limit } from '../device.ts';
import { byteSize, labelOf, nodesOf, rebuild, results, type Graph, type GraphBuilder, type Node } from '../ir/index.ts';
import { joinedAxis, opDef, opTable } from '../ops/index.ts';
import type { PassContext } from '../rewrite/pass.ts';
import { isStored } from './storage.ts';

/** A value to join, and what a kernel reads to compute it. */
interface Operand {
  readonly node: Node;
  readonly reads: ReadonlySet<Node>;
}

export function nest(graph: Graph, { device, remarks }: PassContext): Graph {
  const most = limit(device, 'maxStorageBuffersPerShaderStage') - 1;
  const isWide = (node: Node) => joinedAxis(node) !== undefined && !isStored(node) && node.inputs.length > most;
  if (!nodesOf(graph).some(isWide)) return graph;
  const given = new Set(results(graph));
  return rebuild(graph, opTable, (node, inputs, builder) => {
    if (!isWide(node)) return undefined;
    const operands = node.inputs.map((input, i) => ({ node: inputs[i], reads: readsBehind(input, given, most) }));
    const joined = narrowed(operands, most, (run) => join(run, node, builder));
    if (joined.length === operands.length) return undefined;
    const why = `${labelOf(node)} joins ${operands.length} values, and a kernel binds ${most + 1} buffers`;
    remarks?.applied('nest', [node], why);
    return builder.apply(node.op, joined, node.attrs, node, node.copy);
  });
}

/** What a kernel reads to compute a value beside others: where that is much, the value itself, stored. */
function readsBehind(value: Node, given: ReadonlySet<Node>, most: number): ReadonlySet<Node> {
  const reads = new Set<Node>();
  const seen = new Set([value]);
  for (const node of seen) {
    const { kind } = opDef(node.op);
    const isInside = !given.has(node) && (kind === 'pointwise' || kind === 'view');
    if (isStored(node) || (kind !== 'leaf' && !isInside)) reads.add(node);
    else node.inputs.forEach((input) => seen.add(input));
    if (2 * reads.size > most) return new Set([value]);
  }
  return reads;
}

/**
 * The values to join, of which a kernel reads no more than `most` buffers: the run that takes least memory becomes one value, until
 * that is so. It ends: no value counts more than half of what may be read, so that any two are a run.
 */
function narrowed(operands: readonly Operand[], most: number, join: (run: readonly Node[]) => Node): readonly Node[] {
  let left = [...operands];
  while (allReads(left).size > most) {
    const runs = left.map((_, i) => runFrom(left.slice(i), most)).filter(({ length }) => length > 1);
    const run = runs.reduce((a, b) => (bytesSpent(b) < bytesSpent(a) ? b : a));
    const node = join(run.map((operand) => operand.node));
    left = left.toSpliced(left.indexOf(run[0]), run.length, { node, reads: new Set([node]) });
  }
  return left.map(({ node }) => node);
}

/** The first values, as many as one kernel can join. */
function runFrom(operands: readonly Operand[], most: number): readonly Operand[] {
  const reads = new Set<Node>();
  const end = operands.findIndex((operand) => {
    operand.reads.forEach((node) => reads.add(node));
    return reads.size > most;
  });
  return end < 0 ? operands : operands.slice(0, end);
}

const allReads = (operands: readonly Operand[]): Set<Node> => new Set(operands.flatMap(({ reads }) => [...reads]));

/** Bytes that a run takes in memory for each buffer that it spares. */
const bytesSpent = (run: readonly Operand[]): number =>
  run.reduce((sum, { node }) => sum + byteSize(node.type), 0) / Math.max(allReads(run).size - 1, Number.EPSILON);

/** Joined as they are, parameters would have to lie side by side (rewrite/packs.ts): copies of them are joined. */
function join(run: readonly Node[], { op, attrs, copy, loc }: Node, builder: GraphBuilder): Node {
  const like = { loc } as Node;
  const joined = builder.apply(op, run, attrs, like, copy);
  if (!isStored(joined)) return joined;
  const copies = run.map((node) => builder.apply('copy', [node], {}, node));
  return builder.apply(op, copies, attrs, like, copy);
}
