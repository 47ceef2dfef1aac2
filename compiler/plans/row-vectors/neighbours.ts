/** Rows that lie beside each other, several to an invocation: it goes over all of them together, and loads an element of each at once. */
import type { Node } from '../../ir/index.ts';
import { ZERO, type Index } from '../../kernel/index-map.ts';
import { broadcastIndex } from '../../kernel/inline.ts';
import type { Expr } from '../../kernel/ir.ts';
import { askedFirst, whereCounted } from '../asked.ts';
import { linearInvocation, range, storeFours, storeResults, type Launch, type Output, type Site } from '../common.ts';
import { foldGrid } from '../grid.ts';
import { addTo, byDepth, byLength, partialOf, resultName, rowsIn } from '../rows.ts';
import { invocationsOf, type RowVectorsPlan } from './plan.ts';

export function neighbouringRows(site: Site, plan: RowVectorsPlan): Launch {
  const { b, inline, region, outputs } = site;
  const { ix } = inline;
  const { width } = plan;
  const { rows, length, elementsOf } = rowsIn(site);
  const runs = rows / width;
  const invocations = invocationsOf(plan);
  const first = ix.scale(linearInvocation(site, runs, invocations), width);
  const own = range(width).map((u) => elementsOf(ix.offset(first, u)));
  const at = (u: number, e: Index): Index[] => own[u](e);
  const results = new Map<Node, readonly Expr[]>();
  /** Makes reads of the results those of row u. */
  const select = (u: number) => results.forEach((values, node) => inline.given.set(node, () => values[u]));
  const eachElement = (body: (element: () => Index) => void) =>
    b.loop('step', length, (step) => body(() => ix.atom(step, length - 1)));
  for (const group of byDepth(region, region.reductions)) {
    const partials = group.map((node) => range(width).map(() => partialOf(b, node)));
    const add = (i: number, value: Node, u: number, e: Index) => {
      select(u);
      addTo(b, partials[i][u], group[i], inline.value(value, broadcastIndex(at(u, e), value.type.shape)));
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
      const values = partials[i].map((partial) => b.bind(resultName(node), b.read(partial)));
      results.set(node, values);
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
