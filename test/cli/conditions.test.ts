/** Models that are told more than a class: `ditc sample --input`, guidance away from nothing, and what is refused. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { defineModel, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import { interpret, Random } from '../../compiler/ops/index.ts';
import { dit } from '../../models/dit.ts';
import { asked, conditionsOf } from '../../models/diffusion.ts';
import { parseNpy } from '../../runtime/checkpoint/npy.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { writeNpy } from '../../cli/npy.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { ditc } from './cli.ts';

vi.setConfig({ testTimeout: 300_000 });

const [length, width] = [3, 5];
const CONFIG = {
  ...{ inputSize: [2, 4] as const, patchSize: 2, inChannels: 1, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 0 },
  ...{ modulation: 'shared' as const, sequence: { length, width } },
};
const MODEL = `import { defineModel } from 'ditc/dsl';
import { dit } from 'ditc/models/dit';
const network = dit(${JSON.stringify(CONFIG)});
export default defineModel({ ...network, options: { ...network.options, sampler: 'ddim', steps: 2 }, picture: { range: [-1, 1] } });
`;

const folder = scratchFolder();
let cwd: string;

async function write(name: string, shape: readonly number[], seed: number): Promise<void> {
  const random = new Random(seed);
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.uniform(-1, 1));
  await writeNpy(join(cwd, `${name}.npy`), { name, dtype: 'f32', shape }, values);
}

async function save(file: string, tensors: readonly { name: string; shape: readonly number[]; data: Float32Array }[]) {
  const parts: Uint8Array[] = [];
  const written = tensors.map(({ name, shape, data }) => ({
    name,
    dtype: 'f32' as const,
    shape: [...shape],
    chunks: () => [data],
  }));
  await writeSafetensors(async (bytes) => void parts.push(bytes), written);
  writeFileSync(join(cwd, file), Buffer.concat(parts));
}

beforeAll(async () => {
  cwd = folder({ 'told.ts': MODEL });
  await write('three', [3, length, width], 1);
  await write('others', [3, length, width], 2);
  await write('wide', [3, length, width + 1], 3);
  await writeNpy(join(cwd, 'mask.npy'), { name: 'm', dtype: 'i32', shape: [1, length] }, Int32Array.of(1, 1, 0));
  const { data } = parseNpy(readFileSync(join(cwd, 'three.npy')), 'three');
  await save('three.safetensors', [{ name: 'context', shape: [3, length, width], data: data as Float32Array }]);
  // As they start, the weights give nothing.
  const random = new Random(5);
  const { params } = traceEntry(dit(CONFIG), 'sampleStep', { batch: 1, steps: 2, sampler: 'ddim' });
  const weights = params.map(({ node: { attrs, type } }) => {
    const data = Float32Array.from({ length: sizeOf(type.shape) }, () => random.uniform(-0.5, 0.5));
    return { name: String(attrs.name), shape: type.shape, data };
  });
  await save('weights.safetensors', weights);
});

const sample = async (context: string, out: string, ...more: string[]) => {
  const inputs = ['--input', `context=${context}`, '--input', 'contextMask=mask.npy'];
  const run = await ditc(
    ['sample', 'told.ts', '--classes', '0x3', '--weights', 'weights.safetensors', ...inputs, '--out', out, ...more],
    cwd,
  );
  expect(run.code, run.err).toBe(0);
  return parseNpy(readFileSync(join(cwd, out)), out);
};

it('what a picture is told shows in it: from .npy and .safetensors, in any batch', async () => {
  const drawn = await sample('three.npy', 'a.npy');
  expect(drawn.shape).toEqual([3, 1, 2, 4]);
  expect((await sample('three.safetensors', 'b.npy', '--batch', '2')).data).toEqual(drawn.data);
  expect((await sample('others.npy', 'c.npy')).data).not.toEqual(drawn.data);
});

describe('is refused by name', () => {
  const refused: [string, string[], RegExp][] = [
    ['nothing', [], /is also told context and contextMask\n +nothing is given\n +fix: give --input context=FILE with \[3, 3, 5\]/],
    ['an embedding of another width', ['--input', 'context=wide.npy', '--input', 'contextMask=mask.npy'], /wide.npy — it does not fit the input context f32\[3, 3, 5\]/],
    ['an input of another name', ['--input', 'text=three.npy'], /the model has no input text of pictures/],
  ]; // prettier-ignore
  it.each(refused)('%s', async (_, inputs, message) => {
    const { code, err } = await ditc(['sample', 'told.ts', '--classes', '0x3', ...inputs, '--out', 'x.npy'], cwd);
    expect(err).toMatch(message);
    expect(code).not.toBe(0);
  });
});

it('guidance goes from what is told nothing', () => {
  const network = {
    ...{ channels: 1, size: [2, 4] as const },
    conditions: [
      { name: 'context', shape: [2], nothing: (p: Entry['params']) => p.param('none', [2]).unsqueeze(0) },
      { name: 'weight', shape: [] },
    ],
    predict: (_p: Entry['params'], x: Tensor, _t: Tensor, _y: Tensor, given?: Record<string, Tensor>) =>
      x.add(given!.context.sum(1).mul(given!.weight).reshape(x.shape[0], 1, 1, 1)),
  };
  const forward = (e: Entry) => {
    const x = e.input('x', [e.batch, 1, 2, 4]);
    const y = e.input('y', [e.batch], 'i32');
    const guidance = { strength: 3, channels: 'all' } as const;
    return { out: asked(network, e.params, y, conditionsOf(e, network), guidance)(x, e.input('t', [])).out };
  };
  const { graph } = traceEntry(defineModel({ config: {}, entries: { forward } }), 'forward', { batch: 2 });
  const x = Array.from({ length: 16 }, (_, i) => i / 10);
  const bindings = { x, y: [0, 0], t: [1], context: [1, 2, 3, 4], weight: [1, 2], none: [0.5, 0.25] };
  // null + 3·(cond − null), with the example's own weight in both.
  const [first, second] = [0.75 + 3 * (3 - 0.75), 1.5 + 3 * (14 - 1.5)];
  const want = x.map((value, i) => value + (i < 8 ? first : second));
  expect(relativeError(interpret(graph, bindings).outputs.out.data, want)).toBeLessThan(1e-12);
});
