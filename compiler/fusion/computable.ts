/**
 * Whether one kernel can compute all that it gives: asked before groups are merged or take in others, and of every group where
 * graphs are verified. A kernel goes through stages: statistics of rows, the operands of a product, what follows it. In each it
 * walks back from values to memory; contractions and reductions on the way must be what it has at hand by then, and most of
 * these it has for one place only: the element, or the row, that it is at.
 */
import { DitcError, labelOf, sameShape, type Node, type Shape } from '../ir/index.ts';
import { opDef, keepsOrder } from '../ops/index.ts';
import type { FusionGroup, Result } from './group.ts';
import type { Region } from './regions.ts';
import { keepsRows, withinRows } from './rows.ts';

/** Where results of earlier stages are at hand. */
type Given = ReadonlyMap<Node, 'here' | 'anywhere'>;

interface Stage {
  readonly given: Given;
  /** Values to compute, and the views between the place and each of them. */
  readonly starts: readonly Pick<Result, 'node' | 'views'>[];
  /** Shapes of rows and of what there is one of in each: the element of a row has that of its row at hand. */
  readonly row?: { readonly full: Shape; readonly reduced: Shape };
  /** Whether what a view reads is still at the place. */
  readonly passes?: (view: Node) => boolean;
}

/** Why a kernel cannot compute what it should; undefined where it can. `isRead`: what it reads from memory. */
export function whyNotComputable(kernel: FusionGroup, isRead: (node: Node) => boolean): string | undefined {
  const own = new Set(kernel.results.map(({ node }) => node));
  const inMemory = (node: Node) => isRead(node) && !own.has(node);
  for (const stage of stagesOf(kernel)) {
    for (const { node, views } of stage.starts) {
      const met = obstacle(node, views, stage, inMemory);
      if (met) return `${labelOf(node)} needs ${labelOf(met)} (${met.op}) where the kernel does not have it`;
    }
  }
  return undefined;
}

/** Throws where a region is none. */
export function checkComputable(region: Region): void {
  const reads = new Set(region.reads);
  const why = whyNotComputable(region, (node) => reads.has(node));
  if (why)
    throw new DitcError({ code: 'verify', where: region.root.loc, what: `kernel of ${labelOf(region.root)}`, why });
}

function stagesOf(kernel: FusionGroup): Stage[] {
  const { kind, reductions, results } = kernel;
  if (kind === 'map') return [{ given: new Map(), starts: results }];
  if (kind === 'row')
    return [...passes(reductions), { ...onRows(reductions), starts: results, passes: withinRows(reductions) }];
  return productStages(kernel);
}

/** A kernel has one or several contractions; each result follows one of them, or sums, statistics or pieces beside it. */
function productStages({ root, anchor, reductions, sums, pieces, totals, results }: FusionGroup): Stage[] {
  const isContraction = (node: Node) => opDef(node.op).kind === 'contract';
  const anchors = new Set([anchor!, ...results.flatMap(({ anchor: a }) => (a && isContraction(a) ? [a] : []))]);
  const known: Given = new Map(totals.map((node) => [node, 'anywhere']));
  const following = (node: Node): Stage => ({
    given: new Map([...known, [node, 'here']]),
    starts: results.filter(({ anchor: a = anchor }) => a === node),
  });
  const [left] = anchor!.inputs;
  const others = [...anchors].flatMap(({ inputs }) => inputs).filter((node) => node !== left);
  const [first] = reductions;
  return [
    // Elements and rows keep their places in memory behind reshapes.
    ...passes(totals, undefined, keepsOrder),
    ...passes(reductions, known),
    // Statistics are of the left operand's rows, at most regrouped.
    { ...onRows(reductions, known), starts: [whole(left)], passes: keepsRows },
    { given: known, starts: others.map(whole) },
    ...[...anchors, ...sums].map(following),
    ...(first ? [{ ...onRows(reductions, known), starts: results.filter(({ anchor: a }) => a === first) }] : []),
    ...(pieces ? piecesStages(pieces.reductions, root, results) : []),
  ];
}

/** Reductions of the root, and what is made of it and of them. */
function piecesStages(reductions: readonly Node[], root: Node, results: FusionGroup['results']): Stage[] {
  const known: Given = new Map([[root, 'here']]);
  const starts = results.filter(({ anchor }) => anchor === reductions[0]);
  return [...passes(reductions, known, keepsOrder), { ...onRows(reductions, known), starts, passes: keepsOrder }];
}

const whole = (node: Node): Stage['starts'][number] => ({ node, views: [] });

/** One reduction of rows after the other. */
const passes = (reductions: readonly Node[], known?: Given, passing?: Stage['passes']): Stage[] =>
  reductions.map(({ inputs: [x] }, i) => ({
    ...onRows(reductions, known, reductions.slice(0, i)),
    starts: [whole(x)],
    passes: passing,
  }));

/** The stage that walks over rows which some reductions, of those given, have reduced by then (`made`). */
function onRows(
  [first, ...others]: readonly Node[],
  known: Given = new Map(),
  made: readonly Node[] = first ? [first, ...others] : [],
): Pick<Stage, 'given' | 'row'> {
  const given: Given = new Map([...known, ...made.map((node) => [node, 'here'] as const)]);
  return { given, ...(first && { row: { full: first.inputs[0].type.shape, reduced: first.type.shape } }) };
}

/** The first value on the way from `start` to memory that is neither at hand nor computed at any place. */
function obstacle(
  start: Node,
  views: readonly Node[],
  { given, row, passes: passing }: Stage,
  inMemory: (node: Node) => boolean,
): Node | undefined {
  const seen = new Set<string>();
  const stack: (readonly [node: Node, ahead: number])[] = [[start, views.length]];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const [node, ahead] = next;
    const key = `${node.id} ${ahead}`;
    if (seen.has(key) || inMemory(node)) continue;
    seen.add(key);
    const at = given.get(node);
    if (at === 'anywhere' || (at && ahead === HERE)) continue;
    const { kind } = opDef(node.op);
    if (kind === 'contract' || kind === 'reduce') return node;
    for (const input of node.inputs) stack.push([input, behind(node, input, ahead)]);
  }
  return undefined;

  /** How many views are ahead of a value's operand. */
  function behind(node: Node, input: Node, ahead: number): number {
    if (ahead === ELSEWHERE) return ELSEWHERE;
    if (ahead > HERE && views[ahead - 1] === node) return ahead - 1;
    if (passing?.(node)) return ahead;
    if (opDef(node.op).kind !== 'pointwise') return ELSEWHERE;
    if (sameShape(node.type.shape, input.type.shape)) return ahead;
    const isOfRow = row && sameShape(node.type.shape, row.full) && sameShape(input.type.shape, row.reduced);
    return ahead === HERE && isOfRow ? HERE : ELSEWHERE;
  }
}

/** Of a value with no view ahead, and of one at another place than the kernel is at. */
const HERE = 0;
const ELSEWHERE = -1;
