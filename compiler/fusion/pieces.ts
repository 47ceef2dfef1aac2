/**
 * Group norms between two products, without a kernel of their own. The first product has the values in registers when it
 * stores them: each workgroup writes the sum of every piece of a group that lies in its tile, and the sum of squares about
 * the piece's own mean. The second adds up these few numbers before it starts, and normalises as it loads. Exact, and as
 * accurate as two passes: Σ(x − μ)² = Σᵢ(Mᵢ + L·(μᵢ − μ)²) for pieces of L values (Chan, Golub & LeVeque 1979).
 */
import {
  labelOf,
  nodesOf,
  rebuild,
  results,
  sameShape,
  sizeOf,
  usersOf,
  type Graph,
  type Node,
  type Shape,
} from '../ir/index.ts';
import { attrList, Functional, opDef, opTable, isBijection, isProduct, isSum } from '../ops/index.ts';
import { limit, tooManyBuffers } from '../device.ts';
import { isRejected } from '../plans/family.ts';
import { tilesFor } from '../plans/registry.ts';
import { pieceTile, sharesTotals, type Tiles } from '../plans/tile-partials.ts';
import type { PlanningContext } from './graph-pass.ts';
import { onlyReader, unshaped } from './product-values.ts';
import { isStored } from './storage.ts';

/** Normalising costs a product some 20 operations for each load, beside 64 multiply-adds: larger ones read normalised values. */
const MOST_MACS = 2 ** 34;
/** What each workgroup loads of statistics, beside its operands: no more than hardly counts. */
const MOST_STATISTICS = 1 / 16;

/** Sums of values, and of their squares about the mean, over the last axes. */
interface Norm {
  readonly x: Node;
  readonly total: Node;
  readonly squares: Node;
}

/** A norm whose values one product computes and another reads. */
interface Between extends Norm {
  readonly producer: Node;
  readonly consumer: Node;
  /** The values as pieces. */
  readonly shape: Shape;
}

/** Group norms between two products compute their statistics in pieces. */
export function normsInPieces(graph: Graph, context: PlanningContext): Graph {
  // Whether it pays is a matter of the batch, and it changes how statistics are added up.
  if (context.device.steady) return graph;
  const between = new Products(graph, context).norms();
  const by = (key: 'total' | 'squares') => new Map(between.map((norm) => [norm[key], norm]));
  const [totals, squares] = [by('total'), by('squares')];
  const sums = new Map<Norm, readonly [pieces: Node, sum: Node]>();
  return rebuild(graph, opTable, (node, [input], builder) => {
    const norm = totals.get(node) ?? squares.get(node);
    if (!norm) return undefined;
    const f = new Functional(builder);
    f.like = node;
    const kept = norm.shape.length - 3;
    const inner = [kept, kept + 2];
    if (node === norm.total) {
      const pieces = f.reshape(input, norm.shape);
      const sum = f.sum(pieces, inner);
      sums.set(norm, [pieces, sum]);
      return f.reshape(f.sum(sum, [kept + 1]), node.type.shape);
    }
    const [pieces, sum] = sums.get(norm)!;
    const length = norm.shape[kept] * norm.shape[kept + 2];
    const mean = f.mul(sum, 1 / length);
    const [, overall] = input.inputs[0].inputs;
    const apart = f.sub(mean, f.reshape(overall, [...norm.shape.slice(0, kept), 1, 1, 1]));
    const within = f.sum(f.sum(f.square(f.sub(pieces, mean)), inner), [kept + 1]);
    const spread = f.sum(f.square(apart), [kept + 1]);
    return f.reshape(f.add(within, f.mul(spread, length)), node.type.shape);
  });
}

/** The products of a graph, what their kernels end in, and the norms between them. */
class Products {
  private readonly nodes: readonly Node[];
  readonly users: Map<Node, Node[]>;
  readonly returned: ReadonlySet<Node>;
  /** From each product's last value, all that its kernel computes after it. */
  private readonly epilogues = new Map<Node, readonly Node[]>();
  private readonly loads = new Map<Node, ReadonlySet<Node>>();
  private readonly gives = new Set<Node>();

  constructor(
    graph: Graph,
    private readonly context: PlanningContext,
  ) {
    this.nodes = nodesOf(graph);
    this.users = usersOf(this.nodes);
    this.returned = new Set(results(graph));
    for (const node of this.nodes) {
      if (!isProduct(node)) continue;
      const epilogue = this.follow(node);
      this.epilogues.set(unshaped(epilogue[epilogue.length - 1]), epilogue);
    }
  }

  norms(): Between[] {
    return this.nodes.flatMap((node) => {
      const norm = normOf(node);
      return (norm && this.between(norm)) ?? [];
    });
  }

  private between(norm: Norm): Between | undefined {
    const epilogue = this.epilogues.get(unshaped(norm.x));
    const { reader: consumer, values } = onlyReader([norm.total], this, (node) => node === norm.squares) ?? {};
    if (!epilogue || !consumer) return undefined;
    const [producer] = epilogue;
    if (!isProduct(consumer) || this.loads.has(consumer)) return undefined;
    const missed = (why: string) =>
      void this.context.remarks?.missed('pieces', [norm.squares, producer, consumer], why);
    const [giving, loading] = [producer, consumer].map((product) => tilesFor(product, this.context));
    if (isRejected(giving)) return missed(`${labelOf(producer)} has no square tiles: ${giving.rejected}`);
    if (isRejected(loading)) return missed(`${labelOf(consumer)} has no square tiles: ${loading.rejected}`);
    const shape = piecesOf(norm, epilogue, giving);
    if (!shape) return missed(`no pieces of ${labelOf(norm.x)} lie in the tiles of ${labelOf(producer)}`);
    if (!sharesTotals(loading, norm.total))
      return missed(
        `a workgroup of ${labelOf(consumer)} cannot share out ${sizeOf(norm.total.type.shape)} totals evenly`,
      );
    const dear = costsMuch(consumer, shape, loading);
    if (dear) return missed(dear);
    this.loads.set(consumer, values!);
    this.gives.add(producer);
    const crowded = [producer, consumer].find((product) => this.bindings(product) > this.most);
    if (crowded) {
      this.loads.delete(consumer);
      this.gives.delete(producer);
      return missed(tooManyBuffers(this.most, this.most - 1, `with statistics in pieces, ${labelOf(crowded)}`));
    }
    const why = `${labelOf(producer)} sums up pieces of its result, ${labelOf(consumer)} normalises as it loads`;
    this.context.remarks?.applied('pieces', [norm.squares, producer, consumer], why);
    return { ...norm, producer, consumer, shape };
  }

  private get most(): number {
    return limit(this.context.device, 'maxStorageBuffersPerShaderStage');
  }

  /** A product and what follows it in its kernel (regions.ts), as far as each value has one reader. */
  private follow(product: Node): Node[] {
    const path = [product];
    for (;;) {
      const last = path[path.length - 1];
      const [next, ...others] = this.users.get(last)!;
      if (!next || others.length || this.returned.has(last)) return path;
      const isView = isBijection(next);
      const isPointwise = opDef(next.op).kind === 'pointwise' && sameShape(next.type.shape, last.type.shape);
      if (!isView && !isPointwise) return path;
      path.push(next);
    }
  }

  /** Buffers that the product's kernel binds. Statistics in pieces are two, written or read. */
  private bindings(product: Node): number {
    const epilogue = this.follow(product);
    const inside = new Set([...epilogue, ...(this.loads.get(product) ?? [])]);
    const reads = new Set<Node>();
    const seen = new Set<Node>();
    const visit = (node: Node): void => {
      if (seen.has(node)) return;
      seen.add(node);
      const { kind } = opDef(node.op);
      if (inside.has(node) || (kind === 'view' && !isStored(node))) node.inputs.forEach(visit);
      else if (kind !== 'leaf' || isStored(node)) reads.add(node);
    };
    visit(epilogue[epilogue.length - 1]);
    return reads.size + 1 + (this.loads.has(product) ? 2 : 0) + (this.gives.has(product) ? 2 : 0);
  }
}

/** Why it does not pay that a product normalises as it loads, with statistics of such pieces; undefined where it does. */
function costsMuch(product: Node, pieces: Shape, { side, perThread }: Tiles): string | undefined {
  const depth = product.inputs[0].type.shape.at(-1)!;
  if (sizeOf(product.type.shape) * depth > MOST_MACS)
    return `${labelOf(product)} is large, and would normalise anew at every load`;
  const statistics = (2 * sizeOf(pieces)) / (pieces.at(-3)! * pieces.at(-1)!);
  return statistics > MOST_STATISTICS * 2 * side * perThread * depth
    ? `each workgroup of ${labelOf(product)} would add up ${statistics} numbers`
    : undefined;
}

/** The norm that a sum of squares belongs to. */
function normOf(squares: Node): Norm | undefined {
  if (!isSum(squares)) return undefined;
  const [square] = squares.inputs;
  const [centred, again] = square.inputs;
  if (square.op !== 'mul' || centred !== again || centred.op !== 'sub') return undefined;
  const [x, mean] = centred.inputs;
  if (mean.op !== 'mul') return undefined;
  const total = mean.inputs.find(isSum);
  const factor = mean.inputs.find(({ op }) => op === 'constant');
  if (!total || !factor || total.inputs[0] !== x || String(total.attrs.axes) !== String(squares.attrs.axes))
    return undefined;
  const length = sizeOf(x.type.shape) / sizeOf(total.type.shape);
  return Math.abs(Number(factor.attrs.value) * length - 1) < 1e-6 ? { x, total, squares } : undefined;
}

/** What is reduced, cut into pieces of the producer's tiles: [… groups, channels, tiles of the plane, places of a tile]. */
function piecesOf({ x, total }: Norm, epilogue: readonly Node[], tiles: Tiles): Shape | undefined {
  const { shape } = x.type;
  const axes = attrList(total.attrs, 'axes');
  const kept = shape.length - axes.length;
  if (!axes.every((axis, i) => axis === kept + i)) return undefined;
  const [producer] = epilogue;
  const views = epilogue.filter(({ op }) => op === 'permute');
  const [m, n] = producer.type.shape.slice(-2);
  const plane = views.length ? (views[0].inputs[0].type.shape.at(-2) ?? m) : n;
  const block = tiles.side * tiles.perThread;
  const channels = sizeOf(shape.slice(kept)) / plane;
  const pieces = [...shape.slice(0, kept), channels, plane / block, block];
  const isWhole = pieces.every(Number.isInteger);
  return isWhole && pieceTile(pieces, [kept, kept + 2], producer, views, tiles) ? pieces : undefined;
}
