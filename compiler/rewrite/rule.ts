/**
 * A rewrite rule as data, as rules/*.rules holds it and rule-parse.ts reads it:
 *
 *     # the equation, in one line
 *     rule name {
 *       match   { … }   values of the graph, named: `%y = op(…)`, calls nest, `%x` is any value, `$s` a constant number
 *       when    { … }   conditions from predicates.ts
 *       rewrite { … }   what the results of the match become; the rest is left for dead
 *       sample  { … }   shapes of the free values, of parameters (`param`) and masks (`bool`), for the test that proves the rule
 *     }
 *
 * One name is one value throughout. Operands of commutative ops match either way round. Attributes are written out, as
 * `{eps = $e}` or `{axis = 0}`: a call without them has none; `last` is the last axis of the first operand. `%bias?` and `$s?` may be absent, where they are the last
 * operand: add, mul and scale then stand for their other operand ($s is neutral), and other ops do without. `%y*` is a family: all values that fit, as many as the conditions allow, at least two.
 * `transpose(x)` swaps the last two axes, in any notation of it; `scale(x, $s)` is a product with a constant or a quotient
 * by one; `split(x)` cuts the last axis into the family it is assigned to.
 */

/** A reference to a value (`%q`, `%w*`, `%bias?`) or to a number (`$s`, `$s?`). */
export interface Term {
  readonly kind: 'value' | 'scalar';
  /** With its sigil, and the star of a family: `%q`, `%w*`, `$s`. */
  readonly name: string;
  readonly family: boolean;
  readonly optional: boolean;
  readonly at: string;
}

export interface Call {
  readonly kind: 'call';
  readonly op: string;
  readonly operands: readonly Operand[];
  readonly attrs: Readonly<Record<string, AttrTerm>>;
  readonly at: string;
}

export type Operand = Call | Term | { readonly kind: 'number'; readonly value: number };

/** An attribute: a product of numbers and captured scalars, the last axis of the first operand (alone, or in a list), or something literal. */
export type AttrTerm =
  | { readonly kind: 'product'; readonly factors: readonly (string | number)[] }
  | { readonly kind: 'last'; readonly inList: boolean }
  | { readonly kind: 'literal'; readonly value: string | boolean | readonly number[] };

/** `%y = call`. */
export interface Equation {
  readonly target: Term;
  readonly call: Call;
}

export interface Condition {
  readonly predicate: string;
  readonly args: readonly Term[];
  readonly at: string;
}

/** Shape of a free value in a proof: sizes are drawn once for each letter, `n*` for each member, `...` is any batch. */
export interface SampleShape {
  readonly value: Term;
  /** `value`: f32 of any origin; `param`: a parameter; `bool`: a mask. */
  readonly kind: 'value' | 'param' | 'bool';
  readonly sizes: readonly (string | number)[];
}

export interface Rule {
  readonly name: string;
  /** The comment above the rule. */
  readonly equation: string;
  readonly match: readonly Equation[];
  readonly when: readonly Condition[];
  readonly rewrite: readonly Equation[];
  readonly sample: readonly SampleShape[];
  /** `file:line:col`. */
  readonly at: string;
}

/** Calls that are no ops: notations for several ways to write one thing. */
export const NOTATIONS: ReadonlySet<string> = new Set(['transpose', 'scale', 'split']);
/** The operand that changes nothing, for calls whose second operand may be absent. */
export const NEUTRAL: Readonly<Record<string, number>> = { add: 0, mul: 1, scale: 1 };

/** What a match replaces: the values no other equation of the match reads. */
export function rootsOf(rule: Rule): Equation[] {
  const read = new Set(rule.match.flatMap(({ call }) => termsOf(call).map((term) => term.name)));
  return rule.match.filter(({ target }) => !read.has(target.name));
}

/** The values that a match finds in the graph and leaves there, and the scalars: its free names. */
export function freeTerms(rule: Rule): Term[] {
  const defined = new Set(rule.match.map(({ target }) => target.name));
  const free = new Map<string, Term>();
  for (const { call } of rule.match) {
    for (const term of termsOf(call)) if (!defined.has(term.name) && !free.has(term.name)) free.set(term.name, term);
  }
  return [...free.values()];
}

/** Every reference in a call, in order; `$s` of attributes are not among them. */
export function termsOf(call: Call): Term[] {
  return call.operands.flatMap((x) => (x.kind === 'call' ? termsOf(x) : x.kind === 'number' ? [] : [x]));
}

/** Scalars that attributes of a call mention. */
export function attrScalars(call: Call): string[] {
  const own = Object.values(call.attrs).flatMap((attr) => (attr.kind === 'product' ? attr.factors : []));
  const nested = call.operands.flatMap((x) => (x.kind === 'call' ? attrScalars(x) : []));
  return [...own.filter((factor) => typeof factor === 'string'), ...nested];
}

/** What `last` stands for in a call whose first operand is of that rank. */
export const lastAxis = ({ inList }: { readonly inList: boolean }, rank: number): number | readonly number[] =>
  inList ? [rank - 1] : rank - 1;
