/** The view whose index is data: rows of a table. */
import { formatType, isInteger, sizeOf } from '../ir/index.ts';
import { defineOp, expectArity, free, shapeError } from './define.ts';
import { dense } from './dense.ts';
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
  // Row r of the table's gradient sums dy over the positions that read row r: a fixed order, no atomics.
  gradient: ({ f, inputs: [table, index], dy }) => {
    const rows = table.type.shape[0];
    const count = sizeOf(index.type.shape);
    const rest = table.type.shape.slice(1);
    const flat = f.reshape(index, [1, count]);
    const bounded = f.max(f.min(flat, rows - 1), 0);
    const hit = f.compare('eq', bounded, f.iota(index.type.dtype, [rows, count], 0));
    const oneHot = f.cast(hit, dy.type.dtype);
    const grad = f.matmul(oneHot, f.reshape(dy, [count, sizeOf(rest)]));
    return [f.reshape(grad, table.type.shape), null];
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
