/** Loops that are not unrolled: the body is traced once, compiled once, and replayed for every turn. */
import { DitcError, formatShape, formatType, GraphBuilder, nodesOf, type Attrs, type Graph, type Node } from '../ir/index.ts'; // prettier-ignore
import { opDef, opTable } from '../ops/index.ts';
import { argument, calling, flag, kindOf, options, takes, tensor, type Argument } from './arguments.ts';
import { isCount } from './count.ts';
import { misuse, Tensor } from './tensor.ts';
import { currentPlace, currentTrace, type Trace } from './trace.ts';

/** One tensor, or several in a list or by their names. */
export type Tensors = Tensor | readonly Tensor[] | Readonly<Record<string, Tensor>>;

/** As they are given: a list of as many, an object of the same names. */
type Alike<T> = T extends Tensor ? Tensor : { [K in keyof T]: Tensor };

const structure = (name: string): Argument => ({
  name,
  expects: (value) => {
    const what = 'a tensor, or a list or an object of tensors';
    const isPlain = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
    const all: unknown[] = Array.isArray(value) || isPlain ? Object.values(value as object) : [value];
    return all.some((one) => tensor(name).expects(one)) ? what : undefined;
  },
});

const isStructure = (value: unknown): value is Tensors => value !== undefined && !structure('').expects(value);

/**
 * [carry, ys] of a loop over the first axis of `xs`: each turn is `[carry, y] = step(carry, x, i)` with the carry of the turn before,
 * x = xs[i] and the turn's number i (i32); ys are the y of all turns, stacked. JAX's lax.scan. The body is compiled once, however many
 * turns there are. What is carried keeps its type; what the step reads from around it is computed once, before. `reverse`: from
 * the last to the first. Has gradients.
 */
export const scan = takes(
  'scan',
  [
    argument('step', 'a function of carry, x and i', isFunction),
    structure('init'),
    structure('xs'),
    options('options', [flag('reverse')]),
  ],
  <C extends Tensors, X extends Tensors, Y extends Tensors | undefined>(
    step: (carry: Alike<C>, x: Alike<X>, i: Tensor) => readonly [carry: Alike<C>, y?: Y],
    init: C,
    xs: X,
    { reverse = false }: { reverse?: boolean } = {},
  ): [carry: Alike<C>, ys: Y extends Tensors ? Alike<Y> : undefined] => {
    const [first, ...others] = leavesOf(xs);
    if (!first) throw misuse('scan: xs holds no tensor', 'its first axis says how many turns there are', 'loop without slices by foriLoop'); // prettier-ignore
    const shapes = [first, ...others].map(({ shape }) => formatShape(shape));
    if (!first.rank || others.some((x) => x.shape[0] !== first.shape[0]))
      throw misuse('scan: xs differ in their first axis', shapes.join(' and '), 'give all of them an axis of turns, the first'); // prettier-ignore
    const [carry, ys] = loop('scan', step as Step, init, xs, { count: first.shape[0], reverse });
    return [carry as Alike<C>, ys as Y extends Tensors ? Alike<Y> : undefined];
  },
);

/**
 * What is carried after `count` turns of `carry = step(carry, i)`: a sampler, a solver, a block that is run again and again. JAX's
 * lax.fori_loop; otherwise as `scan`.
 */
export const foriLoop = takes(
  'foriLoop',
  [
    argument('count', 'a whole number from 1 to 2147483647: of turns', isCount),
    argument('step', 'a function of carry and i', isFunction),
    structure('init'),
  ],
  <C extends Tensors>(count: number, step: (carry: Alike<C>, i: Tensor) => Alike<C>, init: C): Alike<C> => {
    const body: Step = (carry, _xs, i) => [step(carry as Alike<C>, i)];
    return loop('foriLoop', body, init, [], { count, reverse: false })[0] as Alike<C>;
  },
);

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

type Step = (carry: Tensors, x: Tensors, i: Tensor) => readonly [carry: unknown, y?: unknown];

const leavesOf = (tensors: Tensors): Tensor[] => (tensors instanceof Tensor ? [tensors] : Object.values(tensors));

const namesOf = (tensors: Tensors, alone: string): string[] =>
  tensors instanceof Tensor
    ? [alone]
    : Object.keys(tensors).map((key) => (Array.isArray(tensors) ? `${alone}${key}` : key));

/** Tensors in the structure that others are in. */
function like(tensors: Tensors, values: readonly Tensor[]): Tensors {
  if (tensors instanceof Tensor) return values[0];
  if (Array.isArray(tensors)) return [...values];
  return Object.fromEntries(Object.keys(tensors).map((key, i) => [key, values[i]]));
}

function loop(
  call: keyof typeof STEP_RETURNS,
  step: Step,
  init: Tensors,
  xs: Tensors,
  { count, reverse }: { readonly count: number; readonly reverse: boolean },
): [Tensors, Tensors?] {
  const trace = currentTrace();
  const where = currentPlace();
  const [carried, sliced] = [leavesOf(init), leavesOf(xs)];
  const given = (name: string, { node }: Tensor, shape = node.type.shape): Tensor =>
    new Tensor(placeholder(trace, name, { dtype: node.type.dtype, shape }));
  const [names, xNames] = [namesOf(init, 'carry'), namesOf(xs, 'x')];
  const carries = carried.map((tensor, i) => given(names[i], tensor));
  const slices = sliced.map((tensor, i) => given(xNames[i], tensor, tensor.shape.slice(1)));
  const turn = new Tensor(placeholder(trace, 'i', { dtype: 'i32', shape: [] }));
  trace.loops.push(call);
  const returned = calling(() => step(like(init, carries), like(xs, slices), turn));
  const [next, y] = resultsOf(call, returned, init);
  trace.loops.pop();
  const after = leavesOf(next);
  after.forEach((tensor, i) => {
    const [was, is] = [carries[i], tensor].map(({ node }) => formatType(node.type));
    if (was === is) return;
    const why = `it is ${was} before, and ${is} after`;
    throw misuse(`${call}: a turn changes the type of ${names[i]}, which it carries`, why, 'reshape or cast it');
  });
  const stacked = y ? leavesOf(y) : [];
  const placeholders = [...carries, ...slices, turn].map(({ node }) => node);
  const outputs = [...after, ...stacked].map(({ node }) => node);
  const { body, captured } = bodyOf(call, placeholders, outputs);
  const inputs = [...[...carried, ...sliced].map(({ node }) => node), ...captured];
  if (!inputs.length)
    throw misuse(`${call}: it carries nothing`, 'and each turn would give the same', 'give it a value to start with');
  const attrs = { body, count, carries: carries.length, slices: slices.length, ...(reverse && { reverse }) };
  const made = outputs.map((node, result) => {
    const value = trace.builder.apply('loop', inputs, { ...attrs, result });
    value.name ??= node.name;
    value.loc ??= where;
    return new Tensor(value);
  });
  return [like(init, made.slice(0, carries.length)), y && like(y, made.slice(carries.length))];
}

/** What the step of a loop is to do, in an error's words. */
export const STEP_RETURNS = { scan: 'return [carry, y], or [carry]', foriLoop: 'return what is carried' };

/** What a step returned: what is carried on, in the structure that it was given in, and what is stacked. */
function resultsOf(call: keyof typeof STEP_RETURNS, returned: unknown, init: Tensors): [Tensors, Tensors?] {
  const [next, y] = (Array.isArray(returned) ? returned : [returned]) as [Tensors, Tensors?];
  const isAlike = isStructure(next) && namesOf(next, '').join() === namesOf(init, '').join();
  if (isAlike && (y === undefined || isStructure(y))) return [next, y];
  const carry = init instanceof Tensor ? 'a tensor' : `{ ${namesOf(init, '').join(', ')} }`;
  const why = isAlike
    ? 'what is stacked must be tensors of this entry'
    : `it carries ${carry}, and the step gives ${kindOf(next)}`;
  throw misuse(`${call}: the step does not return what it carries`, why, STEP_RETURNS[call]);
}

/** What stands for a value that differs from turn to turn. */
function placeholder(trace: Trace, name: string, type: Attrs): Node {
  const node = trace.builder.apply('input', [], { ...type, name: `${name}~${trace.placeholders.size}` });
  node.name ??= name;
  trace.placeholders.add(node);
  return node;
}

/** The graph from placeholders to results, and what it reads from around it. Literals, and what is made of nothing else, it has itself. */
function bodyOf(
  call: string,
  placeholders: readonly Node[],
  results: readonly Node[],
): { body: Graph; captured: Node[] } {
  const outputs = results.map((node, i) => ({ name: `out${i}`, node }));
  const nodes = nodesOf({ name: call, inputs: placeholders, outputs, updates: [] });
  const own = new Set(placeholders);
  for (const node of nodes) if (node.inputs.some((input) => own.has(input))) own.add(node);
  const read = new Set([...results, ...[...own].flatMap(({ inputs }) => inputs)]);
  const literal = new Set<Node>();
  for (const node of nodes)
    if (isLiteral(node) || (isCheap(node) && node.inputs.every((n) => literal.has(n)))) literal.add(node);
  const captured = nodes.filter((node) => read.has(node) && !own.has(node) && !literal.has(node));
  const builder = new GraphBuilder(opTable);
  const taken = new Set<string>();
  const mapped = new Map<Node, Node>();
  const [turn, ...others] = [...placeholders].reverse();
  const inputs = [...others.reverse(), ...captured, turn].map((node) => {
    const { dtype, shape } = node.type;
    const base = String(own.has(node) ? node.name : (node.attrs.name ?? node.name ?? node.op)).replace(
      /[^\p{L}\d_$]/gu,
      '_',
    );
    const name = fresh(base, taken);
    mapped.set(node, builder.apply('input', [], { name, dtype, shape }, { ...node, name }));
    return mapped.get(node)!;
  });
  for (const node of nodes) {
    if (mapped.has(node) || !(own.has(node) || literal.has(node))) continue;
    mapped.set(node, builder.apply(node.op, node.inputs.map((input) => mapped.get(input)!), node.attrs, node)); // prettier-ignore
  }
  const named = outputs.map(({ name, node }) => ({ name, node: mapped.get(node)! }));
  return { body: { name: call, inputs, outputs: named, updates: [] }, captured };
}

const isLiteral = ({ op, attrs, inputs }: Node): boolean => !inputs.length && opDef(op).leaf?.isStored(attrs) === false;

const isCheap = ({ op, inputs }: Node): boolean =>
  inputs.length > 0 && (opDef(op).kind === 'pointwise' || opDef(op).kind === 'view');

function fresh(base: string, taken: Set<string>): string {
  let name = base;
  for (let i = 1; taken.has(name); i++) name = `${base}_${i}`;
  taken.add(name);
  return name;
}

/** The graph. Throws where an entry uses a value of a loop's body outside of it. */
export function checkedPlaceholders(graph: Graph, { placeholders }: Trace): Graph {
  if (!placeholders.size) return graph;
  const nodes = nodesOf(graph);
  const leaked = nodes.find((node) => placeholders.has(node));
  if (!leaked) return graph;
  // What the model's author has named, not what the loop calls its own.
  const made = nodes.find(({ inputs }) => inputs.includes(leaked));
  const what = `${made?.name ?? leaked.name ?? 'a value'} differs from turn to turn of a loop, and is used outside of it`;
  throw new DitcError({ code: 'loop', where: made?.loc, what, fix: 'return it from the step: carried, or stacked' });
}
