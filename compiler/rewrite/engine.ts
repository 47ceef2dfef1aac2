/**
 * Applies rules until none fires. A sweep reads the graph in topological order and takes every match that overlaps no
 * earlier one, then rebuilds the graph with all of them replaced. The order of nodes, rules and readings is fixed, so the
 * same graph gives the same result.
 */
import {
  DitcError,
  GraphBuilder,
  labelsOf,
  mapGraph,
  nodesOf,
  results,
  usersOf,
  type Graph,
  type Node,
  type Remarks,
} from '../ir/index.ts';
import { opTable } from '../ops/index.ts';
import { fits, replacedBy, rewriteWith, valuesOf, type Match, type NodeAlgebra } from './build.ts';
import { EMPTY, matchEquation, type Env } from './match.ts';
import { NONE_APART, type Apart } from './packs.ts';
import { PREDICATES, type Surroundings } from './predicates.ts';
import { freeTerms, rootsOf, type Equation, type Rule } from './rule.ts';

/** Sweeps before rules are said to undo each other. Real graphs settle in two or three. */
const MAX_SWEEPS = 100;

/** What has fired. */
export class RewriteStats {
  readonly hits = new Map<string, number>();
  /** One entry a firing, in order: the rule, and name and place of the first value it replaced. */
  readonly firings: { readonly rule: string; readonly value?: string; readonly at?: string }[] = [];

  count({ rule }: Match, [first]: readonly Node[]): void {
    this.hits.set(rule.name, (this.hits.get(rule.name) ?? 0) + 1);
    this.firings.push({ rule: rule.name, value: first.name, at: first.loc });
  }
}

export interface RewriteOptions {
  /** The most bytes one binding of the device may have. Unlimited unless told. */
  readonly maxBindingBytes?: number;
  /** The most buffers a kernel of the device may read. Unlimited unless told. */
  readonly maxReads?: number;
  /** Joins of parameters that are not to be made. */
  readonly apart?: Apart;
  readonly stats?: RewriteStats;
  readonly remarks?: Remarks;
}

/** @throws DitcError `rules` when they do not come to an end, naming those that still fire. */
export function applyRules(graph: Graph, rules: readonly Rule[], options: RewriteOptions = {}): Graph {
  let current = graph;
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    const swept = new Sweep(current, rules, options);
    const taken = swept.matches();
    if (!taken.size) {
      // What an earlier sweep refused may have matched since: only the last refusals stand.
      swept.refusals.forEach((why, match) => options.remarks?.missed(by(match), concerns(match), why));
      return current;
    }
    for (const match of new Set(taken.values())) {
      options.stats?.count(match, replacedBy(match));
      options.remarks?.applied(by(match), concerns(match), match.rule.equation);
    }
    current = replace(current, taken);
  }
  const last = new Sweep(current, rules, options).matches();
  const names = [...new Set([...last.values()].map((match) => match.rule.name))].join(', ');
  throw new DitcError({
    code: 'rules',
    what: `@${graph.name}: rules still fire after ${MAX_SWEEPS} sweeps`,
    why: names,
    fix: 'one undoes what another does, or its own condition: a right side must be simpler than its left side',
  });
}

const by = ({ rule }: Match): string => `rule ${rule.name}`;

/** The values that a match replaces or does away with, then those it reads. */
const concerns = (match: Match): Node[] => [...new Set([...matchedBy(match).reverse(), ...operandsOf(match)])];

class Sweep {
  /** Why matches were not taken: of each rule and value the first refusal. */
  readonly refusals = new Map<Match, string>();
  private readonly nodes: readonly Node[];
  private readonly around: Surroundings;
  private readonly rulesFor = new Map<string, Rule[]>();
  /** Values that a match of this sweep has read on its left side. */
  private readonly claimed = new Set<Node>();
  /** The match that replaces each value. */
  private readonly taken = new Map<Node, Match>();
  /** The first match at the value now looked at that was not admitted. */
  private refused?: [Match, string];

  constructor(graph: Graph, rules: readonly Rule[], options: RewriteOptions) {
    this.nodes = nodesOf(graph);
    this.around = {
      users: usersOf(this.nodes),
      returned: new Set(results(graph)),
      updated: new Set(graph.updates.map((update) => update.state)),
      updates: new Set(graph.updates.map((update) => update.node)),
      apart: options.apart ?? NONE_APART,
      maxBindingBytes: options.maxBindingBytes ?? Infinity,
      maxReads: options.maxReads ?? Infinity,
    };
    for (const rule of rules) {
      const { op } = rootsOf(rule)[0].call;
      this.rulesFor.set(op, [...(this.rulesFor.get(op) ?? []), rule]);
    }
  }

  matches(): ReadonlyMap<Node, Match> {
    for (const node of this.nodes) {
      for (const rule of this.rulesFor.get(node.op) ?? []) {
        if (this.claimed.has(node)) break;
        const match = this.matchAt(rule, node);
        if (match) this.take(match);
        else if (this.refused) this.refusals.set(...this.refused);
      }
    }
    return this.taken;
  }

  private take(match: Match): void {
    for (const node of replacedBy(match)) this.taken.set(node, match);
    for (const node of matchedBy(match)) this.claimed.add(node);
  }

  private matchAt(rule: Rule, node: Node): Match | undefined {
    this.refused = undefined;
    const [first, ...others] = rootsOf(rule);
    for (const env of matchEquation(rule, first.target.name, node, EMPTY)) {
      if (first.target.family) {
        const match = this.grow(rule, first, env);
        if (match) return match;
      } else {
        for (const shared of this.remaining(rule, others, env)) {
          const match: Match = { rule, shared, members: [] };
          if (this.admits(match)) return match;
        }
      }
    }
    return undefined;
  }

  /** A family grows, reader by reader in topological order, while the conditions hold. */
  private grow(rule: Rule, root: Equation, env: Env): Match | undefined {
    const isOwn = ([name]: [string, unknown]) => name.endsWith('*');
    const shared: Env = { values: new Map([...env.values].filter((x) => !isOwn(x))), scalars: env.scalars };
    let match: Match = { rule, shared, members: [env] };
    for (const node of this.candidates(root, shared)) {
      if (match.members.some((member) => member.values.get(root.target.name) === node)) continue;
      for (const member of matchEquation(rule, root.target.name, node, shared)) {
        const larger = { ...match, members: [...match.members, member] };
        if (!this.admits(larger)) continue;
        match = larger;
        break;
      }
    }
    return match.members.length > 1 ? match : undefined;
  }

  /** The other results of a match with several, found through the operands it already knows. */
  private *remaining(rule: Rule, roots: readonly Equation[], env: Env): Generator<Env> {
    const [root, ...others] = roots;
    if (!root) {
      yield env;
      return;
    }
    const known = new Set(rootsOf(rule).flatMap((r) => env.values.get(r.target.name) ?? []));
    for (const node of this.candidates(root, env)) {
      if (known.has(node)) continue;
      for (const next of matchEquation(rule, root.target.name, node, env)) yield* this.remaining(rule, others, next);
    }
  }

  /** The nodes that an equation may define: readers of an operand that is known, or all of its op. */
  private candidates({ call }: Equation, env: Env): Node[] {
    const operand = call.operands.find((x) => x.kind === 'value' && env.values.has(x.name));
    const known = operand?.kind === 'value' && env.values.get(operand.name);
    const nodes = known ? (this.around.users.get(known) ?? []) : this.nodes;
    return nodes.filter((node) => node.op === call.op && !this.claimed.has(node));
  }

  private admits(match: Match): boolean {
    const why = this.obstacle(match);
    if (why !== undefined) this.refused ??= [match, why];
    return why === undefined;
  }

  private obstacle(match: Match): string | undefined {
    for (const { predicate, args } of match.rule.when) {
      const values = args.flatMap((arg) => valuesOf(match, arg));
      const why = PREDICATES[predicate].obstacle(values, this.around);
      if (why !== undefined) return `${predicate}(${args.map((arg) => arg.name).join(', ')}) fails: ${why}`;
    }
    const claimed = matchedBy(match).filter((node) => this.claimed.has(node));
    if (claimed.length) return `another match has taken ${labelsOf(claimed)}`;
    if (!fits(match)) return 'its right side has other types here';
    return this.isCyclic(match) ? 'one of its results is computed from another' : undefined;
  }

  /**
   * Whether one result would be computed from another: replaced together, each is computed from all operands. A single
   * result cannot be, for its operands come before it.
   */
  private isCyclic(match: Match): boolean {
    const roots = new Set(replacedBy(match));
    if (roots.size < 2) return false;
    const seen = new Set<Node>();
    const stack = operandsOf(match);
    while (stack.length) {
      const node = stack.pop()!;
      if (roots.has(node)) return true;
      if (seen.has(node)) continue;
      seen.add(node);
      stack.push(...dependencies(node, this.taken));
    }
    return false;
  }
}

/** Every value that the left side defines: what is replaced, and what is between it and the operands. */
const matchedBy = (match: Match): Node[] => match.rule.match.flatMap(({ target }) => valuesOf(match, target));

const operandsOf = (match: Match): Node[] =>
  freeTerms(match.rule).flatMap((term) => (term.kind === 'value' ? valuesOf(match, term) : []));

/** What the right side of a rule may read. */
const readsOf = (match: Match): Node[] => {
  const replaced = new Set(replacedBy(match));
  const names = match.rule.rewrite.flatMap(({ call }) => namesIn(call));
  return names.flatMap((term) => valuesOf(match, term)).filter((node) => !replaced.has(node));
};

const namesIn = (call: Equation['call']): { name: string; family: boolean }[] =>
  call.operands.flatMap((x) => (x.kind === 'call' ? namesIn(x) : x.kind === 'value' ? [x] : []));

const dependencies = (node: Node, taken: ReadonlyMap<Node, Match>): readonly Node[] => {
  const match = taken.get(node);
  return match ? readsOf(match) : node.inputs;
};

/** The graph with every match replaced. Names and places go over to the replacements. */
function replace(graph: Graph, taken: ReadonlyMap<Node, Match>): Graph {
  const builder = new GraphBuilder(opTable);
  const mapped = new Map<Node, Node>();
  for (const root of nodesOf(graph)) {
    const stack = [root];
    while (stack.length) {
      const node = stack[stack.length - 1];
      const missing = dependencies(node, taken).filter((n) => !mapped.has(n));
      if (!mapped.has(node) && missing.length) {
        stack.push(...missing.reverse());
        continue;
      }
      stack.pop();
      if (!mapped.has(node)) make(node);
    }
  }
  return mapGraph(graph, (node) => mapped.get(node)!);

  function make(node: Node): void {
    const match = taken.get(node);
    const algebra: NodeAlgebra = {
      lookup: (n) => mapped.get(n)!,
      type: (n) => n.type,
      apply: (op, inputs, attrs) => {
        const made = builder.apply(op, inputs, attrs);
        made.loc ??= node.loc;
        return made;
      },
    };
    const made = match
      ? rewriteWith(match, algebra)
      : new Map([[node, builder.apply(node.op, node.inputs.map(algebra.lookup), node.attrs, node)]]);
    for (const [from, to] of made) {
      to.name ??= from.name;
      to.loc ??= from.loc;
      to.origin ??= from.origin;
      mapped.set(from, to);
    }
  }
}
