/** Every op record is held to the same tests, on cases its own sampler draws. A new op is tested by being defined. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import {
  DitcError,
  GraphBuilder,
  isFloat,
  nodesOf,
  parseGraph,
  printGraph,
  sizeOf,
  verify,
  type Attrs,
  type TensorType,
} from '../../../compiler/ir/index.ts';
import { allOps, Functional, interpret, opTable, Random, type OpDef } from '../../../compiler/ops/index.ts';
import { checkGradient, evaluate } from '../../helpers/gradient-check.ts';
import { opCase } from '../../helpers/samples.ts';

const SAMPLES = 30;
const seeds = Array.from({ length: SAMPLES }, (_, seed) => seed);
const differentiable = (def: OpDef) => def.kind !== 'leaf' && def.gradient !== 'none';

/** A test that is not there, rather than skipped, for ops it does not concern. */
const when = (applies: boolean) => (applies ? it : () => undefined);

describe.each(allOps().map((def) => [def.name, def] as const))('%s', (name, def) => {
  it('has a complete record', () => {
    expect(def.doc).toMatch(/\S.*/);
    expect(def.doc.length).toBeLessThan(200);
    expect(Boolean(def.wgsl), 'pointwise ops, and only they, have WGSL').toBe(def.kind === 'pointwise');
    // An anchor may also say what it stands for (attention); then it is scheduled as it is.
    if (def.kind === 'composite') expect(def.expand, 'composite ops expand').toBeDefined();
    else if (def.expand) expect(def.kind, 'only composite ops and anchors expand').toBe('contract');
    expect(def.gradient === 'none' || typeof def.gradient === 'function').toBe(true);
  });

  it('accepts its own samples, and its graphs verify', () => {
    for (const seed of seeds) verify(opCase(def, seed).graph, opTable);
  });

  it('counts a cost that is a number', () => {
    for (const seed of seeds) {
      const { sample, node } = opCase(def, seed);
      const { macs, flops } = def.cost(sample.inputs, sample.attrs, node.type);
      expect(macs >= 0 && Number.isInteger(macs)).toBe(true);
      expect(flops >= 0 && Number.isInteger(flops)).toBe(true);
    }
  });

  when(def.kind !== 'request')('has a finite reference of the size of its type, in the range of its dtype', () => {
    for (const seed of seeds) {
      const { graph, bindings, node } = opCase(def, seed);
      const { out } = interpret(graph, bindings).outputs;
      expect(out.dtype).toBe(node.type.dtype);
      expect(out.shape).toEqual(node.type.shape);
      expect(out.data.length).toBe(sizeOf(node.type.shape));
      expect(out.data.every((x) => holds(node.type, x))).toBe(true);
    }
  });

  it('prints, parses and prints the same', () => {
    for (const seed of seeds) {
      const text = printGraph(opCase(def, seed).graph);
      expect(printGraph(verify(parseGraph(text, opTable), opTable))).toBe(text);
    }
  });

  it('names itself when given one operand too many', () => {
    const { sample } = opCase(def, 0);
    const f32: TensorType = { dtype: 'f32', shape: [1] };
    if (name === 'concat') return;
    const inputs = [...sample.inputs, ...(name === 'linear' || name === 'scan' ? [f32, f32] : [f32])];
    expect(() => def.type(inputs, sample.attrs)).toThrow(DitcError);
    expect(() => def.type(inputs, sample.attrs)).toThrow(new RegExp(`^${name}: takes `));
  });

  when(def.kind === 'composite')('expands to the same value', () => {
    for (const seed of seeds) {
      const { f, inputs, node, bindings } = opCase(def, seed);
      const expanded = def.expand!(f, inputs, node.attrs, node.type);
      expect(expanded.type).toEqual(node.type);
      const [whole, parts] = evaluate([node, expanded], bindings);
      expect(whole.data.every((x, i) => Math.abs(x - parts.data[i]) < 1e-12)).toBe(true);
    }
  });

  when(def.kind === 'contract' && Boolean(def.expand))('expands to its own type, with factors of f16 too', () => {
    for (const seed of seeds) {
      const { f, sample, inputs, node } = opCase(def, seed);
      const halves = inputs.map((x, i) => {
        const isFactor = isFloat(x.type.dtype) && i < def.factors!;
        return isFactor ? f.op('input', [], { ...x.attrs, dtype: 'f16' }) : x;
      });
      const lowered = f.op(def.name, halves, { ...sample.attrs, dtype: 'f32' });
      for (const whole of [node, lowered])
        expect(def.expand!(f, whole.inputs, whole.attrs, whole.type).type).toEqual(whole.type);
    }
  });

  when(differentiable(def))('has the gradient that finite differences show', () => {
    let checked = 0;
    for (const seed of seeds) {
      const { f, inputs, node, bindings } = opCase(def, seed);
      const wrt = inputs.filter(f.isFloat);
      if (!isFloat(node.type.dtype) || !wrt.length) continue;
      checkGradient(f, node, wrt, bindings, new Random(seed));
      checked++;
    }
    expect(checked).toBeGreaterThan(0);
  });

  when(differentiable(def) && def.kind !== 'request')('has a gradient in f16 too', () => {
    for (const seed of seeds) {
      const { sample } = opCase(def, seed);
      const f = new Functional(new GraphBuilder(opTable));
      const inputs = sample.inputs.map((type, i) => f.op('input', [], { ...half(type), name: `x${i}` }));
      const node = f.op(name, inputs, half(sample.attrs));
      const wrt = inputs.filter(f.isFloat);
      if (!f.isFloat(node) || !wrt.length) continue;
      const loss = f.sum(
        node,
        node.type.shape.map((_, i) => i),
      );
      const outputs = gradients(f, loss, wrt).map((g, i) => ({ name: `d${i}`, node: g }));
      const graph = verify({ name: 'half', inputs, outputs, updates: [] }, opTable);
      expect(nodesOf(graph).some((n) => n.type.dtype === 'f32')).toBe(false);
    }
  });
});

/** The same type or attributes with f16 for f32. */
function half<T extends TensorType | Attrs>(of: T): T {
  return 'dtype' in of && of.dtype === 'f32' ? { ...of, dtype: 'f16' } : of;
}

function holds({ dtype }: TensorType, x: number): boolean {
  if (dtype === 'bool') return x === 0 || x === 1;
  if (dtype === 'u32') return Number.isInteger(x) && x >= 0 && x < 2 ** 32;
  if (dtype === 'i32') return Number.isInteger(x) && Math.abs(x) <= 2 ** 31;
  return Number.isFinite(x);
}
