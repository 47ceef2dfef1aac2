/**
 * A value that is only read in pieces of its last axis (the modulations of all blocks, from one merged linear) is laid out
 * piece by piece: [rows, pieces·g] becomes [pieces, rows, g]. Each reader then binds its piece as a buffer of its own
 * (fusion/windows.ts), at an offset that is no part of the kernel: the blocks share kernels.
 */
import { isStretch } from '../device.ts';
import { byteSize, nodesOf, rebuild, results, sizeOf, usersOf, type Graph, type Node } from '../ir/index.ts';
import { attrList, Functional, opTable } from '../ops/index.ts';
import { stretchOf } from './stretches.ts';

/** Fewer pieces than this are one kernel's affair (q, k and v of one attention). */
const MIN_PIECES = 4;

export function chunk(graph: Graph): Graph {
  const nodes = nodesOf(graph);
  const users = usersOf(nodes);
  const returned = new Set(results(graph));
  const chunks = new Map<Node, number>();
  for (const node of nodes) {
    const size = returned.has(node) ? 0 : chunkSize(node, users.get(node)!);
    if (size) chunks.set(node, size);
  }
  if (!chunks.size) return graph;
  const laidOut = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const f = new Functional(builder);
    const size = chunks.get(node);
    if (size) {
      const made = builder.apply(node.op, inputs, node.attrs, node);
      laidOut.set(node, pieces(f, made, size, node));
      return made;
    }
    const source = node.op === 'slice' ? laidOut.get(node.inputs[0]) : undefined;
    return source && piece(f, source, node);
  });
}

/** The width of a piece: the greatest that divides all starts and sizes. 0 when the value is not read so. */
function chunkSize(node: Node, users: readonly Node[]): number {
  const { shape } = node.type;
  const last = shape.length - 1;
  if (last < 1 || !users.every((user) => stretchOf(user)?.axis === last)) return 0;
  const starts = new Set(users.map((user) => attrList(user.attrs, 'start')[last]));
  if (starts.size < MIN_PIECES) return 0;
  const sizes = users.flatMap((user) => [attrList(user.attrs, 'start')[last], attrList(user.attrs, 'size')[last]]);
  const size = sizes.reduce(gcd, shape[last]);
  const bytes = (byteSize(node.type) / shape[last]) * size;
  return isStretch(bytes) && size > 1 ? size : 0;
}

const gcd = (a: number, b: number): number => (b ? gcd(b, a % b) : a);

function pieces(f: Functional, node: Node, size: number, like: Node): Node {
  const { shape } = node.type;
  const [rows, columns] = [sizeOf(shape.slice(0, -1)), shape[shape.length - 1]];
  const made = f.permute(f.reshape(node, [rows, columns / size, size]), [1, 0, 2]);
  made.name ??= like.name;
  return made;
}

/** The slice of the original, taken from the pieces. */
function piece(f: Functional, source: Node, slice: Node): Node {
  const [, rows, size] = source.type.shape;
  const last = slice.type.shape.length - 1;
  const [start, length] = [attrList(slice.attrs, 'start')[last] / size, slice.type.shape[last] / size];
  const part = f.slice(source, [start, 0, 0], [length, rows, size]);
  part.name ??= slice.name;
  return f.reshape(f.permute(part, [1, 0, 2]), slice.type.shape);
}
