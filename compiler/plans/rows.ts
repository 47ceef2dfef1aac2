/** What kernels that reduce rows share: where a row's elements are, and which reductions a pass over it makes. */
import { sameShape, sizeOf, type Node } from '../ir/index.ts';
import { combinerOf } from '../ops/index.ts';
import { domainOf } from '../fusion/group.ts';
import { rowAxes, type Region } from '../fusion/regions.ts';
import type { KernelBuilder } from '../kernel/builder.ts';
import type { Index } from '../kernel/index-map.ts';
import { reducer } from '../kernel/inline.ts';
import type { Expr, Variable } from '../kernel/ir.ts';
import type { Output, Site } from './common.ts';

/** The rows of a row kernel: how many, how long, and the multi-index of element e of the row at a place. */
export function rowsIn({ inline: { ix }, region }: Site) {
  const { shape, kept, reduced } = rowAxes(region.reductions);
  const [keptShape, reducedShape] = [kept, reduced].map((axes) => axes.map((axis) => shape[axis]));
  return {
    rows: sizeOf(keptShape),
    length: sizeOf(reducedShape),
    elementsOf(row: Index): (e: Index) => Index[] {
      const outer = ix.unflatten(row, keptShape);
      return (e) => {
        const inner = ix.unflatten(e, reducedShape);
        return shape.map((_, axis) => (kept.includes(axis) ? outer[kept.indexOf(axis)] : inner[reduced.indexOf(axis)]));
      };
    },
  };
}

/** What an invocation has of a row so far. */
export const partialOf = (b: KernelBuilder, node: Node): Variable =>
  b.variable(node.name ?? `partial_${combinerOf(node.op).noun}`, reducer(b, node).neutral);

/** Adds an element to it, unless a condition does not hold. */
export function addTo(b: KernelBuilder, partial: Variable, node: Node, x: Expr, inside?: Expr): void {
  const { neutral, combine } = reducer(b, node);
  const counted = inside ? b.call('select', [neutral, x, inside]) : x;
  b.assign(partial, combine(b.read(partial), counted));
}

/** What names of values call the result of a row. */
export const resultName = (node: Node): string => node.name ?? `row_${combinerOf(node.op).noun}`;

/** Of what is made of rows: what has an element for each of the row, and what has one for the row. */
export function byLength(
  outputs: readonly Output[],
  { reductions: [first] }: Region,
): { long: Output[]; short: Output[] } {
  const isLong = (output: Output) => sameShape(domainOf(output), first.inputs[0].type.shape);
  return { long: outputs.filter(isLong), short: outputs.filter((output) => !isLong(output)) };
}

/** Reductions that do not depend on each other share a pass over the row. */
export function byDepth({ members: all }: Pick<Region, 'members'>, reductions: readonly Node[]): Node[][] {
  const depth = new Map<Node, number>();
  const groups: Node[][] = [];
  const members = new Set(all);
  for (const node of all) {
    const below = node.inputs.reduce((d, n) => Math.max(d, members.has(n) ? (depth.get(n) ?? 0) : 0), 0);
    const isReduction = reductions.includes(node);
    if (isReduction) (groups[below] ??= []).push(node);
    depth.set(node, below + Number(isReduction));
  }
  return groups;
}
