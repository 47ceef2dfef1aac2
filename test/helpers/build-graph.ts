/** Graphs of tests, written with the functional builder. */
import { GraphBuilder, type Graph, type Node } from '../../compiler/ir/index.ts';
import { Functional, opTable } from '../../compiler/ops/index.ts';

/** Declares an input of f32. */
export type Input = (name: string, shape: readonly number[]) => Node;

/** A graph of what `build` returns, its outputs `out0`, `out1`, … */
export function graphOf(build: (f: Functional, input: Input) => readonly Node[]): Graph {
  const f = new Functional(new GraphBuilder(opTable));
  const inputs: Node[] = [];
  const input: Input = (name, shape) => {
    const node = f.op('input', [], { name, dtype: 'f32', shape });
    inputs.push(node);
    return node;
  };
  const outputs = build(f, input).map((node, i) => ({ name: `out${i}`, node }));
  return { name: 'test', inputs, outputs, updates: [] };
}
