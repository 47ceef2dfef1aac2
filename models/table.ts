/** Constants that depend on a step, as one table in the graph. */
import { constant, type Tensor } from '../compiler/dsl/index.ts';

/** Columns of one table, read at a step: every column's entry, of index's shape. */
export function lookUp<K extends string>(columns: Record<K, ArrayLike<number>>, index: Tensor): Record<K, Tensor> {
  const names = Object.keys(columns) as K[];
  const steps = columns[names[0]].length;
  const rows = Array.from({ length: steps }, (_, j) => names.map((name) => columns[name][j])).flat();
  const entries = constant(rows, [steps, names.length]).gather(index).unstack(-1);
  return Object.fromEntries(names.map((name, i) => [name, entries[i]])) as Record<K, Tensor>;
}
