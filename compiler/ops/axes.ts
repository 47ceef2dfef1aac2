/** Where the axes of a view lead: the index map of its record, run on symbols. */
import { sizeOf, type Node, type Shape } from '../ir/index.ts';
import { IndexAlgebra, keyOf, maxOf, ZERO, type Affine, type Atom, type Part } from './affine.ts';
import { opDef, viewOf } from './define.ts';
import { broadcastIndex, type Source } from './view.ts';

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

const nameOf = (axis: number): string => `axis ${axis}`;

const symbolsOf = (shape: Shape): Index[] => shape.map((n, axis) => symbol(nameOf(axis), n - 1));

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
  const key = nameOf(axis);
  const axes = [...index.keys()].filter((a) => dependsOn(index[a], key));
  const { shape } = view.inputs[operand].type;
  const isWhole = sizeOf(axes.map((a) => shape[a])) === view.type.shape[axis];
  return isWhole && axes.every((a) => isPartOf(index[a], key)) ? axes : undefined;
}

/** The axis of a view's operand along which its own neighbours along `axis` are neighbours too, if there is one. */
export function axisBehind(view: Node, axis: number): Axis | undefined {
  const [{ operand, index }] = viewOf(view.op).sources(SYMBOLS, symbolsOf(view.type.shape), view);
  const key = nameOf(axis);
  const [along, ...others] = [...index.keys()].filter((a) => dependsOn(index[a], key));
  if (along === undefined || others.length) return undefined;
  const isStep = index[along].terms.every(({ atom, times }) => (atom.key === key ? times === 1 : !atom.part));
  return isStep ? { node: view.inputs[operand], axis: along } : undefined;
}

/** Whether every element of a view comes from the same place along the first `count` axes: it moves elements within rows. */
export function keepsLeading(view: Node, count: number): boolean {
  const { shape } = view.type;
  const own = symbolsOf(shape);
  const found = viewOf(view.op).sources(SYMBOLS, own, view);
  return found.every(({ operand, index, bounds = [] }) => {
    const size = view.inputs[operand].type.shape;
    const isSame = (axis: number) => size[axis] === shape[axis] && keyOf(index[axis]) === keyOf(own[axis]);
    return bounds.every(({ axis, from }) => axis >= count || from === 0) && [...Array(count).keys()].every(isSame);
  });
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

/** How long the axes are that meet one of a view in an axis of its operand: those of the places of windows, for one of their elements. */
export function axesBeside(view: Node, axis: number): number[] {
  const { shape } = view.type;
  const found = viewOf(view.op).sources(SYMBOLS, symbolsOf(shape), view);
  const meeting = found.flatMap(({ index }) => index.filter((ix) => dependsOn(ix, nameOf(axis))));
  const others = [...shape.keys()].filter((a) => a !== axis && meeting.some((ix) => dependsOn(ix, nameOf(a))));
  return others.map((a) => shape[a]);
}

/**
 * Whether each four of a value's elements along `axis`, from a multiple of 4 on, is such a four along the last axis of the one behind it,
 * or lies beside all of that. `behind`: the value that one is of, element by element or as a view; none where it is the one to look at.
 */
export function isFourBehind(value: Node, axis: number, behind: (node: Node) => Node | undefined): boolean {
  const { shape } = value.type;
  if (shape[axis] % 4) return false;
  const four = SYMBOLS.add(symbol('four', shape[axis] / 4 - 1, 4), symbol('place', 3));
  return isFourIn(value, symbolsOf(shape).with(axis, four), behind);
}

function isFourIn(node: Node, index: readonly Index[], behind: (node: Node) => Node | undefined): boolean {
  const next = behind(node);
  if (next) {
    const isView = opDef(node.op).kind === 'view';
    const inner = isView ? throughView(node, index) : broadcastIndex(index, next.type.shape);
    return !!inner && isFourIn(next, inner, behind);
  }
  const [last, ...others] = [...index].reverse();
  if (!last || others.some((ix) => dependsOn(ix, 'place')) || !dependsOn(last, 'place')) return false;
  const isFour = last.terms.every(({ atom, times }) => (atom.key === 'place' ? times === 1 : times % 4 === 0));
  return isFour && last.base % 4 === 0 && node.type.shape.at(-1)! % 4 === 0;
}

/** The index of a view's only operand; undefined where there are several, or where a four would be cut. */
function throughView(view: Node, index: readonly Index[]): Index[] | undefined {
  const [only, ...others] = viewOf(view.op).sources(SYMBOLS, index, view);
  if (others.length || view.inputs.length > 1) return undefined;
  const { shape } = view.inputs[0].type;
  return inside(view, only, shape);
}

/** An index within an operand that something surrounds: what that is of is of no matter, unless it cuts a four. */
function inside(view: Node, { index, bounds = [] }: Source<Symbol>, shape: Shape): Index[] | undefined {
  const inner = [...index];
  for (const { axis, from } of bounds) {
    if (view.type.shape[axis] === shape[axis]) continue;
    if (dependsOn(inner[axis], 'place')) return undefined;
    inner[axis] = symbol(`${view.id} ${axis} from ${from}`, shape[axis] - 1);
  }
  return inner;
}
