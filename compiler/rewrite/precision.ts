/**
 * Lower precision: contractions multiply f16 and add up in f32. What they read is stored in f16 where nothing but sums reads it
 * too; so is what several read of a layer (a linear, an attention). Parameters that only contractions read, and that no entry
 * updates, are f16 from load on. All else stays f32: residual streams, statistics, softmax, losses, gradients of weights,
 * optimisers. Micikevicius et al. 2018, "Mixed Precision Training".
 *
 * Before: y = linear(gelu(h), w, b)              After: y = linear(cast(gelu(h), f16), w16, b) {dtype = f32}
 *
 * It runs where the gradients are in place already: they are formed of f32 values, and their contractions become f16 alike.
 */
import { isFloat, nodesOf, rebuild, results, usersOf, type Graph, type GraphBuilder, type Node } from '../ir/index.ts';
import { opDef, opTable, isSum } from '../ops/index.ts';
import { packConflicts } from './pack-conflicts.ts';
import { isApart, isPack, nameOf, NONE_APART } from './packs.ts';

const MAX_F16 = 65504;
/** What models are made of: other contractions are gradients, of weights too, and sums of exponentials. */
const LAYERS: ReadonlySet<string> = new Set(['linear', 'attention']);

const factorsOf = (node: Node): readonly Node[] => node.inputs.slice(0, opDef(node.op).factors ?? 0);

/** What a view reads the elements of; none for other ops. */
const viewed = (node: Node): readonly Node[] =>
  opDef(node.op).kind === 'view' ? node.inputs.filter(({ type }) => isFloat(type.dtype)) : [];

/** Leaves that a contraction reads through views alone. */
const leavesBehind = (node: Node): Node[] => {
  const inner = viewed(node);
  return inner.length ? inner.flatMap(leavesBehind) : node.inputs.length ? [] : [node];
};

/**
 * The pass. What the graphs of a model read is of one dtype in all of them; a pack that could not be laid out as f16 stays f32. It ends:
 * each round but the last takes names out of `halves`.
 */
export function lowerAll(graphs: readonly Graph[]): readonly Graph[] {
  const known = packConflicts(graphs, NONE_APART);
  let halves = halfParams(graphs);
  for (;;) {
    const lowered = graphs.map((graph) => lowerPrecision(graph, halves));
    const lost = packConflicts(lowered, known);
    const inLost = ({ inputs }: Node) => isApart(inputs, lost) && !isApart(inputs, known);
    const packs = lowered.flatMap((graph) => nodesOf(graph).filter((node) => isPack(node) && inLost(node)));
    const wide = new Set(packs.flatMap(({ inputs }) => inputs.map(nameOf)));
    const kept = new Set([...halves].filter((name) => !wide.has(name)));
    if (kept.size === halves.size) return lowered;
    halves = kept;
  }
}

/** The parameters, by name, that the graphs of a model have as f16: contractions multiply them, and no graph updates them. */
export function halfParams(graphs: readonly Graph[]): ReadonlySet<string> {
  const updated = new Set(graphs.flatMap(({ updates }) => updates.map(({ state }) => state.attrs.name)));
  const multiplied = graphs.flatMap((graph) => nodesOf(graph).flatMap((node) => factorsOf(node).flatMap(leavesBehind)));
  const names = multiplied.filter(
    (leaf) => leaf.op === 'param' && leaf.type.dtype === 'f32' && !updated.has(leaf.attrs.name),
  );
  return new Set(names.map(nameOf));
}

/** Contractions of f16 factors. `params`: those to be f16 themselves; the graph's own unless told. */
export function lowerPrecision(graph: Graph, params: ReadonlySet<string> = halfParams([graph])): Graph {
  const narrowing = new Narrowing(graph, params);
  return rebuild(graph, opTable, (node, inputs, builder) => narrowing.rewrite(node, inputs, builder));
}

class Narrowing {
  private readonly params: ReadonlySet<string>;
  /** What each value of the old graph is in the new one: in its own dtype, and in f16. */
  private readonly wide = new Map<Node, Node>();
  private readonly narrow = new Map<Node, Node>();
  /** Values of the old graph of which memory holds no more than f16. */
  private readonly rounded = new Set<Node>();
  private readonly users: ReadonlyMap<Node, readonly Node[]>;
  private readonly returned: ReadonlySet<Node>;

  constructor(graph: Graph, params: ReadonlySet<string>) {
    this.params = params;
    this.users = usersOf(nodesOf(graph));
    this.returned = new Set(results(graph));
  }

  rewrite(node: Node, inputs: readonly Node[], builder: GraphBuilder): Node {
    const made = this.replaced(node, inputs, builder) ?? builder.apply(node.op, inputs, node.attrs, node);
    this.wide.set(node, made);
    return made;
  }

  private replaced(node: Node, inputs: readonly Node[], builder: GraphBuilder): Node | undefined {
    if (node.type.dtype !== 'f32') return undefined;
    if (node.op === 'param' && this.params.has(String(node.attrs.name))) {
      const half = builder.apply('param', [], { ...node.attrs, dtype: 'f16' }, node);
      this.narrow.set(node, half);
      return builder.apply('cast', [half], { dtype: 'f32' });
    }
    if (isSum(node) && this.isSummed(node.inputs[0]))
      return builder.apply(node.op, [widened(this.half(node.inputs[0], builder), builder)], node.attrs, node);
    const inner = viewed(node);
    if (inner.length && inner.every((x) => this.rounded.has(x))) {
      this.rounded.add(node);
      return widened(this.half(node, builder), builder);
    }
    return multiplies(node) ? this.contraction(node, inputs, builder) : undefined;
  }

  private contraction(node: Node, inputs: readonly Node[], builder: GraphBuilder): Node {
    const factors = factorsOf(node);
    const halves = factors.map((factor) => this.half(factor, builder));
    const operands = [...halves, ...inputs.slice(factors.length)];
    const made = builder.apply(node.op, operands, { ...node.attrs, dtype: 'f32' }, node);
    if (!LAYERS.has(node.op) || this.isReturned(node) || this.readersOf(node).length < 2) return made;
    const half = builder.apply('cast', [made], { dtype: 'f16' }, node);
    this.narrow.set(node, half);
    this.rounded.add(node);
    return widened(half, builder);
  }

  /** Whether contractions and sums are all that reads a value: the gradient of a layer's result, which its bias adds up. */
  private isSummed(node: Node): boolean {
    const value = behindViews(node);
    if (!value.inputs.length || this.isReturned(value)) return false;
    const readers = this.readersOf(value);
    return readers.some(multiplies) && readers.every((x) => multiplies(x) || isSum(x));
  }

  /** Who reads a value, through views or not. */
  private readersOf(node: Node): Node[] {
    return this.users.get(node)!.flatMap((user) => (viewed(user).includes(node) ? this.readersOf(user) : [user]));
  }

  private isReturned(node: Node): boolean {
    const views = this.users.get(node)!.filter((user) => viewed(user).includes(node));
    return this.returned.has(node) || views.some((view) => this.isReturned(view));
  }

  /** A value as f16. The cast goes before its views: it is then part of the kernel that computes the value. */
  private half(node: Node, builder: GraphBuilder): Node {
    const known = this.narrow.get(node);
    if (known) return known;
    const made = this.makeHalf(node, builder);
    this.narrow.set(node, made);
    return made;
  }

  private makeHalf(node: Node, builder: GraphBuilder): Node {
    if (node.op === 'constant') return builder.apply('constant', [], { ...node.attrs, dtype: 'f16' }, node);
    // One f16 copy of a pack that the graph updates: casts of its parameters would be no pack.
    const isWide = isPack(node) && !node.inputs.some((x) => this.params.has(String(x.attrs.name)));
    if (isWide || !viewed(node).length) return builder.apply('cast', [this.wide.get(node)!], { dtype: 'f16' }, node);
    const inputs = node.inputs.map((x) => (isFloat(x.type.dtype) ? this.half(x, builder) : this.wide.get(x)!));
    return builder.apply(node.op, inputs, node.attrs, node);
  }
}

const widened = (half: Node, builder: GraphBuilder): Node => builder.apply('cast', [half], { dtype: 'f32' });

/** Whether it is a contraction whose factors are to be f16. */
const multiplies = (node: Node): boolean => factorsOf(node).length > 0 && factorsOf(node).every(fitsHalf);

const behindViews = (node: Node): Node => (viewed(node).length === 1 ? behindViews(viewed(node)[0]) : node);

/** Whether none of the constants in a factor is beyond f16: such a product stays f32. */
function fitsHalf(node: Node): boolean {
  if (Math.abs(opDef(node.op).view?.filler?.(node.attrs) ?? 0) > MAX_F16) return false;
  if (node.op !== 'constant') return viewed(node).every(fitsHalf);
  const { data, value } = node.attrs;
  return data instanceof Float64Array ? data.every((x) => Math.abs(x) <= MAX_F16) : Math.abs(Number(value)) <= MAX_F16;
}
