/** The verifier against graphs broken by hand: each rule, by its message. */
import { describe, expect, it } from 'vitest';
import {
  DitcError,
  GraphBuilder,
  rebuild,
  verify,
  type Graph,
  type Node,
  type TensorType,
} from '../../../compiler/ir/index.ts';
import { Functional, opTable } from '../../../compiler/ops/index.ts';

const f32 = (...shape: number[]): TensorType => ({ dtype: 'f32', shape });

/** x, w, h = x·w, s (state), next = s + 1. */
function whole() {
  const f = new Functional(new GraphBuilder(opTable));
  f.builder.location = () => 'models/my.ts:41:9';
  const x = f.op('input', [], { name: 'x', ...f32(2, 3) });
  const w = f.op('param', [], { name: 'w', ...f32(3, 4) });
  const h = f.matmul(x, w);
  h.name = 'h';
  const s = f.op('state', [], { name: 'step', ...f32(1) });
  const next = f.add(s, 1);
  const graph: Graph = {
    name: 'g',
    inputs: [x],
    outputs: [{ name: 'out', node: h }],
    updates: [{ state: s, node: next }],
  };
  return { f, x, w, h, s, next, graph };
}

const broken = (node: Node, change: Partial<Node>): Node => ({ ...node, ...change });
const withOutput = (graph: Graph, node: Node): Graph => ({ ...graph, outputs: [{ name: 'out', node }] });

describe('verify', () => {
  it('accepts a graph that a builder made, and returns it', () => {
    const { graph } = whole();
    expect(verify(graph, opTable)).toBe(graph);
    verify(
      rebuild(graph, opTable, () => undefined),
      opTable,
    );
  });

  it('names the place, the graph, the node and the rule', () => {
    const { graph, h } = whole();
    const wrong = withOutput(graph, broken(h, { type: f32(2, 5) }));
    expect(() => verify(wrong, opTable)).toThrow(
      'models/my.ts:41:9: verify: @g: %h (matmul, id 2): its type is not what its op gives: f32[2,5] instead of f32[2,4]',
    );
  });

  const cases: [string, (w: ReturnType<typeof whole>) => Graph, RegExp][] = [
    ['a wrong dtype', ({ graph, h }) => withOutput(graph, broken(h, { type: { dtype: 'f16', shape: [2, 4] } })), /type/],
    ['an unknown op', ({ graph, h }) => withOutput(graph, broken(h, { op: 'matmull' })), /refuses.*unknown op matmull/],
    ['operands the op refuses', ({ graph, h, w }) => withOutput(graph, broken(h, { inputs: [w, w] })), /inner sizes/],
    ['an operand after its reader', ({ graph, h, next }) => withOutput(graph, broken(h, { inputs: [next, h] })), /after/],
    ['a cycle', ({ graph, h, w }) => {
      const inputs: Node[] = [];
      const loop = broken(h, { inputs });
      inputs.push(loop, w);
      return withOutput(graph, loop);
    }, /after its reader/],
    ['one id twice', ({ graph, x, h }) => withOutput(graph, broken(h, { id: x.id, inputs: [] })), /two nodes have one id/],
    ['a fractional id', ({ graph, h }) => withOutput(graph, broken(h, { id: 2.5 })), /whole number/],
    ['an unlisted input', ({ graph }) => ({ ...graph, inputs: [] }), /not in the signature/],
    ['an input listed twice', ({ graph, x }) => ({ ...graph, inputs: [x, x] }), /listed twice/],
    ['a weight in the signature', ({ graph, x, w }) => ({ ...graph, inputs: [x, w] }), /not an input/],
    ['a leaf without a name', ({ graph, f }) => withOutput(graph, f.op('param', [], { name: '', ...f32(2) })), /has a name/],
    ['an input name outside the text form', ({ graph, f }) => {
      const odd = f.op('input', [], { name: 'a b', ...f32(2) });
      return { ...withOutput(graph, odd), inputs: [...graph.inputs, odd] };
    }, /does not read as a value/],
    ['two leaves of one name', ({ graph, f }) => withOutput(graph, f.op('param', [], { name: 'x', ...f32(7) })), /named x/],
    ['two outputs of one name', ({ graph }) => ({ ...graph, outputs: [...graph.outputs, ...graph.outputs] }), /named out/],
    ['an output without a name', ({ graph, h }) => ({ ...graph, outputs: [{ name: '', node: h }] }), /output has a name/],
    ['an update of an input', ({ graph, x }) => ({ ...graph, updates: [{ state: x, node: x }] }), /only state and param/],
    ['an update of another type', ({ graph, s, h }) => ({ ...graph, updates: [{ state: s, node: h }] }), /f32\[1\] := f32\[2,4\]/],
    ['a state updated twice', ({ graph }) => ({ ...graph, updates: [...graph.updates, ...graph.updates] }), /updated twice/],
    ['2³¹ elements', ({ graph, f }) => withOutput(graph, f.zeros([2 ** 16, 2 ** 15])), /fewer than 2³¹/],
    ['a node of another builder', ({ graph }) => withOutput(graph, whole().next), /two nodes have one id|does not belong/],
    ['a node no builder made', ({ graph, next }) => withOutput(graph, broken(next, { id: 99 })), /does not belong/],
  ]; // prettier-ignore

  it.each(cases)('refuses %s', (_name, build, message) => {
    const graph = build(whole());
    expect(() => verify(graph, opTable)).toThrow(DitcError);
    expect(() => verify(graph, opTable)).toThrow(message);
  });

  it('accepts 2³¹ − 2¹⁶ elements', () => {
    const { graph, f } = whole();
    verify(withOutput(graph, f.zeros([2 ** 16, 2 ** 15 - 1])), opTable);
  });
});
