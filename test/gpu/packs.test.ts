/** Parameters that entries join differently, change or bind alone: every model of them loads, and computes what it says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concat, defineModel, linear, softmax, type Entry, type Model, type Tensor } from '../../compiler/dsl/index.ts';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import { interpret, Random } from '../../compiler/ops/index.ts';
import { compileModel } from '../../compiler/compile.ts';
import { optimize, optimizerOptions } from '../../models/optimizer.ts';
import { Program } from '../../runtime/program.ts';
import { gated, gatedStep } from '../helpers/gated.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';

type Entries = Model['entries'];
const SHAPE = [4, 16];

/** Three linears of one input. */
const three: Entries[string] = (e) => {
  const x = e.input('x', SHAPE);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => e.params.linear(name, x, 16));
  return { three: a.mul(b).add(c) };
};
/** Two of them. */
const two: Entries[string] = (e) => {
  const x = e.input('x', SHAPE);
  return { two: e.params.linear('a', x, 16).mul(e.params.linear('b', x, 16)) };
};

/** A step of training on a loss. */
const step =
  (loss: (e: Entry) => Tensor): Entries[string] =>
  (e) => {
    const value = loss(e);
    return { loss: value, ...optimize(e, optimizerOptions({ batch: 1, lr: 0.01, weightDecay: 0.1 }), value) };
  };

/** Three linears, `width` wide, of one input. */
const threeOf = (width: number) => (e: Entry) => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => e.params.linear(name, e.input('x', SHAPE), width));
  return a.mul(b).add(c);
};

const attended = (e: Entry) => {
  const x = e.input('x', [2, 12, 16]);
  const [q, k, v] = ['q', 'k', 'v'].map((name) => linear(x, e.params.param(name, [16, 16])));
  return softmax(q.matmul(k.transpose())).matmul(v);
};

interface Case {
  entries: Entries;
  packs: string[];
}

const MODELS: Record<string, Case> = {
  'entries that join more and fewer': { entries: { two, three }, packs: ['b.weight c.weight', 'b.bias c.bias'] },
  'one weight for two inputs': {
    entries: {
      shared(e) {
        const [x, z] = [e.input('x', SHAPE), e.input('z', SHAPE)];
        const of = (name: string, input: typeof x) => e.params.linear(name, input, 16);
        const crossed = of('q', x).mul(of('k', z)).add(of('v', z));
        return { crossed, own: of('q', x).mul(of('k', x)).add(of('v', x)) };
      },
    },
    packs: ['q.weight k.weight v.weight', 'q.bias k.bias v.bias'],
  },
  'one weight twice for one input': {
    entries: {
      twice(e) {
        const x = e.input('x', SHAPE);
        const w = e.params.param('w', [16, 16]);
        const [b, c] = [e.params.param('b', [16]), e.params.param('c', [16])];
        return { y: linear(x, w, b).mul(linear(x, w, c)) };
      },
    },
    packs: [],
  },
  'a join of what the entry changes': {
    entries: {
      step(e) {
        const x = e.input('x', SHAPE);
        const [a, b] = [e.params.param('a', [16, 8]), e.params.param('b', [8, 8])];
        const joined = concat([a, b], 0);
        e.update(a, a.mul(2));
        const y = x
          .matmul(joined.slice(0, 0, 16))
          .matmul(joined.slice(0, 16, 24))
          .sum();
        return { y: joined.matmul(joined.transpose()).add(y) };
      },
    },
    packs: ['a b'],
  },
  'a neighbour changed by what reads the other': {
    entries: {
      two,
      change(e) {
        const bias = e.params.param('a.bias', [16]);
        e.update(bias, bias.add(e.params.param('b.bias', [16])));
      },
    },
    // It is not written in place: a dispatch does not write a buffer that it reads.
    packs: ['a.bias b.bias', 'a.weight b.weight'],
  },
};

/** Entries that train, beside others: what the pack of each kind is. */
const TRAINED: typeof MODELS = {
  'trained weights and biases, and a forward pass of them': {
    entries: {
      train: step((e) => threeOf(64)(e).square().mean()),
      forward: (e) => ({ y: threeOf(64)(e) }),
    },
    packs: ['a.weight b.weight c.weight', 'a.bias b.bias c.bias'],
  },
  'trained queries, keys and values': {
    entries: { train: step((e) => attended(e).square().mean()), forward: (e) => ({ y: attended(e) }) },
    packs: ['q k v'],
  },
  'trained biases that lie where no binding starts': {
    entries: { train: step((e) => threeOf(6)(e).square().mean()) },
    packs: ['a.weight b.weight c.weight', 'a.bias b.bias c.bias'],
  },
  'gates of several blocks, which lie where no binding starts': {
    entries: { train: (e) => gatedStep(e, 3, {}, 20), forward: (e) => ({ y: gated(e, 3, 20) }) },
    packs: ['m0.weight m1.weight m2.weight', 'm0.bias m1.bias m2.bias'],
  },
  'a step of two of three': {
    entries: {
      train: step((e) => {
        const x = e.input('x', SHAPE);
        const of = (name: string) => linear(x, e.params.param(name, [16, 16]));
        return of('b').mul(of('c')).square().mean();
      }),
      forward(e) {
        const x = e.input('x', SHAPE);
        const [a, b, c] = ['a', 'b', 'c'].map((name) => linear(x, e.params.param(name, [16, 16])));
        return { y: a.mul(b).add(c) };
      },
    },
    packs: ['a b c'],
  },
};

describe('packs of a model', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu.close());

  it.each(Object.entries({ ...MODELS, ...TRAINED }))('%s', async (_name, { entries, packs }) => {
    const model = defineModel({ config: {}, entries });
    const options = { name: 'packs', source: '', device: gpu.spec, verify: true, entryOptions: { batch: 1 } };
    const artefact = compileModel(model, options);
    const { manifest } = artefact;
    expect((manifest.packs ?? []).map(({ params }) => params.join(' ')).sort()).toEqual([...packs].sort());
    const program = await Program.create(gpu.opened.device, artefact);
    try {
      const random = new Random(1);
      const draw = (shape: readonly number[]) =>
        Float32Array.from({ length: sizeOf(shape) }, () => random.uniform(-1, 1));
      const values: Record<string, Float32Array> = {};
      for (const { name, shape } of manifest.params) await program.setParam(name, (values[name] = draw(shape)));
      for (const { name, shape } of manifest.states) values[name] = new Float32Array(sizeOf(shape));
      for (const { name, shape } of Object.values(manifest.entries).flatMap(({ inputs }) => inputs))
        program.write(name, (values[name] ??= draw(shape)));
      for (const name of [...Object.keys(entries), ...Object.keys(entries)]) {
        const expected = interpret(resolveGradients(traceEntry(model, name, { batch: 1 }).graph), values);
        await program.run(name);
        for (const [output, { data }] of Object.entries(expected.outputs))
          expect(relativeError(await program.readOutput(name, output), data), output).toBeLessThan(1e-5);
        for (const [changed, { data }] of Object.entries(expected.updates)) {
          values[changed] = Float32Array.from(data);
          const isParam = manifest.params.some((param) => param.name === changed);
          const got = await (isParam ? program.readParam(changed) : program.readState(changed));
          expect(relativeError(got, data), changed).toBeLessThan(1e-5);
        }
      }
    } finally {
      program.close();
    }
  });
});
