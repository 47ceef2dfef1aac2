/**
 * One op for many values of a counter at once: operands marked `many` have a new leading axis, one entry per value, and so
 * has the result. The op's record has the rule; where there is none, the op is not worth hoisting and stays in the loop.
 */
import type { Attrs, Node } from '../ir/index.ts';
import { attrList, opDef, type Functional, type ManyBuilder, type ManyOperand } from '../ops/index.ts';

/** `original` for all `count` values of the counter. At least one operand is `many`; undefined when there is no rule. */
export function vectorise(
  f: Functional,
  original: Node,
  operands: readonly ManyOperand[],
  count: number,
): Node | undefined {
  const { kind, many } = opDef(original.op);
  const build = builderFor(f, original, count);
  if (many) return many(original, operands, build);
  if (kind === 'pointwise') return build.apply(operands.map(build.aligned));
  if (kind !== 'reduce') return undefined;
  const axes = attrList(original.attrs, 'axes').map((axis) => axis + 1);
  return build.apply([operands[0].node], { axes });
}

function builderFor(f: Functional, original: Node, count: number): ManyBuilder {
  const { op, attrs, type } = original;
  const ones = (n: number) => Array<number>(type.shape.length - n).fill(1);
  const aligned = ({ node, many }: ManyOperand): Node => {
    if (!many) return node;
    const [, ...rest] = node.type.shape;
    return f.reshape(node, [count, ...ones(rest.length), ...rest]);
  };
  const repeated = ({ node, many }: ManyOperand): Node =>
    many ? node : f.broadcast(node, [count, ...node.type.shape]);
  return {
    f,
    count,
    apply: (inputs, changed: Attrs = {}) => f.builder.apply(op, inputs, { ...attrs, ...changed }, original),
    aligned,
    repeated,
    widened(x) {
      const { shape } = x.node.type;
      return x.many ? aligned(x) : f.broadcast(x.node, [count, ...ones(shape.length), ...shape]);
    },
  };
}
