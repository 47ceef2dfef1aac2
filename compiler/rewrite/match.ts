/**
 * Finds where a rule applies. Matching backtracks: an equation yields every way to read it, and the first one that meets
 * the rule's conditions is taken.
 */
import { isGraph, ownerOf, sameShape, type AttrValue, type Node } from '../ir/index.ts';
import { attrList, attrNumber } from '../ops/index.ts';
import { lastAxis, NEUTRAL, type AttrTerm, type Call, type Operand, type Rule, type Term } from './rule.ts';

/** What the names of a rule stand for, at one place of the graph. Never changed: a guess that fails leaves no trace. */
export interface Env {
  readonly values: ReadonlyMap<string, Node>;
  readonly scalars: ReadonlyMap<string, AttrValue>;
}

export const EMPTY: Env = { values: new Map(), scalars: new Map() };

const COMMUTATIVE = new Set(['add', 'mul', 'max', 'min']);

/** Every way to read `node` as the value that an equation of the match defines. */
export function* matchEquation(rule: Rule, target: string, node: Node, env: Env): Generator<Env> {
  const definitions = new Map(rule.match.map((e) => [e.target.name, e.call]));
  yield* new Matcher(definitions).value(target, node, env);
}

class Matcher {
  private readonly definitions: ReadonlyMap<string, Call>;

  constructor(definitions: ReadonlyMap<string, Call>) {
    this.definitions = definitions;
  }

  *value(name: string, node: Node, env: Env): Generator<Env> {
    const known = env.values.get(name);
    if (known) {
      if (known === node) yield env;
      return;
    }
    const call = this.definitions.get(name);
    const found = call ? this.call(call, node, env) : [env];
    for (const { values, scalars } of found) yield { values: new Map(values).set(name, node), scalars };
  }

  private *operand(pattern: Operand, node: Node, env: Env): Generator<Env> {
    if (pattern.kind === 'call') yield* this.call(pattern, node, env);
    else if (pattern.kind === 'number') yield* uniform(node) === pattern.value ? [env] : [];
    else if (pattern.kind === 'value') yield* this.value(pattern.name, node, env);
    else yield* capture(env, pattern.name, uniform(node));
  }

  private *call(call: Call, node: Node, env: Env): Generator<Env> {
    const [first, second] = call.operands;
    if (call.op === 'scale') yield* this.scale(first, second as Term, node, env);
    else if (call.op === 'transpose') yield* this.transposed(first, node, env);
    else if (call.op === node.op) yield* this.application(call, node, env);
    // An absent operand: the call is its other operand.
    if (call.op in NEUTRAL && isOptional(second)) {
      const without = second.kind === 'scalar' ? capture(env, second.name, NEUTRAL[call.op]) : [env];
      for (const next of without) yield* this.operand(first, node, next);
    }
  }

  private *application(call: Call, node: Node, env: Env): Generator<Env> {
    const [x, y] = node.inputs;
    for (const next of matchAttrs(call.attrs, node, env)) {
      if (call.operands.length === node.inputs.length) yield* this.operands(call.operands, node.inputs, next);
      else if (lacksLast(call, node)) yield* this.operands(call.operands.slice(0, -1), node.inputs, next);
      if (COMMUTATIVE.has(node.op) && x !== y) yield* this.operands(call.operands, [y, x], next);
    }
  }

  private *operands(patterns: readonly Operand[], nodes: readonly Node[], env: Env): Generator<Env> {
    if (!patterns.length) yield env;
    else {
      for (const next of this.operand(patterns[0], nodes[0], env)) {
        yield* this.operands(patterns.slice(1), nodes.slice(1), next);
      }
    }
  }

  /** A product with a constant, either way round, or a quotient by one, that keeps the shape. */
  private *scale(scaled: Operand, factor: Term, node: Node, env: Env): Generator<Env> {
    if (node.op !== 'mul' && node.op !== 'div') return;
    const [x, y] = node.inputs;
    for (const [value, by] of node.op === 'mul' ? [[x, y] as const, [y, x] as const] : [[x, y] as const]) {
      const constant = uniform(by);
      if (!constant || !sameShape(value.type.shape, node.type.shape)) continue;
      const times = node.op === 'mul' ? constant : 1 / constant;
      // By infinity: no number that attributes may be.
      if (!times || !Number.isFinite(times)) continue;
      for (const next of capture(env, factor.name, times)) yield* this.operand(scaled, value, next);
    }
  }

  private *transposed(pattern: Operand, node: Node, env: Env): Generator<Env> {
    if (node.type.shape.length >= 2) yield* this.operand(pattern, untranspose(node), env);
  }
}

const isOptional = (x: Operand): x is Term => x.kind !== 'call' && x.kind !== 'number' && x.optional;

/** Whether the node does without the operand that the op may lack, such as the bias of a linear. */
const lacksLast = ({ operands }: Call, node: Node): boolean =>
  operands.length === node.inputs.length + 1 && isOptional(operands[operands.length - 1]);

/** The value whose transpose `node` is: what is below it, or one more view, which reads through an index map. */
function untranspose(node: Node): Node {
  const { length: rank } = node.type.shape;
  const swap = Array.from({ length: rank }, (_, i) => i);
  [swap[rank - 2], swap[rank - 1]] = [rank - 1, rank - 2];
  const merged = node.op === 'permute' ? swap.map((axis) => attrList(node.attrs, 'perm')[axis]) : swap;
  const source = node.op === 'permute' ? node.inputs[0] : node;
  if (merged.every((axis, i) => axis === i)) return source;
  const view = ownerOf(node)!.apply('permute', [source], { perm: merged });
  view.loc ??= node.loc;
  return view;
}

/** The number that every element of a constant is. */
const uniform = (node: Node): number | undefined =>
  node.op === 'constant' && typeof node.attrs.value === 'number' ? attrNumber(node.attrs, 'value') : undefined;

function* capture({ values, scalars }: Env, name: string, value: AttrValue | undefined): Generator<Env> {
  if (value === undefined) return;
  if (!scalars.has(name)) yield { values, scalars: new Map(scalars).set(name, value) };
  else if (equal(scalars.get(name)!, value)) yield { values, scalars };
}

/** All attributes of the node are written in the rule, and agree. */
function* matchAttrs(attrs: Readonly<Record<string, AttrTerm>>, node: Node, env: Env): Generator<Env> {
  if (!sameKeys(attrs, node.attrs)) return;
  let next: Env | undefined = env;
  for (const [name, term] of Object.entries(attrs)) {
    const value: AttrValue = node.attrs[name];
    if (term.kind === 'last') next = equal(lastAxis(term, node.inputs[0].type.shape.length), value) ? next : undefined;
    else if (term.kind === 'literal') next = equal(term.value, value) ? next : undefined;
    else if (typeof term.factors[0] === 'number') next = term.factors[0] === value ? next : undefined;
    else [next] = [...capture(next, term.factors[0], value)];
    if (!next) return;
  }
  yield next;
}

const sameKeys = (a: object, b: object): boolean => String(Object.keys(a).sort()) === String(Object.keys(b).sort());

const equal = (a: AttrValue, b: AttrValue): boolean =>
  typeof a === 'object' && typeof b === 'object' && !isGraph(a) && !isGraph(b)
    ? a.length === b.length && Array.from(a).every((x, i) => Object.is(x, b[i]))
    : Object.is(a, b);
