/** A region's structure without names and places: equal signatures share one kernel, as the blocks of a model do. */
import { attrsKey, formatType, type Node } from '../ir/index.ts';
import type { Plan } from '../plans/registry.ts';
import type { Region } from '../fusion/regions.ts';
import type { Span } from '../fusion/windows.ts';

/** Which part of a value is bound, and what before it: where it starts is in the kernel. */
const boundText = (span: Span | undefined, lead: number | undefined): string =>
  (span ? `@${span.start}+${span.size}` : '') + (lead ? ` after ${lead}` : '');

export function signatureOf(region: Region, plan: Plan): string {
  const ids = new Map<Node, string>();
  region.reads.forEach((node, i) => ids.set(node, `r${i}`));
  region.results.forEach(({ node }, i) => {
    const old = region.replaces.get(node);
    if (old) ids.set(old, `in place ${i}`);
  });
  const reads = region.reads
    .map((node) => formatType(node.type) + boundText(region.spans.get(node), region.leads.get(node)))
    .join(' ');
  // Numbered from the root by data flow: node ids depend on what was built before, in other blocks.
  const members: string[] = [];
  const number = (node: Node): string => {
    const known = ids.get(node);
    if (known) return known;
    const operands = node.inputs.map(number).join(',');
    ids.set(node, `m${members.length}`);
    // A copy (compiler/recompute) is computed as the original is, so `copy` is not asked.
    members.push(`${node.op}(${operands})${attrsKey(node.attrs)}:${formatType(node.type)}`);
    return ids.get(node)!;
  };
  const results = region.results.map(({ node, views, anchor }) => {
    const from = anchor ? ` of ${number(anchor)}` : '';
    const place = boundText(undefined, region.leads.get(node));
    return `${number(node)} ${views.map(number).join(',')}${from}${place}`;
  });
  const bundles = region.bundles.map(({ parts, elements }) => {
    const places = [...parts].map(([node, { offset }]) => `${number(node)}@${offset}`);
    return `bundle ${elements}: ${places.join(' ')}`;
  });
  return [JSON.stringify(plan), region.kind, reads, ...members, ...results, ...bundles].join('\n');
}
