/**
 * Attention of a picture's tokens by itself, softmax(q·kᵀ/√d)·v (operands resident on the device, the result left there), by ditc and by
 * other runtimes as they have it: products and a softmax, with the shapes of DiT's heads.
 */
import { softmax, type EntryFunction } from '../compiler/dsl/index.ts';
import { openDevice, type OpenDevice } from '../runtime/index.ts';
import { findAdapter } from '../runtime/node/adapter.ts';
import { mustBeWithin, relativeError, values } from './lib/check.ts';
import { compileEntry, contender, loadEntry } from './lib/ditc.ts';
import type { JaxArray } from './lib/jax-block.ts';
import { jaxContender } from './lib/jax-contender.ts';
import { measure, type Contender } from './lib/measure.ts';
import { tensor } from './lib/onnx.ts';
import { ortContender } from './lib/ort.ts';
import {
  optional,
  peerVersions,
  startJax,
  startOrt,
  startTf,
  type Jax,
  type Ort,
  type StartedTf,
} from './lib/peers.ts';
import { footer, gflops, machine, options, sampleTable, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/attention.ts [options]   attention forward, ditc and other runtimes

  --shape HxTxD   heads, tokens and width of a head, instead of S/2's 6x256x64 and XL/2's 16x256x72`;
const { rounds, json, text } = options(HELP, { shape: { type: 'string' } });

/** Heads, tokens and width of a head. */
type Shape = [heads: number, tokens: number, width: number];

const SHAPES = ['6x256x64', '16x256x72'];

function parseShape(shape: string): Shape {
  const sizes = shape.split('x').map(Number);
  if (sizes.length !== 3 || !sizes.every((size) => Number.isInteger(size) && size > 0))
    throw new Error(`--shape is ${shape}: give it as 6x256x64`);
  return sizes as Shape;
}

const NAMES = ['q', 'k', 'v'] as const;
const operand = (name: string, shape: Shape): Float32Array =>
  values(shape[0] * shape[1] * shape[2], 1 + name.charCodeAt(0), 2);

/** In float64, of the first row of each head. */
function reference(shape: Shape): number[] {
  const [heads, tokens, width] = shape;
  const [q, k, v] = NAMES.map((name) => operand(name, shape));
  return Array.from({ length: heads }, (_, h) => {
    const at = (j: number, c: number) => (h * tokens + j) * width + c;
    const along = (sum: (c: number) => number) => Array.from({ length: width }, (_, c) => sum(c));
    const scores = Array.from({ length: tokens }, (_, j) =>
      along((c) => q[at(0, c)] * k[at(j, c)]).reduce((a, b) => a + b / Math.sqrt(width), 0),
    );
    const top = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - top));
    const total = weights.reduce((a, b) => a + b);
    return along((c) => weights.reduce((sum, weight, j) => sum + (weight / total) * v[at(j, c)], 0));
  }).flat();
}

/** A contender that can show what it made, and be put away. */
interface Attention extends Contender {
  result(): Promise<ArrayLike<number>>;
  close(): Promise<void> | void;
}

async function ditc(open: OpenDevice, shape: Shape): Promise<Attention> {
  const main: EntryFunction = (e) => {
    const [q, k, v] = NAMES.map((name) => e.input(name, shape));
    return { out: softmax(q.matmul(k.transpose(1, 2)).mul(shape[2] ** -0.5)).matmul(v) };
  };
  const program = await loadEntry(open, compileEntry(open, main), (name) => operand(name, shape));
  return {
    ...contender('ditc', program),
    result: () => program.readOutput('main', 'out'),
    close: () => program.close(),
  };
}

function jaxAttention(jax: Jax, shape: Shape): Attention {
  const { numpy: np, nn } = jax;
  const [q, k, v] = NAMES.map((name) => np.array(operand(name, shape)).reshape([...shape]));
  const attention = jax.jit((q: JaxArray, k: JaxArray, v: JaxArray) => {
    const scores = np.matmul(q, np.transpose(k, [0, 2, 1])).mul(shape[2] ** -0.5);
    return np.matmul(nn.softmax(scores, -1), v);
  });
  return jaxContender(jax, 'jax-js', () => attention(q.ref, k.ref, v.ref), [q, k, v]);
}

function tfAttention({ tf, finish }: StartedTf, shape: Shape): Attention {
  const [q, k, v] = NAMES.map((name) => tf.tensor3d(operand(name, shape), shape));
  let last: ReturnType<typeof tf.matMul> | undefined;
  return {
    name: 'tfjs',
    submit() {
      last?.dispose();
      last = tf.tidy(() => tf.matMul(tf.softmax(tf.mul(tf.matMul(q, k, false, true), shape[2] ** -0.5)), v));
    },
    finish,
    result: () => last!.data(),
    close: () => tf.dispose([q, k, v, ...(last ? [last] : [])]),
  };
}

/** As in gemm.ts: operands are constants that nothing is folded of, and but four numbers of the result leave the device. */
async function ortAttention(ort: Ort, provider: 'webgpu' | 'cpu', shape: Shape): Promise<Attention> {
  const scale = tensor('scale', [1], Float32Array.of(shape[2] ** -0.5));
  const constants = [...NAMES.map((name) => tensor(name, shape, operand(name, shape))), scale];
  const before = [
    { op: 'Transpose', inputs: ['k'], output: 'kt', lists: { perm: [0, 2, 1] } },
    { op: 'MatMul', inputs: ['q', 'kt'], output: 'products' },
    { op: 'Mul', inputs: ['products', 'scale'], output: 'scores' },
    { op: 'Softmax', inputs: ['scores'], output: 'weights', attributes: { axis: 2 } },
  ];
  return ortContender(ort, provider, { constants, before, last: { op: 'MatMul', inputs: ['weights', 'v'] }, shape });
}

const found = await findAdapter();
const open = await openDevice(found.adapter, found.spec);
const [jax, tf, ort] = [await startJax(found), await startTf(found), await startOrt()];

async function everyone(shape: Shape): Promise<Attention[]> {
  const all = [await ditc(open, shape)];
  if (jax) all.push(jaxAttention(jax, shape));
  if (tf) all.push(tfAttention(tf, shape));
  for (const provider of ort ? (['webgpu', 'cpu'] as const) : []) {
    const made = await optional(`onnxruntime ${provider}`, () => ortAttention(ort!, provider, shape));
    if (made) all.push(made);
  }
  return all;
}

const results = [];
for (const given of text('shape') ? [text('shape')!] : SHAPES) {
  const shape = parseShape(given);
  const [heads, tokens, width] = shape;
  const want = reference(shape);
  const all = await everyone(shape);
  for (const one of all) {
    await one.submit();
    await one.finish();
    const got = await one.result();
    const first = want.map((_, i) => got[Math.floor(i / width) * tokens * width + (i % width)]);
    mustBeWithin(one.name, relativeError(first, want), 1e-5);
  }
  const measured = await measure(all, rounds);
  const macs = 2 * heads * tokens * tokens * width;
  console.log(`\n${heads} heads of ${width}, ${tokens} tokens`);
  console.log(sampleTable(measured, { 'GFLOP/s': ({ median }) => gflops(macs, median) }));
  console.log(footer(measured, open.spec));
  results.push({ shape, macs, ...measured });
  for (const one of all) await one.close();
}
writeJson(json, { machine: machine(open.spec), peers: peerVersions(), attentions: results });
open.close();
process.exit(0);
