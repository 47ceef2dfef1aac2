/**
 * Reverse-mode differentiation: from graph to graph, by the gradients in the op records. The result is made of ordinary
 * nodes in the same builder, so it is optimised, fused and differentiated again like anything else. Griewank & Walther 2008.
 */
import { DitcError, formatType, isFloat, sameShape, sizeOf, type Node } from '../ir/index.ts';
import { opDef, type Functional } from '../ops/index.ts';

/**
 * dloss/dw for each w of `wrt`, of w's shape and dtype. `loss` has one element. A w that the loss does not depend on, or
 * only through ops without a gradient (integers, comparisons, `detach`), gets zeros. If one w is computed from another,
 * each derivative counts every path.
 */
export function gradients(f: Functional, loss: Node, wrt: readonly Node[]): Node[] {
  checkLoss(loss);
  for (const node of wrt) checkVariable(node);
  const active = activeNodes(loss, new Set(wrt));
  const total = new Map<Node, Node>();
  const firstNew = f.builder.size;
  if (active.has(loss)) total.set(loss, f.constant(1, loss.type.dtype, loss.type.shape));
  const { like } = f;
  for (const node of [...active].sort((a, b) => b.id - a.id)) {
    const dy = total.get(node);
    if (!dy) continue;
    if (dy.id >= firstNew) dy.name ??= gradientName(node);
    f.like = node;
    for (const [operand, part] of operandGradients(f, node, dy)) {
      if (!active.has(operand)) continue;
      const sum = total.get(operand);
      total.set(operand, sum ? f.add(sum, part) : part);
    }
  }
  f.like = like;
  return wrt.map((w) => total.get(w) ?? f.zeros(w.type.shape, w.type.dtype));
}

/** Nodes on a differentiable path from a variable to the loss: the only ones whose gradient is wanted. */
function activeNodes(loss: Node, wrt: ReadonlySet<Node>): Set<Node> {
  const active = new Set<Node>();
  for (const node of ancestors(loss)) {
    const passes = () => opDef(node.op).gradient !== 'none' && node.inputs.some((input) => active.has(input));
    if (isFloat(node.type.dtype) && (wrt.has(node) || passes())) active.add(node);
  }
  return active;
}

/** A node and all it is computed from, in topological order. */
function ancestors(root: Node): Node[] {
  const seen = new Set<Node>();
  const stack = [root];
  while (stack.length) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** What each operand of `node` receives for dy, summed back over the axes it was broadcast along. */
function operandGradients(f: Functional, node: Node, dy: Node): [Node, Node][] {
  const { gradient } = opDef(node.op);
  if (gradient === 'none') return [];
  const parts = gradient({ f, inputs: node.inputs, attrs: node.attrs, out: node, dy });
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
