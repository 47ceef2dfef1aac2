/**
 * Values that one binding cannot hold are computed and read in parts. A product too large is cut along its first axis that
 * divides (images, then rows: the channels of a convolution), and what follows is done part by part: pointwise ops, views and
 * reductions along the cut as they are, products that contract over it as sums of products of the parts. The algebra is exact.
 */
import { byteSize, labelOf, rebuild, type Graph, type Node, type Remarks, type Shape } from '../ir/index.ts';
import { attrList, combinerOf, Functional, isProduct, opDef, opTable, partedAxis, viewOf } from '../ops/index.ts';
import { maxBindingOf, type Limits } from './recognise.ts';

/** What a DeviceSpec says of it. */
type Device = Limits & { readonly name: string };

/** A value as equal parts along one axis, counted from the last (−1): so operands that broadcast agree on it. */
interface Parts {
  readonly axis: number;
  readonly nodes: readonly Node[];
}

/** Where to cut. */
interface Cut {
  readonly axis: number;
  readonly count: number;
}

export function tile(graph: Graph, { device, remarks }: { device: Device; remarks?: Remarks }): Graph {
  const most = maxBindingOf(device);
  const known = new Map<Node, Parts>();
  /** What depends on parts: a view may have mixed them, and what follows may have to be cut again, elsewhere. */
  const later = new Set<Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const kind = opDef(node.op).kind;
    const depends = node.inputs.some((x) => later.has(x));
    const starts = isProduct(node) || (kind === 'pointwise' && depends);
    const tooLarge = starts && byteSize(node.type) > most;
    if (tooLarge || depends) later.add(node);
    if (!tooLarge && !inputs.some((x) => known.has(x))) return undefined;
    const f = new Functional(builder);
    f.like = node;
    const tiler = new Tiler(f, known, most);
    const cut = tooLarge ? cutOf(node, most) : undefined;
    const made = tiler[kind === 'contract' ? 'product' : kind === 'leaf' ? 'whole' : kind]?.(node, inputs, cut);
    if (!made || 'op' in made) return made;
    if (cut && isProduct(node)) remark(node, made, device, remarks);
    for (const part of made.nodes) part.name ??= node.name;
    // What reads it whole reads the parts side by side.
    const joined = f.concat(made.nodes, node.type.shape.length + made.axis);
    known.set(joined, made);
    return joined;
  });
}

function remark(node: Node, { nodes }: Parts, device: Device, remarks?: Remarks): void {
  const [bytes, most] = [byteSize(node.type), maxBindingOf(device)].map((n) => n.toLocaleString('en-US'));
  const why = `${labelOf(node)} takes ${bytes} bytes and ${device.name} binds at most ${most}: computed in ${nodes.length} parts`;
  remarks?.applied('tile', [node], why);
}

/** The first axis that divides into few enough bytes each. */
function cutOf({ type }: Node, most: number): Cut | undefined {
  const least = Math.ceil(byteSize(type) / most);
  for (const [axis, size] of type.shape.entries()) {
    for (let count = least; count <= size; count++) {
      if (size % count === 0) return { axis: axis - type.shape.length, count };
    }
  }
  return undefined;
}

class Tiler {
  private readonly f: Functional;
  private readonly known: ReadonlyMap<Node, Parts>;
  /** Bytes that a binding holds. */
  private readonly most: number;

  constructor(f: Functional, known: ReadonlyMap<Node, Parts>, most: number) {
    this.f = f;
    this.known = known;
    this.most = most;
  }

  /** How a value is cut already. */
  private cut(x: Node): Cut | undefined {
    const parts = this.known.get(x);
    return parts && { axis: parts.axis, count: parts.nodes.length };
  }

  /**
   * The cut of operands, made finer where the parts of a result larger than they are would still be too large; if that cannot
   * be, the result's own, which reads the operands across their parts.
   */
  private finer({ axis, count }: Cut, { type }: Node, fresh: Cut | undefined): Cut {
    const size = type.shape[type.shape.length + axis];
    for (let n = count; n <= size; n += count) {
      if (size % n === 0 && byteSize(type) / n <= this.most) return { axis, count: n };
    }
    return fresh ?? { axis, count };
  }

  /** Part i of an operand: all of it where it broadcasts along the axis. */
  private part(x: Node, { axis, count }: Cut, i: number): Node {
    const { shape } = x.type;
    const at = shape.length + axis;
    if (at < 0 || shape[at] === 1) return x;
    const parts = this.known.get(x);
    const size = shape[at] / count;
    const along = (n: number, other: Shape) => shape.map((_, a) => (a === at ? n : other[a]));
    const stretch = (whole: Node, from: number) =>
      this.f.slice(
        whole,
        along(
          from,
          shape.map(() => 0),
        ),
        along(size, shape),
      );
    // Whole parts, or equal pieces of them.
    const pieces = parts?.axis === axis ? count / parts.nodes.length : NaN;
    if (!Number.isInteger(pieces)) return stretch(x, i * size);
    const holder = parts!.nodes[Math.floor(i / pieces)];
    return pieces === 1 ? holder : stretch(holder, (i % pieces) * size);
  }

  private each({ axis, count }: Cut, make: (i: number) => Node): Parts {
    return { axis, nodes: Array.from({ length: count }, (_, i) => make(i)) };
  }

  pointwise(node: Node, inputs: readonly Node[], fresh?: Cut): Parts | undefined {
    const given = inputs.map((x) => this.cut(x)).find(Boolean) ?? fresh;
    if (!given) return undefined;
    const cut = this.finer(given, node, fresh);
    return this.each(cut, (i) =>
      this.f.op(
        node.op,
        inputs.map((x) => this.part(x, cut, i)),
        node.attrs,
      ),
    );
  }

  reduce(node: Node, [x]: readonly Node[]): Parts | Node {
    const cut = this.cut(x)!;
    const reduced = this.each(cut, (i) => this.f.op(node.op, [this.part(x, cut, i)], node.attrs));
    if (!attrList(node.attrs, 'axes').includes(x.type.shape.length + cut.axis)) return reduced;
    const { combine } = combinerOf(node.op);
    return reduced.nodes.reduce((a, b) => this.f.op(combine, [a, b]));
  }

  /** A matrix product; attention and the like read their operands whole. */
  product(node: Node, [x, y, ...more]: readonly Node[], fresh?: Cut): Parts | Node | undefined {
    if (!isProduct(node) || more.length) return undefined;
    const given = [this.cut(x), this.cut(y)].find((cut, i) => cut && cut.axis !== [-1, -2][i]) ?? fresh;
    if (!given) return this.contract(node, x, y);
    const outer = this.finer(given, node, fresh);
    // Rows are the left operand's, columns the right one's, images both have.
    const of = (operand: Node, foreign: number, i: number) =>
      outer.axis === foreign ? operand : this.part(operand, outer, i);
    return this.each(outer, (i) => this.contract(node, of(x, -1, i), of(y, -2, i)));
  }

  /** x·y, the sum over the parts of what is contracted when either is cut along it. */
  private contract(node: Node, x: Node, y: Node): Node {
    const multiply = (a: Node, b: Node) => this.f.op(node.op, [a, b], node.attrs);
    const [left, right] = [this.cut(x), this.cut(y)];
    const count = left?.axis === -1 ? left.count : right?.axis === -2 ? right.count : 1;
    if (count === 1) return multiply(x, y);
    const products = Array.from({ length: count }, (_, i) =>
      multiply(this.part(x, { axis: -1, count }, i), this.part(y, { axis: -2, count }, i)),
    );
    return products.reduce(this.f.add);
  }

  /** A view that keeps the parts apart; undefined when it mixes them. */
  view(node: Node, inputs: readonly Node[]): Parts | undefined {
    const [x] = inputs;
    const cut = this.cut(x);
    const { narrowed } = viewOf(node.op);
    if (!cut || !narrowed) return undefined;
    const to = partedAxis(node, x.type.shape.length + cut.axis, cut.count);
    if (to === undefined) return undefined;
    const { shape } = node.type;
    const attrs = narrowed(node.attrs, to, shape[to] / cut.count, node.type);
    const made = { axis: to - shape.length, count: cut.count };
    return this.each(made, (i) => this.f.op(node.op, [this.part(x, cut, i)], attrs));
  }

  whole = (): undefined => undefined;
  composite = this.whole;
  request = this.whole;
}
