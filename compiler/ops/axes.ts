/** Where the axes of a view lead: the index map of its record, run on symbols. */
import { sizeOf, type Node, type Shape } from '../ir/index.ts';
import { IndexAlgebra, keyOf, maxOf, ZERO, type Affine, type Atom, type Part } from './affine.ts';
import { viewOf } from './define.ts';

interface Symbol extends Atom {
  /** Of an index that is data: where in the data. */
  readonly at?: readonly Affine<Symbol>[];
}

type Index = Affine<Symbol>;

class Symbols extends IndexAlgebra<Symbol> {
  protected partOf(part: Part<Symbol>, max: number): Symbol {
    return { key: `(${keyOf(part.of)}) ${part.kind} ${part.by}`, max, part };
  }

  element(node: Node, at: readonly Index[], last: number): Index {
    return symbol(`${node.id}[${at.map(keyOf).join(',')}]`, last, 1, at);
  }
}

const SYMBOLS = new Symbols();

const symbol = (key: string, max: number, times = 1, at?: readonly Index[]): Index =>
  max === 0 ? ZERO : { base: 0, terms: [{ atom: { key, max, at }, times }] };

const symbolsOf = (shape: Shape): Index[] => shape.map((n, axis) => symbol(`axis ${axis}`, n - 1));

const dependsOn = ({ terms }: Index, key: string): boolean =>
  terms.some(
    ({ atom }) =>
      atom.key === key || (atom.part && dependsOn(atom.part.of, key)) || atom.at?.some((ix) => dependsOn(ix, key)),
  );

/** Whether an index is a symbol, or a part of it, and nothing else. */
const isPartOf = ({ base, terms }: Index, key: string): boolean =>
  base === 0 &&
  terms.length === 1 &&
  terms[0].times === 1 &&
  (terms[0].atom.key === key || isInOrder(terms[0].atom.part, key));

const isInOrder = (part: Part<Symbol> | undefined, key: string): boolean =>
  !!part && part.kind !== 'opposite' && isPartOf(part.of, key);

/**
 * The axes of a view's operand that one of its own is made of, outermost first: of a reshape that joins axes, these. Undefined where
 * they depend on others too, only some of their elements are there, or there are several operands.
 */
export function axesBehind(view: Node, axis: number): number[] | undefined {
  const [{ operand, index }, ...others] = viewOf(view.op).sources(SYMBOLS, symbolsOf(view.type.shape), view);
  if (others.length) return undefined;
  const key = `axis ${axis}`;
  const axes = [...index.keys()].filter((a) => dependsOn(index[a], key));
  const { shape } = view.inputs[operand].type;
  const isWhole = sizeOf(axes.map((a) => shape[a])) === view.type.shape[axis];
  return isWhole && axes.every((a) => isPartOf(index[a], key)) ? axes : undefined;
}

/** The axis of a view's operand along which its own neighbours along `axis` are neighbours too, if there is one. */
export function axisBehind(view: Node, axis: number): Axis | undefined {
  const [{ operand, index }] = viewOf(view.op).sources(SYMBOLS, symbolsOf(view.type.shape), view);
  const key = `axis ${axis}`;
  const [along, ...others] = [...index.keys()].filter((a) => dependsOn(index[a], key));
  if (along === undefined || others.length) return undefined;
  const isStep = index[along].terms.every(({ atom, times }) => (atom.key === key ? times === 1 : !atom.part));
  return isStep ? { node: view.inputs[operand], axis: along } : undefined;
}

/** An axis of a value. */
export interface Axis {
  readonly node: Node;
  readonly axis: number;
}

/**
 * The axes of a view's operands, one for each that it may show, along which each four of its elements along `axis`, from a multiple
 * of 4 on, are such a four too; undefined where they are not.
 */
export function foursBehind(view: Node, axis: number): Axis[] | undefined {
  const { sources, filler } = viewOf(view.op);
  if (filler) return undefined;
  const { shape } = view.type;
  const place = SYMBOLS.add(symbol('four', Math.ceil(shape[axis] / 4) - 1, 4), symbol('place', 3));
  const found = sources(SYMBOLS, symbolsOf(shape).with(axis, place), view).map(({ operand, index, bounds = [] }) => {
    const [along, ...others] = [...index.keys()].filter((a) => dependsOn(index[a], 'place'));
    if (along === undefined || others.length || bounds.some(({ axis: a, from }) => a === along && from % 4 !== 0))
      return undefined;
    const { base, terms } = index[along];
    const isFour = terms.every(({ atom, times }) => (atom.key === 'place' ? times === 1 : times % 4 === 0));
    return base % 4 === 0 && isFour ? { node: view.inputs[operand], axis: along } : undefined;
  });
  return found.every((x) => x !== undefined) ? found : undefined;
}

/**
 * The axis of a view along which it falls into `count` equal parts, of which each shows one of those of its operand along `axis`;
 * undefined where it mixes them.
 */
export function partedAxis(view: Node, axis: number, count: number): number | undefined {
  const [x, ...others] = view.inputs;
  const { shape } = view.type;
  if (others.length || x.type.shape[axis] % count !== 0) return undefined;
  const size = x.type.shape[axis] / count;
  const found = [...shape.keys()].find((to) => {
    if (shape[to] % count !== 0) return false;
    const within = shape[to] / count;
    const at = SYMBOLS.add(symbol('part', count - 1, within), symbol('within', within - 1));
    const [source] = viewOf(view.op).sources(SYMBOLS, symbolsOf(shape).with(to, at), view);
    return source.index.every((ix, a) => {
      if (a !== axis) return !dependsOn(ix, 'part');
      const part = ix.terms.find(({ atom }) => atom.key === 'part');
      const rest = { base: ix.base, terms: ix.terms.filter((term) => term !== part) };
      const from = source.bounds?.find((bounds) => bounds.axis === axis)?.from ?? 0;
      return from === 0 && part?.times === size && maxOf(rest) < size && !dependsOn(rest, 'part');
    });
  });
  return found;
}
