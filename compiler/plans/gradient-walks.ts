/**
 * Derivatives of attention without its weights in memory, what the families that compute scores anew share: some workgroups own queries
 * and walk over the keys for dq, others own keys and walk over the queries for dk and dv. Dao et al. 2022, algorithm 4.
 */
import { sizeOf, type Node } from '../ir/index.ts';
import type { DeviceSpec } from '../device.ts';
import type { Index } from '../kernel/index-map.ts';
import { attentionDims, gradientOperands } from '../ops/index.ts';
import { boundedGroup, type Launch, type Site } from './common.ts';
import { badDimensions, type Cost, type Group } from './family.ts';

/** What is added up by a walk: rows of `of`, weighted by P or by the derivatives by q·k. */
export interface Sum {
  readonly anchor: Node;
  readonly of: Node;
  readonly by: 'weight' | 'slope';
}

/** Own rows, the others that are walked over, and what their products are of: scores, and dy·v. */
export interface Direction {
  readonly own: 'queries' | 'keys';
  readonly row0: Index;
  readonly mine: number;
  readonly others: number;
  readonly scored: readonly [own: Node, other: Node];
  readonly gained: readonly [own: Node, other: Node];
  readonly sums: readonly Sum[];
}

/** Which derivatives a kernel computes, and of what sizes. */
export function derivativesOf({ anchor, results = [] }: Group) {
  const found = new Map([anchor!, ...results.flatMap((result) => result.anchor ?? [])].map((node) => [node.op, node]));
  const [dq, dk, dv] = ['attention_dq', 'attention_dk', 'attention_dv'].map((op) => found.get(op));
  return { dq, dk, dv, dims: attentionDims(gradientOperands(anchor!.inputs).own.map(({ type }) => type)) };
}

/** Workgroups along x, of so many rows each: those that own queries, then those that own keys. */
function workgroupsOf(rows: number, group: Group): readonly [queries: number, keys: number] {
  const { dq, dk, dv, dims } = derivativesOf(group);
  return [dq ? Math.ceil(dims.m / rows) : 0, dk || dv ? Math.ceil(dims.n / rows) : 0];
}

function gridOf(rows: number, group: Group): Launch['grid'] {
  const [queries, keys] = workgroupsOf(rows, group);
  return [queries + keys, 1, sizeOf(derivativesOf(group).dims.batch)];
}

/** Why workgroups of so many rows are too many for the device; undefined where they are not. */
export const badRows = (rows: number, group: Group, device: DeviceSpec): string | undefined =>
  badDimensions(gridOf(rows, group), device);

/** Rows pass by once for each block of the others, in each of the walks. */
export function walksCost(rows: number, others: number, group: Group): Cost {
  const { dk, dv, dims } = derivativesOf(group);
  const [queries, keys] = workgroupsOf(rows, group);
  const { d, e } = dims;
  const padded = (count: number) => Math.ceil(count / others) * others;
  const byQuery = queries * padded(dims.n) * (2 * d + e);
  const byKey = keys * padded(dims.m) * (d + (dv ? e : 0) + (dk ? d + e : 0));
  const loads = group.anchor!.inputs.map(() => queries + keys);
  return { macs: sizeOf(dims.batch) * rows * (byQuery + byKey), loads };
}

/** Writes the walks of workgroups of so many rows each, in both directions; `walk` writes one. Returns the grid. */
export function writeWalks(site: Site, rows: number, walk: (direction: Direction) => void): Launch['grid'] {
  const { b, inline, region } = site;
  const { ix } = inline;
  const { dq, dk, dv, dims } = derivativesOf(region);
  const { own, dy } = gradientOperands(region.anchor!.inputs);
  const [q, k, v] = own;
  const [queries, keys] = workgroupsOf(rows, region);
  const group = boundedGroup(site, 'groupX', queries + keys);
  const byQuery = () =>
    walk({
      own: 'queries',
      row0: ix.scale(ix.clamp(group, queries - 1, 'rows'), rows),
      mine: dims.m,
      others: dims.n,
      scored: [q, k],
      gained: [dy, v],
      sums: [{ anchor: dq!, of: k, by: 'slope' }],
    });
  const byKey = () =>
    walk({
      own: 'keys',
      row0: ix.scale(ix.shiftDown(group, queries, keys - 1), rows),
      mine: dims.n,
      others: dims.m,
      scored: [k, q],
      gained: [v, dy],
      sums: [
        ...(dv ? [{ anchor: dv, of: dy, by: 'weight' as const }] : []),
        ...(dk ? [{ anchor: dk, of: q, by: 'slope' as const }] : []),
      ],
    });
  if (queries && keys) {
    b.when(b.binary('<', ix.expr(group), b.u32(queries)), byQuery);
    b.when(b.binary('>=', ix.expr(group), b.u32(queries)), byKey);
  } else if (queries) byQuery();
  else byKey();
  return gridOf(rows, region);
}
