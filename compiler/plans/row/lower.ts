/**
 * Row reductions: the invocations of a row stride over its elements, combine their partial results, and go over the row
 * again with the results at hand, for the next reduction and at last for what is written.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import type { RowPlan } from './plan.ts';
import { ZERO, type Index } from '../../kernel/index-map.ts';
import { broadcastIndex, reducer } from '../../kernel/inline.ts';
import type { Expr } from '../../kernel/ir.ts';
import { askedFirst, whereCounted } from '../asked.ts';
import { builtins, linearGroup, linearInvocation, storeResults, type Launch, type Site } from '../common.ts';
import { foldGrid } from '../grid.ts';
import { addTo, byDepth, byLength, partialOf, resultName, rowsIn } from '../rows.ts';

/** A row as its invocations walk it. */
interface Row {
  /** Multi-index of element e. */
  at(e: Index): Index[];
  readonly length: number;
  readonly lanes: number;
  /** This invocation's place among the row's. */
  readonly lane: Expr;
  /** Loops stay loops: software drivers unroll up to 32 rounds and compile for seconds. */
  readonly rolled: boolean;
}

export function rowKernel(site: Site, plan: RowPlan): Launch {
  const { b, inline, region } = site;
  const { rows, length, elementsOf } = rowsIn(site);
  const folded = sizeOf(foldGrid(rows));
  const serial = plan.lanes === 1;
  const position = serial
    ? linearInvocation(site, rows, plan.rowsPerWorkgroup)
    : inline.ix.clamp(inline.ix.atom(linearGroup(b, rows), folded - 1), rows - 1, 'row');
  const row: Row = {
    length,
    lanes: plan.lanes,
    rolled: plan.rolled,
    lane: serial ? b.u32(0) : builtins(b).lane,
    at: elementsOf(position),
  };
  for (const group of byDepth(region, region.reductions)) reduceTogether(site, plan, row, group);
  // Beyond the last row of a folded grid, it is computed again but stored once: a result may replace what it reads.
  if (!serial && folded !== rows)
    b.when(b.binary('<', linearGroup(b, rows), b.u32(rows)), () => writeResults(site, row));
  else writeResults(site, row);
  const workgroups = serial ? Math.ceil(rows / plan.rowsPerWorkgroup) : rows;
  return { workgroupSize: serial ? plan.rowsPerWorkgroup : plan.lanes, grid: foldGrid(workgroups) };
}

function reduceTogether(site: Site, plan: RowPlan, row: Row, group: readonly Node[]): void {
  const { b, inline } = site;
  const partials = group.map((node) => partialOf(b, node));
  const add = (i: number, value: Node, index: readonly Index[], inside?: Expr) =>
    addTo(b, partials[i], group[i], inline.value(value, broadcastIndex(index, value.type.shape)), inside);
  const asked = group.map((node) => (plan.combine === 'serial' ? askedFirst(site, node) : undefined));
  eachElement(site, row, (element, inside) => {
    group.forEach((node, i) => {
      const counted = asked[i];
      if (!counted) return add(i, node.inputs[0], row.at(element()), inside);
      whereCounted(site, counted, row.at, element, (e) => add(i, counted.value, row.at(e)));
    });
  });
  group.forEach((node, i) => {
    const result = combineLanes(site, plan, node, b.read(partials[i]));
    inline.given.set(node, () => result);
  });
}

/** Calls `body` for this invocation's elements; `inside` is false past the row's end in the last, partial stride. */
function eachElement({ b, inline }: Site, row: Row, body: (element: () => Index, inside?: Expr) => void): void {
  const strides = Math.ceil(row.length / row.lanes);
  b.loop(
    'step',
    strides,
    (step) => {
      const { ix } = inline;
      const raw = ix.add(ix.scale(ix.atom(step, strides - 1), row.lanes), ix.atom(row.lane, row.lanes - 1));
      const element = () =>
        ix.clamp(ix.atom(b.bind('e', ix.expr(raw)), strides * row.lanes - 1), row.length - 1, 'e_inside');
      const partial = row.length % row.lanes !== 0;
      body(element, partial ? b.binary('<', ix.expr(raw), b.u32(row.length)) : undefined);
    },
    row.rolled,
  );
}

function combineLanes({ b }: Site, plan: RowPlan, node: Node, partial: Expr): Expr {
  const { combine, across, type } = reducer(b, node);
  const name = resultName(node);
  if (plan.combine === 'serial') return b.bind(name, partial);
  if (plan.combine === 'subgroup') return b.bind(name, across(partial, plan.lanes));
  const { lane } = builtins(b);
  const scratch = b.sharedArray('scratch', plan.lanes, type);
  b.storeShared(scratch, lane, partial);
  b.barrier();
  for (let half = plan.lanes / 2; half >= 1; half /= 2) {
    b.when(b.binary('<', lane, b.u32(half)), () => {
      const upper = b.loadShared(scratch, b.binary('+', lane, b.u32(half)));
      b.storeShared(scratch, lane, combine(b.loadShared(scratch, lane), upper));
    });
    b.barrier();
  }
  return b.bind(name, b.loadShared(scratch, b.u32(0)));
}

/** Elements are written as the row is walked over once more, what there is one of by its first lane. */
function writeResults(site: Site, row: Row): void {
  const { b, region, outputs } = site;
  const { long, short } = byLength(outputs, region);
  if (long.length) {
    eachElement(site, row, (element, inside) => {
      const index = row.at(element());
      if (inside) b.when(inside, () => storeResults(site, index, long));
      else storeResults(site, index, long);
    });
  }
  if (!short.length) return;
  const index = row.at(ZERO);
  if (row.lanes === 1) storeResults(site, index, short);
  else b.when(b.binary('==', row.lane, b.u32(0)), () => storeResults(site, index, short));
}
