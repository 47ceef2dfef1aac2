/** The view whose index is data: rows of a table. */
import { formatType, isInteger, sizeOf, type Node } from '../ir/index.ts';
import { defineOp, expectArity, free, shapeError } from './define.ts';
import { dense } from './dense.ts';
import type { Functional } from './functional.ts';
import type { Random } from './random.ts';

export const gather = defineOp({
  name: 'gather',
  doc: 'Rows of a table: gather(table [n, …rest], index […batch]) is […batch, …rest]. Indices are clamped to [0, n−1].',
  kind: 'view',
  type: (inputs) => {
    expectArity('gather', inputs, 2);
    const [table, index] = inputs;
    if (!isInteger(index.dtype))
      throw shapeError('gather', 'indices are i32 or u32', `got ${formatType(index)}`, "cast them to 'i32'");
    if (!table.shape.length) throw shapeError('gather', 'the table needs at least one axis', undefined, 'unsqueeze it');
    return { dtype: table.dtype, shape: [...index.shape, ...table.shape.slice(1)] };
  },
  reference: ([table, index], _attrs, type) => {
    const rest = sizeOf(table.shape.slice(1));
    const out = dense(type);
    index.data.forEach((row, i) => {
      const at = Math.min(Math.max(row, 0), table.shape[0] - 1) * rest;
      out.data.set(table.data.subarray(at, at + rest), i * rest);
    });
    return out;
  },
  view: {
    sources: (ix, index, { inputs: [table, rows] }) => {
      const batch = rows.type.shape.length;
      const row = ix.element(rows, index.slice(0, batch), table.type.shape[0] - 1);
      return [{ operand: 0, index: [row, ...index.slice(batch)] }];
    },
    rows: { index: 1, table: 0 },
  },
  // Tables of tables have no rule.
  many: (_original, [table, rows], { apply }) => (table.many ? undefined : apply([table.node, rows.node])),
  // Row r of the table's gradient is the sum of dy over the positions that read it, in their order.
  gradient: ({ f, inputs: [table, index], dy }) => {
    const { shape } = table.type;
    const [rows, count, rest] = [shape[0], sizeOf(index.type.shape), sizeOf(shape.slice(1))];
    const read = f.max(f.min(f.reshape(index, [count, 1]), rows - 1), 0);
    const updates = f.reshape(dy, [count, rest]);
    const sums = rows > FEW ? f.scatterAdd(read, updates, 0, rows) : byProduct(f, read, updates, rows);
    return [f.reshape(sums, shape), null];
  },
  cost: free,
  sample: (random: Random) => {
    const table = [random.int(1, 9), ...random.shape(0, 2)];
    const dtype = random.pick(['i32', 'u32'] as const);
    return {
      inputs: [
        { dtype: 'f32', shape: table },
        { dtype, shape: random.shape(0, 2, 5) },
      ],
      attrs: {},
      ranges: [undefined, [0, table[0]]],
    };
  },
});

/** So many rows are a tile of a product, which reads an update once for all of them. */
const FEW = 64;

/** The same sums as a product: [rows, count] of 0 and 1, one for each column, with the updates. */
function byProduct(f: Functional, read: Node, updates: Node, rows: number): Node {
  const [count] = read.type.shape;
  const hit = f.compare('eq', f.reshape(read, [1, count]), f.iota(read.type.dtype, [rows, count], 0));
  return f.matmul(f.cast(hit, updates.type.dtype), updates);
}
