/**
 * One op for many values of a counter at once: operands marked `many` have a new leading axis, one entry per value, and so
 * has the result. The rules follow the op's kind; where there is none, the op is not worth hoisting and stays in the loop.
 */
import type { Node } from '../ir/index.ts';
import { attrList, attrNumber, opDef, type Functional } from '../ops/index.ts';

export interface Operand {
  readonly node: Node;
  /** Whether it has the leading axis. */
  readonly many: boolean;
}

/** `original` for all `count` values of the counter. At least one operand is `many`; undefined when there is no rule. */
export function vectorise(
  f: Functional,
  original: Node,
  operands: readonly Operand[],
  count: number,
): Node | undefined {
  const { op, attrs } = original;
  const { shape } = original.type;
  const rank = shape.length;
  const [x] = operands;
  const apply = (inputs: readonly Node[], changed: typeof attrs = attrs) =>
    f.builder.apply(op, inputs, changed, original);
  const lists = (change: Record<string, (list: readonly number[]) => readonly number[]>) =>
    apply([x.node], {
      ...attrs,
      ...Object.fromEntries(Object.entries(change).map(([name, of]) => [name, of(attrList(attrs, name))])),
    });
  const led = (first: number) => (list: readonly number[]) => [first, ...list];
  const shifted = (list: readonly number[]) => list.map((axis) => axis + 1);

  switch (op) {
    case 'reshape':
      return lists({ shape: led(count) });
    case 'permute':
      return lists({ perm: (perm) => [0, ...shifted(perm)] });
    case 'slice':
      return lists({ start: led(0), size: led(count), step: led(1) });
    case 'pad':
      return lists({ low: led(0), high: led(0) });
    case 'broadcast':
      return apply([aligned(f, x, rank)], { ...attrs, shape: [count, ...shape] });
    case 'concat':
      return apply(
        operands.map((operand) => repeated(f, operand, count)),
        { ...attrs, axis: attrNumber(attrs, 'axis') + 1 },
      );
    case 'gather':
      return x.many ? undefined : apply(operands.map(({ node }) => node));
    case 'linear':
      return operands.slice(1).some(({ many }) => many) ? undefined : apply(operands.map(({ node }) => node));
    case 'softmax':
    case 'layer_norm':
      return apply([x.node]);
    case 'matmul':
      return apply(operands.map((operand) => aligned(f, operand, rank)));
    // The queries carry the axis in any case: a bias or a mask broadcasts to the scores, and does not widen them.
    case 'attention':
    case 'attention_stats':
      return apply([widened(f, x, rank, count), ...operands.slice(1).map((operand) => aligned(f, operand, rank))]);
    // dy, the result and the rows' statistics have the batch of the scores.
    case 'attention_dq':
    case 'attention_dk':
    case 'attention_dv':
      return apply(
        operands.map((operand, i) =>
          i === 0 || i >= operands.length - 3 ? widened(f, operand, rank, count) : aligned(f, operand, rank),
        ),
      );
    case 'unfold':
      return apply([x.node], { ...attrs, axis: attrNumber(attrs, 'axis') + 1 });
    default:
      if (opDef(op).kind === 'reduce') return lists({ axes: shifted });
      if (opDef(op).kind === 'pointwise') return apply(operands.map((operand) => aligned(f, operand, rank)));
      return undefined;
  }
}

/** A value with the leading axis, and axes of size 1 after it up to `rank` more; others broadcast as they are. */
function aligned(f: Functional, { node, many }: Operand, rank: number): Node {
  if (!many) return node;
  const [count, ...rest] = node.type.shape;
  return f.reshape(node, [count, ...Array<number>(rank - rest.length).fill(1), ...rest]);
}

function widened(f: Functional, x: Operand, rank: number, count: number): Node {
  if (x.many) return aligned(f, x, rank);
  const { shape } = x.node.type;
  return f.broadcast(x.node, [count, ...Array<number>(rank - shape.length).fill(1), ...shape]);
}

const repeated = (f: Functional, { node, many }: Operand, count: number): Node =>
  many ? node : f.broadcast(node, [count, ...node.type.shape]);
