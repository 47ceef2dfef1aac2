/**
 * `ditc train --input`: models that are told more of a picture than its class, step by step against the interpreter.
 * @once
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import { interpret, Random } from '../../compiler/ops/index.ts';
import { readMetrics } from '../../cli/metrics.ts';
import { writeNpy } from '../../cli/npy.ts';
import { dit } from '../../models/dit.ts';
import pixart from '../../models/pixart-alpha.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { MemorySource } from '../../runtime/checkpoint/source.ts';
import { epochOrder } from '../../runtime/data/order.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { ditc } from './cli.ts';

vi.setConfig({ testTimeout: 300_000 });

const [COUNT, BATCH, LENGTH, WIDTH] = [8, 4, 3, 5];
const SCALED = {
  ...{ inputSize: 4, inChannels: 2, hiddenSize: 8, depth: 1, numHeads: 2, learnSigma: false },
  ...{ sequence: { length: LENGTH, width: WIDTH }, pooled: { width: 3 } },
};
const MODEL = `import { dit } from 'ditc/models/dit';
import pixart from 'ditc/models/pixart-alpha';
export default dit({ ...pixart.config, ...${JSON.stringify(SCALED)} });
`;
/** Takes a number that no example has. */
const OWN = `import { defineModel } from 'ditc/dsl';
export default defineModel({
  config: {},
  entries: {
    trainStart() {},
    trainStep(e) {
      const [images, heat] = [e.input('images', [e.batch, 2, 4, 4]), e.input('temperature', [])];
      const seed = e.input('seed', [2], 'u32').cast('f32').sum();
      return { loss: images.mul(e.params.param('w', [])).mul(heat).mean().add(seed.mul(0)) };
    },
  },
});
`;

type Made = { name: string; dtype: 'f32' | 'i32' | 'f16'; shape: number[]; data: Float32Array | Int32Array };
const random = new Random(3);
const numbers = (name: string, ...shape: number[]) => {
  const data = Float32Array.from({ length: sizeOf(shape) }, () => random.uniform(-1, 1));
  return { name, dtype: 'f32' as const, shape, data };
};
const latents = numbers('latents', COUNT, 2, 4, 4);
const context = numbers('context', COUNT, LENGTH, WIDTH);
const pooled = numbers('pooled', 1, 3);
const mask = {
  ...{ name: 'contextMask', dtype: 'i32' as const, shape: [COUNT, LENGTH] },
  data: Int32Array.from({ length: COUNT * LENGTH }, (_, i) => Number(i % LENGTH <= i % 2)),
};

let cwd: string;
async function save(file: string, tensors: readonly Made[]) {
  const parts: Uint8Array[] = [];
  const written = tensors.map(({ data, ...info }) => ({ ...info, chunks: () => [data] }));
  await writeSafetensors(async (bytes) => void parts.push(bytes), written);
  writeFileSync(join(cwd, file), Buffer.concat(parts));
}
const array = (file: string, made: Made) =>
  writeNpy(join(cwd, file), { ...made, dtype: made.dtype === 'i32' ? 'i32' : 'f32' }, made.data);

const { params } = traceEntry(dit({ ...pixart.config, ...SCALED }), 'trainStep', { batch: BATCH });
const weights = params.map(({ node: { attrs, type } }): Made => {
  const made = numbers(String(attrs.name), ...type.shape);
  return { ...made, data: made.data.map((x) => x / 2) };
});

beforeAll(async () => {
  cwd = scratchFolder()({ 'told.ts': MODEL, 'own.ts': OWN });
  await save('data.safetensors', [latents]);
  await save('weights.safetensors', weights);
  await save('texts.safetensors', [context, mask]);
  await array('context.npy', context);
  await array('mask.npy', mask);
  await array('pooled.npy', pooled);
});

const TOLD = ['context=texts.safetensors', 'contextMask=texts.safetensors', 'pooled=pooled.npy'];
const inputs = (files: readonly string[]) => files.flatMap((file) => ['--input', file]);
const train = (out: string, files: readonly string[], ...more: string[]) => {
  const settings = ['--batch', String(BATCH), '--log-every', '1', '--lr', '1e-2', '--ema', '0'];
  const args = ['told.ts', '--data', 'data.safetensors', ...inputs(files), ...settings, '--out', out];
  return ditc(['train', ...args, '--weights', 'weights.safetensors', ...more], cwd);
};
const tensorsOf = (file: string) => openSafetensors(new MemorySource(file, readFileSync(join(cwd, file))));

it('each example is told its own rows: a step is what the interpreter makes of it', async () => {
  const { code, err } = await train('one', TOLD, '--steps', '1');
  expect(code, err).toBe(0);
  const traced = traceEntry(dit({ ...pixart.config, ...SCALED }), 'trainStep', {
    ...{ batch: BATCH, lr: 1e-2, ema: 0 },
  });
  const examples = [...epochOrder(0, 0, COUNT).subarray(0, BATCH)];
  const rows = ({ data, shape }: Made) => {
    const size = data.length / shape[0];
    return examples.flatMap((i) => [...data.subarray((i % shape[0]) * size, ((i % shape[0]) + 1) * size)]);
  };
  const states = traced.states.map(
    ({ node }) => [String(node.attrs.name), new Float64Array(sizeOf(node.type.shape))] as const,
  );
  const { outputs, updates } = interpret(resolveGradients(traced.graph), {
    ...Object.fromEntries(states),
    ...Object.fromEntries(weights.map(({ name, data }) => [name, data])),
    ...{ images: rows(latents), context: rows(context), contextMask: rows(mask), pooled: rows(pooled) },
    ...{ labels: new Int32Array(BATCH), seed: [0, 0] },
  });
  const [{ loss }] = readMetrics(join(cwd, 'one', 'metrics.jsonl'));
  expect(Math.abs(loss! / outputs.loss.data[0] - 1)).toBeLessThan(1e-5);
  // Of all that a step changes, moments are linear in the gradients.
  const kept = await tensorsOf('one/checkpoints/0000001.safetensors');
  for (const layer of ['y_embedder.y_proj.fc1', 'pooled_embedder.mlp.0', 'blocks.0.cross_attn.kv_linear']) {
    const name = `optimizer.m.${layer}.weight`;
    expect(relativeError(await kept.readF32(`state/${name}`), updates[name].data), name).toBeLessThan(1e-4);
  }
});

it('files of either kind give the same training, which goes on bit by bit, and is measured on what is held out', async () => {
  const files = ['context=context.npy', 'contextMask=mask.npy', 'pooled=pooled.npy'];
  const held = ['--val', '0.25', '--val-every', '2', '--checkpoint-every', '2'];
  const results = async (out: string) => {
    const file = await tensorsOf(`${out}/weights.safetensors`);
    const { val } = readMetrics(join(cwd, out, 'metrics.jsonl')).at(-1)!;
    return [val, await file.readF32('final_layer.linear.weight')];
  };
  expect((await train('whole', TOLD, '--steps', '4', ...held)).code).toBe(0);
  expect((await train('parts', files, '--steps', '2', ...held)).code).toBe(0);
  const args = ['told.ts', '--data', 'data.safetensors', '--steps', '4', '--out', 'parts', '--resume', 'latest'];
  const other = await ditc(['train', ...args, ...inputs(TOLD)], cwd);
  expect(other.err).toContain('the data is not what it was');
  expect(await ditc(['train', ...args, ...inputs(files), '--val-every', '2'], cwd)).toMatchObject({ code: 0 });
  expect(await results('parts')).toEqual(await results('whole'));
});

describe('is refused by name, and nothing is written', () => {
  const others = async () => {
    await array('wide.npy', numbers('context', COUNT, LENGTH, WIDTH + 1));
    await array('few.npy', numbers('context', COUNT - 1, LENGTH, WIDTH));
    await array('fractions.npy', numbers('contextMask', COUNT, LENGTH));
    await array('nan.npy', { ...context, data: context.data.map((x, i) => (i === 17 ? NaN : x)) });
    await save('unnamed.safetensors', [numbers('a', 1), numbers('b', 1)]);
  };
  beforeAll(others);
  const rest = TOLD.slice(1);
  const refused: [what: string, files: string[], message: RegExp][] = [
    ['an embedding of another width', ['context=wide.npy', ...rest], /wide\.npy — it does not fit the input context f32\[8, 3, 5\]\n.*holds f32\[8, 3, 6\]\n +fix: save an array of shape \[8, 3, 5\], or give the model/],
    ['fewer rows than examples', ['context=few.npy', ...rest], /holds f32\[7, 3, 5\], and there are 8 examples\n +fix: give a row for each/],
    ['a mask of fractions', [TOLD[0], 'contextMask=fractions.npy', TOLD[2]], /does not fit the input contextMask i32\[8, 3\]\n.*\n +fix: store it as int32/],
    ['a file without it', ['context=unnamed.safetensors', ...rest], /unnamed\.safetensors — it has no tensor "context"/],
    ['nothing', [], /is also told context and contextMask and pooled\n +nothing is given\n +fix: give --input context=FILE with \[N, 3, 5\]/],
    ['one of another name', ['text=context.npy', ...TOLD], /the model has no input text of pictures/],
  ]; // prettier-ignore
  it.each(refused)('%s', async (_, files, message) => {
    const { code, err } = await train('no', files, '--steps', '2');
    expect(err).toMatch(message);
    expect(code).not.toBe(0);
    expect(existsSync(join(cwd, 'no'))).toBe(false);
  });

  it('a value that is not finite, when it is read', async () => {
    const { code, err } = await train('nan', ['context=nan.npy', ...rest], '--steps', '2');
    expect(err).toMatch(/row 1 of nan in nan\.npy — the example cannot be read\n +element 2 is NaN/);
    expect(code).toBe(1);
    expect(existsSync(join(cwd, 'nan', 'weights.safetensors'))).toBe(false);
  });

  it('other data to measure on, which has no rows', async () => {
    const { err } = await train('no', TOLD, '--steps', '2', '--val-data', 'data.safetensors');
    expect(err).toMatch(/--val-data has nothing to tell the model/);
  });

  it('an input of trainStep that is no row of an example', async () => {
    const args = ['own.ts', '--data', 'data.safetensors', '--batch', '4', '--steps', '1', '--out', 'no'];
    const { code, err } = await ditc(['train', ...args], cwd);
    expect(err).toMatch(/own\.ts — trainStep is not what the trainer calls\n +its inputs are .*temperature f32\[\]/);
    expect(code).toBe(1);
    expect(existsSync(join(cwd, 'no'))).toBe(false);
  });
});
