/**
 * Which pointwise values get a buffer of their own. A value that several places read, or that one place reads many times
 * (a matrix product reads each operand once per tile of the other), is either recomputed there or stored once.
 */
import { labelOf, sizeOf, type Node, type Remarks } from '../ir/index.ts';
import { isProduct, opDef } from '../ops/index.ts';
import type { Choice } from './choice.ts';
import { Evaluations } from './evaluations.ts';
import { limitReads } from './limit-reads.ts';
import { limitOps } from './most-ops.ts';
import { isStored } from './storage.ts';

/** Scalar operations that a load (or store) of one element is worth, and that one more dispatch is worth. Estimates. */
const MEMORY = 4;
const DISPATCH = 1_000_000;
/** Work beside a load that costs nothing to repeat. */
export const CHEAP = 4;

interface Reading {
  /** Operations that an element takes. */
  readonly work: number;
  readonly reads: number;
  readonly size: number;
}

/** What it costs to compute a value wherever it is read, and what it costs to store it. */
const estimate = ({ work, reads, size }: Reading): Estimate => ({
  reads,
  recompute: work * reads,
  store: (work + MEMORY) * size + MEMORY * reads + DISPATCH,
});

export function paysToStore(reading: Reading): boolean {
  const { recompute, store } = estimate(reading);
  return recompute > store;
}

/** The stored values: what groups give, results of the graph, and what is cheaper to store than to recompute. */
export function chooseStored(choice: Choice): Set<Node> {
  const { context, anchored, owners, concats, remarks } = choice;
  const { nodes, users, returned } = context;
  const stored = new Set<Node>([...anchored, ...returned, ...[...concats].flat(2)]);
  for (const node of returned) {
    if (!anchored.has(node)) remarks?.missed('materialize', [node], `${labelOf(node)} is a result of the graph`);
  }
  const work = inlineWork(choice);
  const evaluations = new Evaluations(choice);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i];
    if (opDef(node.op).kind === 'leaf') continue;
    const size = sizeOf(node.type.shape);
    const reads = evaluations.visit(node, stored.has(node));
    if (stored.has(node) || owners.has(node) || !isComputed(node, users.get(node)!)) continue;
    // Who reads a concatenation evaluates all its parts. An operation or two beside a load are hidden by it.
    if (work.get(node)! < MEMORY + CHEAP) continue;
    const costs = estimate({ work: work.get(node)!, reads, size });
    const kept = costs.recompute > costs.store;
    if (users.get(node)!.length > 1 || kept) remarkOn(node, kept, costs, remarks);
    if (kept) {
      stored.add(node);
      evaluations.store(node);
    }
  }
  limitOps(choice, stored);
  limitReads(choice, stored);
  return stored;
}

/** Whether reading it takes more than a load. Products walk what they contract part by part (depth-parts.ts). */
function isComputed(node: Node, users: readonly Node[]): boolean {
  if (node.op !== 'concat') return opDef(node.op).kind === 'pointwise';
  const rank = node.type.shape.length;
  const isDepth = (user: Node) =>
    isProduct(user) && node.attrs.axis === (user.inputs[0] === node ? rank - 1 : rank - 2);
  return !users.some(isDepth);
}

interface Estimate {
  readonly reads: number;
  readonly recompute: number;
  readonly store: number;
}

function remarkOn(node: Node, kept: boolean, { reads, recompute, store }: Estimate, remarks?: Remarks): void {
  const number = (x: number) => Math.round(x).toLocaleString('en-US');
  const read = `${labelOf(node)} (${number(sizeOf(node.type.shape))} elements) is read ${number(reads)} times`;
  const costs = `computing it anew costs ${number(recompute)} operations, storing it ${number(store)}`;
  remarks?.[kept ? 'missed' : 'applied']('materialize', [node], `${read}: ${costs}`);
}

/** Scalar work to compute one element of a node from buffers, everything between inlined. */
function inlineWork({ context: { nodes }, anchored, concats }: Choice): Map<Node, number> {
  const work = new Map<Node, number>();
  for (const node of nodes) {
    const def = opDef(node.op);
    // A single number is loaded once, before the loops.
    if (isStored(node) || anchored.has(node) || concats.has(node))
      work.set(node, sizeOf(node.type.shape) === 1 ? 0 : MEMORY);
    else {
      const own = def.kind === 'pointwise' ? def.cost([], node.attrs, { dtype: 'f32', shape: [] }).flops : 0;
      // A square loads its operand once.
      const operands = [...new Set(node.inputs)];
      work.set(node, own + operands.reduce((sum, input) => sum + work.get(input)!, 0));
    }
  }
  return work;
}
