/** The right side of a rule, evaluated: once with types, to see whether it fits, and once with nodes, to make it. */
import {
  DitcError,
  formatType,
  sameShape,
  type Attrs,
  type AttrValue,
  type Node,
  type TensorType,
} from '../ir/index.ts';
import { opTable } from '../ops/index.ts';
import type { Env } from './match.ts';
import { lastAxis, NEUTRAL, rootsOf, type Call, type Operand, type Rule, type Term } from './rule.ts';

/** A rule at one place: its shared names, and for a family the names of each member. */
export interface Match {
  readonly rule: Rule;
  readonly shared: Env;
  readonly members: readonly Env[];
}

/** The nodes that a name stands for: none for an absent operand, several for a family. */
export function valuesOf(match: Match, { name, family }: Pick<Term, 'name' | 'family'>): Node[] {
  const envs = family ? match.members : [match.shared];
  return envs.flatMap(({ values }) => values.get(name) ?? []);
}

/** What the match replaces. */
export const replacedBy = (match: Match): Node[] => rootsOf(match.rule).flatMap((root) => valuesOf(match, root.target));

/** Values of some kind (nodes, or just their types) that ops apply to. */
interface Algebra<T> {
  /** The value that stands for a node of the match. */
  lookup(node: Node): T;
  type(value: T): TensorType;
  apply(op: string, inputs: readonly T[], attrs: Attrs): T;
}

export type NodeAlgebra = Algebra<Node>;

const TYPES: Algebra<TensorType> = {
  lookup: (node) => node.type,
  type: (value) => value,
  apply: (op, inputs, attrs) => opTable.infer(op, inputs, attrs),
};

/** Whether the right side has the types of what it replaces. A rule over other shapes than it takes does not apply. */
export function fits(match: Match): boolean {
  try {
    const made = rewriteWith(match, TYPES);
    return replacedBy(match).every((node) => formatType(made.get(node)!) === formatType(node.type));
  } catch (error) {
    if (error instanceof DitcError) return false;
    throw error;
  }
}

/** The replacement of each value that the match replaces. */
export function rewriteWith<T>(match: Match, algebra: Algebra<T>): Map<Node, T> {
  return new Rewriter(match, algebra).run();
}

class Rewriter<T> {
  private readonly match: Match;
  private readonly algebra: Algebra<T>;
  private readonly made = new Map<string, T[]>();

  constructor(match: Match, algebra: Algebra<T>) {
    this.match = match;
    this.algebra = algebra;
  }

  run(): Map<Node, T> {
    const replaced = new Map<Node, T>();
    for (const { target, call } of this.match.rule.rewrite) {
      const nodes = valuesOf(this.match, target);
      const values = call.op === 'split' ? this.split(call, nodes) : [this.call(call)];
      this.made.set(target.name, values);
      nodes.forEach((node, i) => replaced.set(node, values[i]));
    }
    return replaced;
  }

  private call(call: Call): T {
    const operands = call.operands.flatMap((x) => this.operand(x));
    // A sum or product that lacks an operand is the other one.
    if (call.op in NEUTRAL && operands.length === 1 && typeof operands[0] !== 'number') return operands[0];
    const dtype = this.dtype(operands);
    const inputs = operands.map((x) => (typeof x === 'number' ? this.constant(x, dtype) : x));
    if (call.op !== 'transpose') return this.algebra.apply(call.op, inputs, this.attrs(call, inputs));
    const rank = this.algebra.type(inputs[0]).shape.length;
    const perm = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
    return this.algebra.apply('permute', inputs, { perm });
  }

  private operand(x: Operand): (T | number)[] {
    if (x.kind === 'call') return this.isAbsent(x) ? [] : [this.call(x)];
    if (x.kind === 'number') return [x.value];
    if (x.kind === 'scalar') return [this.scalar(x.name)];
    return this.made.get(x.name) ?? valuesOf(this.match, x).map((node) => this.algebra.lookup(node));
  }

  /** A call of absent operands is absent: a family without biases has no bias of its own. */
  private isAbsent(call: Call): boolean {
    return call.operands.length > 0 && call.operands.every((x) => !this.operand(x).length);
  }

  private dtype(operands: readonly (T | number)[]) {
    const value = operands.find((x) => typeof x !== 'number') as T | undefined;
    return value === undefined ? 'f32' : this.algebra.type(value).dtype;
  }

  private constant = (value: number, dtype: string): T =>
    this.algebra.apply('constant', [], { dtype, shape: [], value });

  private scalar(name: string): number {
    return this.match.shared.scalars.get(name) as number;
  }

  private attrs(call: Call, [first]: readonly T[]): Attrs {
    const entries = Object.entries(call.attrs).map(([name, term]): [string, AttrValue] => {
      if (term.kind === 'literal') return [name, term.value];
      if (term.kind === 'last') return [name, lastAxis(term, this.algebra.type(first).shape.length)];
      // A lone scalar may stand for any attribute, such as a list of axes.
      const [factor] = term.factors;
      if (term.factors.length === 1 && typeof factor === 'string')
        return [name, this.match.shared.scalars.get(factor)!];
      const factors = term.factors.map((x) => (typeof x === 'number' ? x : this.scalar(x)));
      return [name, factors.reduce((a, b) => a * b, NEUTRAL.mul)];
    });
    return Object.fromEntries(entries);
  }

  /** Consecutive pieces of the last axis, of the members' lengths. */
  private split(call: Call, members: readonly Node[]): T[] {
    const [whole] = call.operands.flatMap((x) => this.operand(x)) as T[];
    const { shape } = this.algebra.type(whole);
    const last = shape.length - 1;
    let offset = 0;
    return members.map(({ type }) => {
      const length = type.shape[type.shape.length - 1];
      const start = shape.map((_, i) => (i === last ? offset : 0));
      const size = shape.map((n, i) => (i === last ? length : n));
      offset += length;
      if (sameShape(size, shape)) return whole;
      return this.algebra.apply('slice', [whole], { start, size, step: shape.map(() => 1) });
    });
  }
}
