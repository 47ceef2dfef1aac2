/** What a kernel is, in the user's words: for names, headers and reports. */
import { byteSize, formatType, sizeOf, type Node } from '../ir/index.ts';
import { opDef, writesSlice } from '../ops/index.ts';
import { bufferName } from '../plans/lower.ts';
import { describePlan, type Plan } from '../plans/registry.ts';
import { boundType, operandsOf, type Region } from '../fusion/regions.ts';

/** A composite's parts go by its name; views that came with it by their own. */
const opName = (node: Node): string => (opDef(node.op).kind === 'view' ? node.op : (node.origin ?? node.op));

/** Ops in order, composites by their own name, each once. */
export function opsOf(region: Pick<Region, 'members'>, options: { views: boolean }): string[] {
  const names = region.members
    .filter(
      (n) => opDef(n.op).kind !== 'leaf' && (options.views || opDef(n.op).kind !== 'view' || opDef(n.op).view?.rows),
    )
    .map(opName);
  return [...new Set(names)];
}

/** Places in the user's source, in order, each once. */
export const placesOf = (region: Region): string[] => [
  ...new Set(region.members.flatMap((n) => (n.loc && opDef(n.op).kind !== 'leaf' ? [n.loc] : []))),
];

export const macsOf = (region: Region): number =>
  region.members.reduce((sum, n) => {
    const def = opDef(n.op);
    return def.kind === 'contract'
      ? sum +
          def.cost(
            n.inputs.map((x) => x.type),
            n.attrs,
            n.type,
          ).macs
      : sum;
  }, 0);

/** Of a slice that is written in place, the slice. */
export const bytesWritten = ({ results }: Region): number =>
  results.reduce((sum, { node }) => sum + byteSize((writesSlice(node) ? node.inputs[0] : node).type), 0);

export function bytesRead(region: Region): number {
  const { replaces, reads } = region;
  const overwritten = [...replaces].flatMap(([node, old]) => (writesSlice(node) ? [] : [old]));
  return [...reads, ...overwritten].reduce(
    (sum, node) => sum + Math.min(byteSize(boundType(node, region)), bytesGathered(node, region)),
    0,
  );
}

/** What a region reads of a value that it only gathers rows of. */
function bytesGathered(table: Node, { members }: Region): number {
  const readers = members.filter((node) => node.inputs.includes(table));
  const gathers = readers.every((node) => isRowOf(node, table));
  return gathers && readers.length ? readers.reduce((sum, node) => sum + byteSize(node.type), 0) : Infinity;
}

/** Whether a node chooses rows of a table. */
function isRowOf({ op, inputs }: Node, table: Node): boolean {
  const rows = opDef(op).view?.rows;
  return !!rows && inputs[rows.index] !== table;
}

/** A kernel's name: the user's variable, else the anchor's with what follows it, else its last ops. */
export function kernelName(region: Region): string {
  const { anchor } = region;
  let { root } = region;
  while (!root.name && region.views.includes(root)) root = root.inputs[0];
  if (root.name || typeof root.attrs.name === 'string') return clean(bufferName(root));
  const nearest = region.members.findLast((n) => n.name && opDef(n.op).kind !== 'leaf')?.name;
  const last = opsOf(region, { views: false }).slice(nearest && anchor ? -1 : -3);
  return clean([anchor && nearest, ...last].filter(Boolean).join('_') || root.op);
}

const clean = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, '_').slice(0, 40);

/** One use of a kernel. */
export interface Use {
  readonly region: Region;
  readonly plan: Plan;
}

/** The comment at the top of a kernel: what it computes, from what, how, and where it comes from. */
export function headerOf(name: string, uses: readonly Use[]): string[] {
  const [{ region, plan }] = uses;
  const typed = (node: Node) => `${bufferName(node)} ${formatType(boundType(node, region))}`;
  const count = `${uses.length} use${uses.length === 1 ? '' : 's'}${inSizes(uses)}`;
  const where = usedBy(uses.map((u) => u.region));
  const bytes = bytesRead(region) + bytesWritten(region);
  const macs = macsOf(region);
  const cost = [macs ? `${si(macs)}MAC` : '', `${si(bytes)}B`].filter(Boolean).join(' · ');
  return [
    `${name} — ${opsOf(region, { views: false }).join(' → ') || 'copy'}`,
    `  ${count}${where ? `: ${where}` : ''}`,
    `  reads  ${operandsOf(region).map(typed).join(' · ') || 'nothing'}`,
    `  writes ${region.results.map(({ node }) => typed(node) + replaced(node, region)).join(' · ')}`,
    `  cost   ${cost} · plan: ${describePlan(plan)}`,
    `  source ${sourceText(region)}`,
  ];
}

/** Kernels that differ in the lengths of their arrays only are one (sharing.ts): what is shown is the first. */
function inSizes(uses: readonly Use[]): string {
  const sizes = uses.map(({ region }) => {
    const bound = [...operandsOf(region), ...region.results.map(({ node }) => node)];
    return bound.map(({ type }) => sizeOf(type.shape)).join(' ');
  });
  const { size } = new Set(sizes);
  return size === 1 ? '' : ` in ${size} sizes`;
}

const replaced = (node: Node, { replaces }: Region): string =>
  replaces.has(node) ? `, in place of ${bufferName(replaces.get(node)!)}` : '';

/** `models/dit.ts:58 layer_norm · :31 mul`: the ops by line, the file written once. */
function sourceText(region: Region): string {
  let file = '';
  const parts = new Set<string>();
  for (const node of region.members) {
    const match = node.loc?.match(/^(.*):(\d+):\d+$/);
    if (!match || opDef(node.op).kind === 'leaf' || opDef(node.op).kind === 'view') continue;
    parts.add(`${match[1]}\0${match[2]} ${opName(node)}`);
  }
  const text = [...parts].map((part) => {
    const [from, rest] = part.split('\0');
    const shown = from === file ? `:${rest}` : `${from}:${rest}`;
    file = from;
    return shown;
  });
  return text.join(' · ') || 'the compiler';
}

/** The parameters' common path: `blocks.*.attn.qkv`. */
function usedBy(regions: readonly Region[]): string {
  const paths = regions.flatMap((r) => {
    const weight = r.reads.find((n) => n.op === 'param');
    return weight
      ? [
          String(weight.attrs.name)
            .split('.')
            .slice(0, -1)
            .map((s) => (/^\d+$/.test(s) ? '*' : s))
            .join('.'),
        ]
      : [];
  });
  return [...new Set(paths)].slice(0, 3).join(', ');
}

/** 1.02 G, 21.6 M, … */
export function si(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T'];
  let unit = 0;
  let x = value;
  while (x >= 1000 && unit < units.length - 1) {
    x /= 1000;
    unit++;
  }
  return `${x >= 100 || unit === 0 ? Math.round(x) : x.toPrecision(3)} ${units[unit]}`;
}
