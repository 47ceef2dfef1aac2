/**
 * The loop over what a product contracts. Where an operand sees that axis as several (channels and places of a window: a
 * convolution), there is a loop for each of them, so that no step divides to find its place.
 */
import type { Node } from '../ir/index.ts';
import { axesBehind, opDef } from '../ops/index.ts';
import { ZERO, type Index } from '../kernel/index-map.ts';
import type { Part } from './depth-parts.ts';
import type { Product, Site } from './common.ts';

/**
 * Calls `body` for every step. The short parts are the outer loops: what they settle (a place of a window, inside or outside of
 * the picture) holds for a whole run of the longest. On lavapipe a 3×3 convolution is 1.3 times as fast as with one loop and
 * divisions; with channels outside and the window inside it is no faster, with the window written out slower.
 */
export function overDepth(site: Site, { parts }: Product, body: (at: Index) => void, rolled = false): void {
  for (const part of parts) overPart(site, part, body, rolled);
}

function overPart(site: Site, part: Part, body: (at: Index) => void, allRolled: boolean): void {
  const { b, inline } = site;
  const { ix } = inline;
  const factors = depthFactors(site, part);
  const nest = (depth: number, at: Index): void => {
    if (depth === factors.length) return body(ix.offset(at, part.from));
    const { size, times } = factors[depth];
    // A software driver would unroll the short outer loops, and all that is in them.
    const rolled = allRolled || depth < factors.length - 1;
    b.loop('k', size, (i) => nest(depth + 1, ix.add(at, ix.scale(ix.atom(i, size - 1), times))), rolled);
  };
  nest(0, ZERO);
}

/** An axis that a stretch of the depth is joined from: its size, and the steps from one to the next. */
export interface Factor {
  readonly size: number;
  readonly times: number;
}

/** The axes that a stretch of the depth is joined from, the longest last; one where it is one. */
export function depthFactors({ inline }: Site, { size: k, left, right }: Part): Factor[] {
  const inMemory = (node: Node) => inline.buffers.has(node) || inline.given.has(node);
  const factors = (node: Node | undefined, axis: number) =>
    node && factorsOf(node, node.type.shape.length + axis, inMemory);
  const sizes = factors(right, -2) ?? factors(left, -1) ?? [k];
  const all = sizes.map((size, i) => ({ size, times: sizes.slice(i + 1).reduce((n, inner) => n * inner, 1) }));
  return all.sort((p, q) => p.size - q.size);
}

/**
 * The axes that `axis` is joined from where the node is looked at through its views; undefined when it is one axis, or lies in
 * memory as one.
 */
function factorsOf(node: Node, axis: number, inMemory: (node: Node) => boolean): number[] | undefined {
  if (inMemory(node) || !node.inputs.length) return undefined;
  const { inputs, type } = node;
  const { kind } = opDef(node.op);
  if (kind === 'view') {
    const [x] = inputs;
    const axes = axesBehind(node, axis) ?? [];
    if (axes.length < 2) return axes.length ? factorsOf(x, axes[0], inMemory) : undefined;
    return inMemory(x) || !x.inputs.length ? undefined : axes.map((a) => x.type.shape[a]);
  }
  if (kind !== 'pointwise') return undefined;
  for (const input of inputs) {
    const at = axis - (type.shape.length - input.type.shape.length);
    const found = input.type.shape[at] === type.shape[axis] ? factorsOf(input, at, inMemory) : undefined;
    if (found) return found;
  }
  return undefined;
}
