/**
 * Rows that are normalised alike and then joined (queries of two streams that attend to each other) are joined before: one kernel
 * normalises all of them, or the product that reads them does. Weights of their own are those of the rows that they are for.
 *
 * Before: concat(rms_norm(a) · u, rms_norm(b) · v)        After: rms_norm(concat(a, b)) · concat(u, v)
 */
import { nodesOf, rebuild, results, sizeOf, usersOf, type Graph, type Node } from '../ir/index.ts';
import { Functional, joinedAxis, opTable } from '../ops/index.ts';
import { coneOf, lastOf, reducesRows } from './row-cones.ts';

export function joinedRows(graph: Graph): Graph {
  const nodes = nodesOf(graph);
  const users = usersOf(nodes);
  const returned = new Set(results(graph));
  const coneAt = (concat: Node, part: Node) => coneOf(part, new Set([concat]), (node) => !returned.has(node), users);
  const joins = new Map(
    nodes.filter(joinsRows).flatMap((concat) => {
      const cones = concat.inputs.map((part) => coneAt(concat, part));
      const isAlike = areAlike(concat.inputs, cones);
      return reach(concat.inputs, isAlike).some(([first]) => reducesRows(first)) ? [[concat, isAlike] as const] : [];
    }),
  );
  const now = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    node.inputs.forEach((input, i) => now.set(input, inputs[i]));
    const isAlike = joins.get(node);
    if (!isAlike) return undefined;
    const f = new Functional(builder);
    f.like = node;
    return new Joiner(f, node, isAlike, now).rows(node.inputs);
  });
}

/** Values at the same place of the trees that compute what is joined. */
type Peers = readonly Node[];

const joinsRows = (node: Node): boolean => {
  const axis = joinedAxis(node);
  return axis !== undefined && axis < node.type.shape.length - 1 && new Set(node.inputs).size === node.inputs.length;
};

/** Whether peers are the same op on rows of the same lengths, each of its own tree. */
const areAlike =
  (parts: Peers, cones: readonly (ReadonlySet<Node> | undefined)[]) =>
  (peers: Peers): boolean => {
    const [first, ...others] = peers;
    const isSame = ({ op, attrs, type, inputs }: Node) =>
      op === first.op &&
      type.dtype === first.type.dtype &&
      type.shape.length === parts[0].type.shape.length &&
      inputs.length === first.inputs.length &&
      inputs.every((input, i) => rowOf(input) === rowOf(first.inputs[i])) &&
      JSON.stringify(attrs) === JSON.stringify(first.attrs);
    return peers.every((node, i) => cones[i]?.has(node)) && [first, ...others].every(isSame);
  };

const rowOf = (node: Node): number => lastOf(node) ?? 1;

/** What peers have for operands, place by place. */
const operandsOf = (peers: Peers): Peers[] => peers[0].inputs.map((_, i) => peers.map(({ inputs }) => inputs[i]));

/** Peers that are alike, from the parts down. */
function reach(parts: Peers, isAlike: (peers: Peers) => boolean): Peers[] {
  const found = new Map<string, Peers>();
  const stack = [parts];
  for (let peers = stack.pop(); peers; peers = stack.pop()) {
    if (found.has(keyOf(peers)) || !isAlike(peers)) continue;
    found.set(keyOf(peers), peers);
    stack.push(...operandsOf(peers));
  }
  return [...found.values()];
}

const keyOf = (peers: Peers): string => peers.map(({ id }) => id).join(' ');

/** Computes joined rows as their parts were. */
class Joiner {
  private readonly made = new Map<string, Node>();

  constructor(
    private readonly f: Functional,
    private readonly concat: Node,
    private readonly isAlike: (peers: Peers) => boolean,
    private readonly now: ReadonlyMap<Node, Node>,
  ) {}

  rows(peers: Peers): Node {
    const key = keyOf(peers);
    const made = this.made.get(key) ?? (this.isAlike(peers) ? this.computed(peers) : this.joined(peers));
    this.made.set(key, made);
    return made;
  }

  private computed(peers: Peers): Node {
    const [{ op, attrs }] = peers;
    const operands = operandsOf(peers).map((each) => this.rows(each));
    return this.f.op(op, operands, attrs);
  }

  /** What the trees are made of, side by side; what is one for all rows of all parts stays so. */
  private joined(peers: Peers): Node {
    const [first] = peers;
    const isOne = peers.every((node) => node === first) && sizeOf(first.type.shape.slice(0, -1)) === 1;
    if (isOne) return this.now.get(first)!;
    const parts = peers.map((node, i) => {
      const lead = this.concat.inputs[i].type.shape.slice(0, -1);
      return this.f.broadcast(this.now.get(node)!, [...lead, rowOf(node)]);
    });
    return this.f.concat(parts, joinedAxis(this.concat)!);
  }
}
