/** Every op that can be computed for all values of a counter at once, against one value at a time in the interpreter. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, sizeOf, type Node } from '../../../compiler/ir/index.ts';
import { allOps, dense, Functional, interpretNodes, opDef, opTable, Random } from '../../../compiler/ops/index.ts';
import { vectorise } from '../../../compiler/rewrite/vectorise.ts';
import { drawValues, opCase } from '../../helpers/samples.ts';

const COUNT = 3;
/**
 * What vectorise has no rule for: leaves have no operands, derivatives are in no loop of a sampler, and a loop within a step and slices
 * that it writes stay there.
 */
const WITHOUT_RULE = ['input', 'param', 'state', 'constant', 'iota', 'fold', 'gradient', 'loop', 'write_slice'];
const RULED = allOps().filter(({ name }) => !WITHOUT_RULE.includes(name));

/** One case of an op with some operands many-valued; undefined when that combination has no rule. */
function check(name: string, seed: number): 'checked' | 'no rule' {
  const { sample, node } = opCase(opDef(name), seed);
  const random = new Random(seed);
  const many = sample.inputs.map(() => random.next() < 0.6);
  if (!many.some(Boolean)) many[0] = true;
  const values = sample.inputs.map((type, i) =>
    Array.from({ length: many[i] ? COUNT : 1 }, () => drawValues(random, type, sample.ranges?.[i])),
  );
  const builder = new GraphBuilder(opTable);
  const operands = sample.inputs.map((type, i) => ({
    node: builder.apply('input', [], {
      name: `x${i}`,
      dtype: type.dtype,
      shape: [...(many[i] ? [COUNT] : []), ...type.shape],
    }),
    many: many[i],
  }));
  const made = vectorise(new Functional(builder), node, operands, COUNT);
  if (!made) return 'no rule';
  const bindings = Object.fromEntries(values.map((rows, i) => [`x${i}`, rows.flatMap((row) => [...row])]));
  const all = interpretNodes(nodesBefore(made), bindings).get(made)!;
  expect(made.type).toEqual({ dtype: node.type.dtype, shape: [COUNT, ...node.type.shape] });
  const size = sizeOf(node.type.shape);
  for (let row = 0; row < COUNT; row++) {
    const inputs = sample.inputs.map((type, i) => dense(type, values[i][many[i] ? row : 0]));
    const one = opDef(name).reference(inputs, node.attrs, node.type);
    expect([...all.data.subarray(row * size, (row + 1) * size)]).toEqual([...one.data]);
  }
  return 'checked';
}

function nodesBefore(root: Node): Node[] {
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    node.inputs.forEach(visit);
  };
  visit(root);
  return [...seen].sort((a, b) => a.id - b.id);
}

describe('an op for all values of a counter equals one value at a time', () => {
  it.each(RULED.map(({ name }) => name))('%s', (name) => {
    const outcomes = Array.from({ length: 20 }, (_, seed) => check(name, seed));
    expect(outcomes).toContain('checked');
  });
});
