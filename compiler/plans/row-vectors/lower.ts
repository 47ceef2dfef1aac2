/**
 * Rows shared by subgroups: lanes stride over a row, four elements at a time where they lie so, combine what they have, and go over the
 * row again with the results at hand. Rows that lie beside each other are one invocation's instead (neighbours.ts).
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import { ZERO, type Index } from '../../kernel/index-map.ts';
import { reducer } from '../../kernel/inline.ts';
import type { Expr } from '../../kernel/ir.ts';
import { builtins, linearGroup, range, storeFours, storeResults, type Launch, type Site } from '../common.ts';
import { foldGrid } from '../grid.ts';
import { addTo, byDepth, byLength, partialOf, resultName, rowsIn } from '../rows.ts';
import { neighbouringRows } from './neighbours.ts';
import { invocationsOf, type RowVectorsPlan } from './plan.ts';

/** A row as its lanes walk it. */
interface Row {
  /** Multi-index of element e. */
  at(e: Index): Index[];
  readonly length: number;
  /** This invocation's place among the row's. */
  readonly lane: Index;
}

export function vectorRows(site: Site, plan: RowVectorsPlan): Launch {
  return plan.lanes === 1 ? neighbouringRows(site, plan) : sharedRows(site, plan);
}

function sharedRows(site: Site, plan: RowVectorsPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const { lanes, rowsPerWorkgroup, subgroup } = plan;
  const { rows, length, elementsOf } = rowsIn(site);
  const invocations = invocationsOf(plan);
  const workgroups = Math.ceil(rows / rowsPerWorkgroup);
  const grid = foldGrid(workgroups);
  const folded = sizeOf(grid);
  const [own, lane] = ix.divmod(ix.atom(builtins(b).lane, invocations - 1), lanes);
  const raw = ix.add(ix.scale(ix.atom(linearGroup(b, workgroups), folded - 1), rowsPerWorkgroup), own);
  const row: Row = { length, lane, at: elementsOf(ix.clamp(raw, rows - 1, 'row')) };
  for (const group of byDepth(region, region.reductions)) reduceTogether(site, plan, row, group);
  // Beyond the last row, that one is computed again but stored once: a result may replace what it reads.
  if (folded * rowsPerWorkgroup === rows) writeResults(site, plan, row);
  else b.when(b.binary('<', ix.expr(raw), b.u32(rows)), () => writeResults(site, plan, row));
  return { workgroupSize: invocations, grid, subgroup: { size: subgroup, sized: plan.sized } };
}

/** Calls `body` for this invocation's vectors, with the index of each element; `inside` is false past the row's end. */
function eachVector(
  { b, inline: { ix } }: Site,
  { lanes, width }: RowVectorsPlan,
  row: Row,
  body: (at: (u: number) => Index[], inside?: Expr) => void,
): void {
  const vectors = row.length / width;
  const strides = Math.ceil(vectors / lanes);
  b.loop('step', strides, (step) => {
    const raw = ix.add(ix.scale(ix.atom(step, strides - 1), lanes), row.lane);
    const vector = ix.clamp(raw, vectors - 1, 'inside');
    const inside = vector === raw ? undefined : b.binary('<', ix.expr(raw), b.u32(vectors));
    body((u) => row.at(ix.offset(ix.scale(vector, width), u)), inside);
  });
}

function reduceTogether(site: Site, plan: RowVectorsPlan, row: Row, group: readonly Node[]): void {
  const { b, inline } = site;
  const partials = group.map((node) => partialOf(b, node));
  eachVector(site, plan, row, (at, inside) => {
    for (const u of range(plan.width))
      group.forEach((node, i) => addTo(b, partials[i], node, inline.value(node.inputs[0], at(u)), inside));
  });
  group.forEach((node, i) => {
    const result = combineLanes(site, plan, row, node, b.read(partials[i]));
    inline.given.set(node, () => result);
  });
}

/** The subgroup's result, and where a row has several, those of all in their order. */
function combineLanes(
  { b, inline: { ix } }: Site,
  { lanes, subgroup }: RowVectorsPlan,
  row: Row,
  node: Node,
  partial: Expr,
): Expr {
  const { combine, across, type } = reducer(b, node);
  const name = resultName(node);
  const own = b.bind(name, across(partial, subgroup));
  if (lanes === subgroup) return own;
  const count = lanes / subgroup;
  const [number, place] = ix.divmod(row.lane, subgroup);
  const results = b.sharedArray('results', count, type);
  b.when(b.binary('==', ix.expr(place), b.u32(0)), () => b.storeShared(results, ix.expr(number), own));
  b.barrier();
  const all = range(count).map((i) => b.loadShared(results, b.u32(i)));
  return b.bind(name, all.reduce(combine));
}

/** Elements are written as the row is walked over once more, what there is one of by its first lane. */
function writeResults(site: Site, plan: RowVectorsPlan, row: Row): void {
  const { b, inline, region, outputs } = site;
  const { long, short } = byLength(outputs, region);
  const store = (at: (u: number) => Index[]) =>
    plan.width === 4 ? storeFours(site, long, at) : storeResults(site, at(0), long);
  if (long.length) eachVector(site, plan, row, (at, inside) => (inside ? b.when(inside, () => store(at)) : store(at)));
  if (!short.length) return;
  const isFirst = b.binary('==', inline.ix.expr(row.lane), b.u32(0));
  b.when(isFirst, () => storeResults(site, row.at(ZERO), short));
}
