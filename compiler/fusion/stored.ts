/**
 * Which pointwise values get a buffer of their own. A value that several places read, or that one place reads many times
 * (a matrix product reads each operand once per tile of the other), is either recomputed there or stored once.
 */
import { labelOf, sameShape, sizeOf, type Node, type Remarks } from '../ir/index.ts';
import { joinedAxis, keepsOrder, opDef } from '../ops/index.ts';
import type { Choice } from './choice.ts';
import { Evaluations, joinsDepth, type Evaluated } from './evaluations.ts';
import { limitReads } from './limit-reads.ts';
import { limitOps } from './most-ops.ts';
import { MEMORY } from './planned.ts';
import { isStored } from './storage.ts';

/**
 * Scalar operations that one more dispatch is worth; and one more result of a kernel, of which there may be too many to bind: then it is a
 * dispatch after all. Estimates.
 */
const DISPATCH = 1_000_000;
const BESIDE = DISPATCH / 2;
/** Work beside a load that costs nothing to repeat. */
export const CHEAP = 4;

interface Reading {
  /** Operations that an element takes. */
  readonly work: number;
  readonly evaluated: Evaluated;
  readonly size: number;
  /** Whether it is made beside a kernel's result. */
  readonly isBeside?: boolean;
}

/** What it costs to compute a value wherever it is read, and what it costs to store it. */
const estimate = ({ work, evaluated, size, isBeside }: Reading): Estimate => ({
  reads: evaluated.times,
  recompute: evaluated.paid(work),
  store: (work + MEMORY) * size + evaluated.paid(MEMORY) + (isBeside ? BESIDE : DISPATCH),
});

/** An operation or two beside a load are hidden by it. */
const isHidden = ({ work }: Pick<Reading, 'work'>): boolean => work < MEMORY + CHEAP;

export function paysToStore(reading: Reading): boolean {
  const { recompute, store } = estimate(reading);
  return recompute > store;
}

/** The stored values: what groups give, results of the graph, and what is cheaper to store than to recompute. */
export function chooseStored(choice: Choice): Set<Node> {
  const { context, anchored, owners, concats, remarks } = choice;
  const laidOut = context.nodes.filter((node) => opDef(node.op).inMemory && !owners.has(node));
  const stored = new Set<Node>([...anchored, ...context.returned, ...laidOut, ...[...concats].flat(2)]);
  for (const node of context.returned) {
    if (!anchored.has(node)) remarks?.missed('materialize', [node], `${labelOf(node)} is a result of the graph`);
  }
  const readings = storeDear(choice, stored);
  spareKernels(choice, stored, readings);
  for (const [node, reading] of readings) {
    const kept = stored.has(node);
    if (context.users.get(node)!.length > 1 || kept) remarkOn(node, kept, estimate(reading), remarks);
  }
  limitOps(choice, stored);
  limitReads(choice, stored);
  return stored;
}

/** Adds to the stored values what costs more to recompute, readers before what they read. Returns what each was judged by. */
function storeDear(choice: Choice, stored: Set<Node>): Map<Node, Reading> {
  const { context, owners } = choice;
  const { nodes, users } = context;
  const work = inlineWork(choice, () => false);
  const evaluations = new Evaluations(choice);
  const isBeside = besides(choice);
  const readings = new Map<Node, Reading>();
  for (const node of [...nodes].reverse()) {
    if (opDef(node.op).kind === 'leaf') continue;
    const evaluated = evaluations.visit(node, stored.has(node));
    if (stored.has(node) || owners.has(node) || !isComputed(node, users.get(node)!)) continue;
    const reading = { work: work.get(node)!, evaluated, size: sizeOf(node.type.shape), isBeside: isBeside(node) };
    // Who reads a concatenation evaluates all its parts.
    if (isHidden(reading)) continue;
    readings.set(node, reading);
    if (!paysToStore(reading)) continue;
    stored.add(node);
    evaluations.store(node);
  }
  return readings;
}

/**
 * Takes values back that were to be stored by a kernel of their own: with what they are computed from in memory by now, some are cheap to
 * recompute after all. A value made beside a kernel's result stays stored, as it takes no further kernel.
 */
function spareKernels(choice: Choice, stored: Set<Node>, readings: Map<Node, Reading>): void {
  const isBeside = besides(choice);
  inlineWork(choice, (node, work) => {
    const reading = stored.has(node) ? readings.get(node) : undefined;
    if (!reading || isBeside(node)) return stored.has(node);
    readings.set(node, { ...reading, work });
    if (isHidden({ work }) || !paysToStore({ ...reading, work })) stored.delete(node);
    return stored.has(node);
  });
}

/**
 * Whether a value is made, element by element, of one that a kernel gives, and of nothing that comes later: `x − mean(x)` is not made beside x,
 * since another kernel has to sum x up before.
 */
function besides(choice: Choice): (node: Node) => boolean {
  const { context, anchored } = choice;
  const depths = kernelDepths(choice);
  const beside = new Set<Node>();
  for (const node of context.nodes) {
    const isOf = (input: Node) =>
      beside.has(input) && sameShape(input.type.shape, node.type.shape) && depths.get(input) === depths.get(node);
    const isMade = opDef(node.op).kind === 'pointwise' && node.inputs.some(isOf);
    if (anchored.has(node) || isMade || (keepsOrder(node) && beside.has(node.inputs[0]))) beside.add(node);
  }
  return (node) => beside.has(node);
}

/** How many kernels run one after the other before a value is there. */
function kernelDepths({ context: { nodes }, owners }: Choice): ReadonlyMap<Node, number> {
  const depths = new Map<Node, number>();
  for (const node of nodes) {
    const owner = owners.get(node);
    const before = node.inputs.map((input) => depths.get(input)! + (owner && owners.get(input) !== owner ? 1 : 0));
    depths.set(node, Math.max(0, ...before));
  }
  return depths;
}

/** Whether reading it takes more than a load. Products walk what they contract part by part (depth-parts.ts). */
function isComputed(node: Node, users: readonly Node[]): boolean {
  if (joinedAxis(node) === undefined) return opDef(node.op).kind === 'pointwise';
  return !users.some((user) => joinsDepth(node, user));
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

/** Scalar work to compute one element of each value from buffers, everything between inlined. `isKept`: of what more has one. */
function inlineWork(
  { context: { nodes }, anchored, concats }: Choice,
  isKept: (node: Node, work: number) => boolean,
): Map<Node, number> {
  const work = new Map<Node, number>();
  // A single number is loaded once, before the loops.
  const load = ({ type }: Node) => (sizeOf(type.shape) === 1 ? 0 : MEMORY);
  for (const node of nodes) {
    const def = opDef(node.op);
    const own = def.kind === 'pointwise' ? def.cost([], node.attrs, { dtype: 'f32', shape: [] }).flops : 0;
    // A square loads its operand once.
    const inline = [...new Set(node.inputs)].reduce((sum, input) => sum + work.get(input)!, own);
    const isInMemory = isStored(node) || anchored.has(node) || concats.has(node) || isKept(node, inline);
    work.set(node, isInMemory ? load(node) : inline);
  }
  return work;
}
