/** The verifier of fusions: what every pass, and what comes after, may assume. Throws a VerifyError that names the rule broken. */
import { labelOf, VerifyError, type Node } from '../ir/index.ts';
import { boxOf, opDef, isBijection, writesSlice } from '../ops/index.ts';
import { isRejected } from '../plans/family.ts';
import { planFor } from '../plans/registry.ts';
import { whyNotComputable } from './computable.ts';
import { tornBy } from './concats.ts';
import type { FusionContext } from './context.ts';
import { givenBy, ownedBy, type Fusion, type FusionGroup } from './group.ts';
import { readsOf } from './slice.ts';
import { isStored } from './storage.ts';
import { buffersOf, storedIn } from './windows.ts';

/**
 * Before values are chosen to be stored, kernels read what any group gives. `before` has been found right: groups that are of it too, and
 * find the same values in memory, still are.
 */
export function verifyFusion(fusion: Fusion, context: FusionContext, before?: Fusion): Fusion {
  const { groups, stored, concats } = fusion;
  const inMemory = inMemoryOf(fusion);
  const isSame = before?.concats === concats && sameSet(inMemoryOf(before), inMemory);
  const known = new Set(isSame ? before.groups : []);
  const changed = groups.filter((group) => !known.has(group));
  for (const group of changed) checkShape(group, fusion);
  checkOwners(fusion);
  for (const group of changed) checkKernel(group, inMemory, fusion);
  for (const group of changed) checkPlan(group, inMemory, fusion, context);
  if (!stored.size) return fusion;
  checkStored(fusion, context);
  checkOrder(fusion);
  return fusion;
}

const inMemoryOf = ({ groups, stored }: Fusion): ReadonlySet<Node> => (stored.size ? stored : givenBy(groups));

const sameSet = (a: ReadonlySet<Node>, b: ReadonlySet<Node>): boolean =>
  a === b || (a.size === b.size && [...a].every((node) => b.has(node)));

function broken(fusion: Fusion, node: Node, rule: string, why?: string): never {
  const what = `verify: fusion @${fusion.graph.name}: ${labelOf(node)}: ${rule}`;
  throw new VerifyError({ code: 'verify', where: node.loc, what, why }, node);
}

/** A group has what its kind is for, and nothing of another's. */
function checkShape(group: FusionGroup, fusion: Fusion): void {
  const { kind, root, anchor, reductions, sums, totals, pieces, views } = group;
  const isKind = (node: Node, op: string) => opDef(node.op).kind === op;
  if ((kind === 'contraction') !== (anchor !== undefined))
    broken(fusion, root, 'a contraction, and no other group, has an anchor');
  if (anchor && !isKind(anchor, 'contract')) broken(fusion, anchor, 'an anchor is a contraction');
  if (kind === 'row' && !reductions.length) broken(fusion, root, 'a row group reduces something');
  if (kind === 'map' && reductions.length) broken(fusion, root, 'a map reduces nothing');
  const others = [...sums, ...totals, ...(pieces?.reductions ?? [])];
  if (others.length && !anchor) broken(fusion, root, 'sums, totals and pieces are of a contraction');
  const wrong = [...reductions, ...others].find((node) => !isKind(node, 'reduce'));
  if (wrong) broken(fusion, wrong, 'what a group reduces is a reduction');
  const view = views.find((node) => !isBijection(node) && !(anchor && boxOf(node)) && !writesSlice(node));
  if (view) broken(fusion, view, 'views between the domain and a result have each element once');
}

/** No value is computed by two groups, but what any reader may compute. */
function checkOwners(fusion: Fusion): void {
  const owner = new Map<Node, FusionGroup>();
  for (const group of fusion.groups) {
    for (const node of new Set([...ownedBy(group), ...group.results.map((result) => result.node)])) {
      const other = owner.get(node);
      if (other) broken(fusion, node, 'two groups compute it', `${labelOf(other.root)} and ${labelOf(group.root)}`);
      owner.set(node, group);
    }
  }
}

/** One kernel can compute all that a group gives, from memory that it does not write. */
function checkKernel(group: FusionGroup, stored: ReadonlySet<Node>, fusion: Fusion): void {
  const { anchor, reductions, sums, totals, pieces } = group;
  const own = new Set([...(anchor ? [anchor] : []), ...reductions, ...sums, ...totals, ...(pieces?.reductions ?? [])]);
  const why = whyNotComputable(group, (node) => isStored(node) || (stored.has(node) && !own.has(node)));
  if (why) broken(fusion, group.root, 'one kernel cannot compute the group', why);
  const [torn] = tornBy(group, stored, fusion.concats);
  if (torn) broken(fusion, group.root, 'it reads something of a concatenation and writes a part of it', labelOf(torn));
}

/** Its plan computes all of a group. */
function checkPlan(group: FusionGroup, stored: ReadonlySet<Node>, fusion: Fusion, { device }: FusionContext): void {
  if (!group.plan) return;
  const plan = planFor({ ...group, reads: [...readsOf(group, stored)] }, device, group.plan);
  if (isRejected(plan)) broken(fusion, group.root, `${group.plan.family} does not compute the group`, plan.rejected);
}

/** What lies in memory is given by a group or is made of parts that are; results of the graph are among it. */
function checkStored({ ...fusion }: Fusion, { given }: FusionContext): void {
  const { groups, stored, concats } = fusion;
  const made = givenBy(groups);
  for (const node of stored)
    if (!made.has(node) && !concats.has(node)) broken(fusion, node, 'it is stored, and no group gives it');
  for (const node of given) if (!stored.has(node)) broken(fusion, node, 'it is a result of the graph, and not stored');
  for (const [concat, parts] of concats) {
    const missing = parts.find((part) => !made.has(part));
    if (missing) broken(fusion, concat, 'no group gives a part of it', labelOf(missing));
  }
}

/** There is an order in which each group comes after those that write what it reads. */
function checkOrder(fusion: Fusion): void {
  const { groups, stored } = fusion;
  const writer = new Map(groups.flatMap((group) => group.results.map(({ node }) => [node, group] as const)));
  const isBuffer = buffersOf(groups);
  const state = new Map<FusionGroup, 'open' | 'done'>();
  const before = (group: FusionGroup) =>
    [...readsOf(group, stored)].flatMap((node) => storedIn(node, isBuffer)).flatMap((node) => writer.get(node) ?? []);
  for (const start of groups) {
    const stack: (readonly [group: FusionGroup, isLeft: boolean])[] = [[start, false]];
    for (let next = stack.pop(); next; next = stack.pop()) {
      const [group, isLeft] = next;
      if (isLeft) state.set(group, 'done');
      if (isLeft || state.get(group) === 'done') continue;
      if (state.get(group) === 'open') broken(fusion, group.root, 'its group waits for itself');
      state.set(group, 'open');
      stack.push([group, true], ...before(group).map((other) => [other, false] as const));
    }
  }
}
