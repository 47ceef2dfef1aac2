/**
 * Reverse-mode differentiation: from graph to graph, by the gradients in the op records. The result is made of ordinary
 * nodes in the same builder, so it is optimised, fused and differentiated again like anything else. Griewank & Walther 2008.
 */
import { DitcError, formatType, isFloat, sameShape, sizeOf, type Node } from '../ir/index.ts';
import { isLoop, loopKey, opDef, type Functional } from '../ops/index.ts';
import { loopGradients } from './loops.ts';

/**
 * dloss/dw for each w of `wrt`, of w's shape and dtype. `loss` has one element. A w that the loss does not depend on, or
 * only through ops without a gradient (integers, comparisons, `detach`), gets zeros. If one w is computed from another,
 * each derivative counts every path.
 */
export function gradients(f: Functional, loss: Node, wrt: readonly Node[]): Node[] {
  checkLoss(loss);
  for (const node of wrt) checkVariable(node);
  return pullback(f, new Map([[loss, f.constant(1, loss.type.dtype, loss.type.shape)]]), wrt);
}

/** What each w of `wrt` receives when the values of `seeds` receive what these map to. */
function pullback(f: Functional, seeds: ReadonlyMap<Node, Node>, wrt: readonly Node[]): Node[] {
  const active = activeNodes([...seeds.keys()], new Set(wrt));
  const firstNew = f.builder.size;
  const total = new Map([...seeds].filter(([node]) => active.has(node)));
  const loops = new Loops(active);
  const { like } = f;
  for (const node of [...active].sort((a, b) => b.id - a.id)) {
    const dy = total.get(node);
    if (dy && dy.id >= firstNew) dy.name ??= gradientName(node);
    f.like = node;
    for (const [operand, part] of isLoop(node) ? loops.partsOf(f, node, dy) : operandGradients(f, node, dy)) {
      if (!active.has(operand)) continue;
      const sum = total.get(operand);
      total.set(operand, sum ? f.add(sum, part) : part);
    }
  }
  f.like = like;
  return wrt.map((w) => total.get(w) ?? f.zeros(w.type.shape, w.type.dtype));
}

/** Results of loops: a loop is differentiated when all that its results receive is known, which is at the first of them. */
class Loops {
  /** By loop: its first result, and what results receive. */
  private readonly known = new Map<string, { readonly first: Node; readonly dys: Map<number, Node> }>();

  constructor(private readonly active: ReadonlySet<Node>) {
    const results = [...active].filter(isLoop).sort((a, b) => b.id - a.id);
    for (const first of results) this.known.set(loopKey(first), { first, dys: new Map() });
  }

  partsOf(f: Functional, node: Node, dy: Node | undefined): [Node, Node][] {
    const { first, dys } = this.known.get(loopKey(node))!;
    if (dy) dys.set(node.attrs.result as number, dy);
    if (node !== first || !dys.size) return [];
    const parts = loopGradients(f, { node, dys, isWanted: (operand) => this.active.has(operand) }, pullback);
    return fitted(f, node, parts);
  }
}

/** Nodes on a differentiable path from a variable to a value that receives something: the only ones whose gradient is wanted. */
function activeNodes(seeded: readonly Node[], wrt: ReadonlySet<Node>): Set<Node> {
  const active = new Set<Node>();
  for (const node of ancestors(seeded)) {
    const passes = () => opDef(node.op).gradient !== 'none' && node.inputs.some((input) => active.has(input));
    if (isFloat(node.type.dtype) && (wrt.has(node) || passes())) active.add(node);
  }
  return active;
}

/** Nodes and all they are computed from, in topological order. */
function ancestors(roots: readonly Node[]): Node[] {
  const seen = new Set<Node>();
  const stack = [...roots];
  while (stack.length) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** What each operand of `node` receives for dy, summed back over the axes it was broadcast along. */
function operandGradients(f: Functional, node: Node, dy: Node | undefined): [Node, Node][] {
  const { gradient } = opDef(node.op);
  if (gradient === 'none' || !dy) return [];
  return fitted(f, node, gradient({ f, inputs: node.inputs, attrs: node.attrs, out: node, dy }));
}

function fitted(f: Functional, node: Node, parts: readonly (Node | null)[]): [Node, Node][] {
  return node.inputs.flatMap((operand, i): [Node, Node][] => {
    const part = parts[i];
    if (!part || !isFloat(operand.type.dtype)) return [];
    return [[operand, fit(f, node, operand, part)]];
  });
}

function fit(f: Functional, node: Node, operand: Node, part: Node): Node {
  const { shape, dtype } = operand.type;
  const summed = f.sumTo(part, shape);
  if (summed.type.dtype === dtype && sameShape(summed.type.shape, shape)) return summed;
  const what = `gradient of ${node.op}: an operand ${formatType(operand.type)} receives ${formatType(part.type)}`;
  throw new DitcError({ code: 'gradient', where: node.loc, what, fix: 'correct the op record in compiler/ops' });
}

/** `d_q` for the variable q or the weight q. */
function gradientName(node: Node): string | undefined {
  const name = typeof node.attrs.name === 'string' ? node.attrs.name : node.name;
  return name && `d_${name}`;
}

function checkLoss(loss: Node): void {
  if (!isFloat(loss.type.dtype)) {
    const what = `gradient: the loss is ${formatType(loss.type)}, not a floating-point number`;
    throw new DitcError({ code: 'gradient', where: loss.loc, what, fix: 'cast it to f32' });
  }
  if (sizeOf(loss.type.shape) !== 1) {
    const what = `gradient: the loss is not a scalar`;
    const why = `${loss.name ?? loss.op} is ${formatType(loss.type)}`;
    throw new DitcError({ code: 'gradient', where: loss.loc, what, why, fix: 'reduce it with mean() or sum()' });
  }
}

function checkVariable(node: Node): void {
  if (isFloat(node.type.dtype)) return;
  const what = `gradient: cannot differentiate with respect to ${node.op} of type ${formatType(node.type)}`;
  throw new DitcError({ code: 'gradient', where: node.loc, what, fix: 'only f32 and f16 values have gradients' });
}
