/** Rows that lie beside each other, several to an invocation: it goes over all of them together, and loads an element of each at once. */
import { sizeOf, type Node } from '../../ir/index.ts';
import { combinerOf } from '../../ops/index.ts';
import { rowAxes } from '../../fusion/regions.ts';
import { ZERO, type Index } from '../../kernel/index-map.ts';
import { broadcastIndex, reducer } from '../../kernel/inline.ts';
import type { Expr } from '../../kernel/ir.ts';
import { askedFirst, whereCounted } from '../asked.ts';
import {
  byDepth,
  byLength,
  linearInvocation,
  range,
  storeFours,
  storeResults,
  type Launch,
  type Output,
  type Site,
} from '../common.ts';
import { foldGrid } from '../grid.ts';
import { invocationsOf, type RowVectorsPlan } from './plan.ts';

export function neighbouringRows(site: Site, plan: RowVectorsPlan): Launch {
  const { b, inline, region, outputs } = site;
  const { ix } = inline;
  const { width } = plan;
  const { shape, kept, reduced } = rowAxes(region.reductions);
  const [keptShape, reducedShape] = [kept, reduced].map((axes) => axes.map((axis) => shape[axis]));
  const runs = sizeOf(keptShape) / width;
  const invocations = invocationsOf(plan);
  const first = ix.scale(linearInvocation(site, runs, invocations), width);
  const outer = range(width).map((u) => ix.unflatten(ix.offset(first, u), keptShape));
  const results = new Map<Node, readonly Expr[]>();
  /** Makes reads of the results those of row u. */
  const select = (u: number) => results.forEach((values, node) => inline.given.set(node, () => values[u]));
  const at = (u: number, e: Index): Index[] => {
    const inner = ix.unflatten(e, reducedShape);
    return shape.map((_, axis) => (kept.includes(axis) ? outer[u][kept.indexOf(axis)] : inner[reduced.indexOf(axis)]));
  };
  const length = sizeOf(reducedShape);
  const eachElement = (body: (element: () => Index) => void) =>
    b.loop('step', length, (step) => body(() => ix.atom(step, length - 1)));
  for (const group of byDepth(region, region.reductions)) {
    const partials = group.map((node) => {
      const name = node.name ?? `partial_${combinerOf(node.op).noun}`;
      return range(width).map(() => b.variable(name, reducer(b, node).neutral));
    });
    const add = (i: number, value: Node, u: number, e: Index) => {
      select(u);
      const x = inline.value(value, broadcastIndex(at(u, e), value.type.shape));
      b.assign(partials[i][u], reducer(b, group[i]).combine(b.read(partials[i][u]), x));
    };
    const asked = group.map((node) => askedFirst(site, node));
    eachElement((element) => {
      range(width).forEach((u) =>
        group.forEach((node, i) => {
          if (!asked[i]) add(i, node.inputs[0], u, element());
        }),
      );
      asked.forEach((counted, i) => {
        if (!counted) return;
        const each = (e: Index) => range(width).forEach((u) => add(i, counted.value, u, e));
        whereCounted(site, counted, (e) => at(0, e), element, each);
      });
    });
    group.forEach((node, i) => {
      const name = node.name ?? `row_${combinerOf(node.op).noun}`;
      results.set(
        node,
        partials[i].map((partial) => b.bind(name, b.read(partial))),
      );
    });
  }
  const { long, short } = byLength(outputs, region);
  const store = (which: readonly Output[], e: Index) => {
    if (width === 4) return storeFours(site, which, (u) => at(u, e), select);
    select(0);
    storeResults(site, at(0, e), which);
  };
  if (long.length) eachElement((element) => store(long, element()));
  if (short.length) store(short, ZERO);
  return { workgroupSize: invocations, grid: foldGrid(Math.ceil(runs / invocations)) };
}
