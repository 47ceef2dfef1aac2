/**
 * Matrix products Y = X·Wᵀ as a linear layer has them (X [m,k] and W resident on the device, Y left there), by ditc and by
 * other runtimes. The weight's layout is [out,in] in ditc, as checkpoints have it; peers are timed with [out,in] and with
 * [in,out], which some of them like better.
 */
import { linear, type EntryFunction } from '../compiler/dsl/index.ts';
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

const HELP = `npx tsx bench/gemm.ts [options]   GFLOP/s of matrix products, ditc and other runtimes

  --shape MxKxN   one product instead of the five`;
const { rounds, json, text } = options(HELP, { shape: { type: 'string' } });

interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** One of DiT-XL/2's at batch 2, and the four of a DiT-S/2 block: qkv, proj, fc1, fc2. */
const SHAPES = ['512x1152x4608', '256x384x1152', '256x384x384', '256x384x1536', '256x1536x384'];

function parseShape(shape: string): Product {
  const [m, k, n, ...rest] = shape.split('x').map(Number);
  if (rest.length || ![m, k, n].every((size) => Number.isInteger(size) && size > 0))
    throw new Error(`--shape is ${shape}: give it as 512x1152x4608`);
  return { m, k, n };
}

/** A product's operands: X [m,k], W [n,k], Wᵀ [k,n]. */
interface Operands extends Product {
  readonly x: Float32Array;
  readonly w: Float32Array;
  readonly wt: Float32Array;
}

function operands(product: Product): Operands {
  const { m, k, n } = product;
  const w = values(n * k, 2);
  const wt = new Float32Array(n * k);
  for (let i = 0; i < n; i++) for (let j = 0; j < k; j++) wt[j * n + i] = w[i * k + j];
  return { ...product, x: values(m * k, 1), w, wt };
}

/** Elements spread over Y, corners included, in float64. */
function reference({ m, k, n, x, w }: Operands): { at: number[]; want: number[] } {
  const at = Array.from({ length: 64 }, (_, i) => Math.floor((i * (m * n - 1)) / 63));
  const want = at.map((index) => {
    const [row, column] = [Math.floor(index / n), index % n];
    let sum = 0;
    for (let j = 0; j < k; j++) sum += x[row * k + j] * w[column * k + j];
    return sum;
  });
  return { at, want };
}

/** A contender that can show its Y, and be put away. */
interface Multiplier extends Contender {
  result(): Promise<ArrayLike<number>>;
  close(): Promise<void> | void;
}

async function ditc(open: OpenDevice, { m, k, n, x, w }: Operands): Promise<Multiplier> {
  const main: EntryFunction = (e) => ({ y: linear(e.input('x', [m, k]), e.params.param('w', [n, k])) });
  const program = await loadEntry(open, compileEntry(open, main), (name) => (name === 'x' ? x : w));
  return {
    ...contender('ditc [out,in]', program),
    result: () => program.readOutput('main', 'y'),
    close: () => program.close(),
  };
}

function jaxProducts(jax: Jax, { m, k, n, x, w, wt }: Operands): Multiplier[] {
  const { numpy: np } = jax;
  const left = np.array(x).reshape([m, k]);
  const product = (layout: string, right: JaxArray, multiply: (x: JaxArray, w: JaxArray) => JaxArray): Multiplier => {
    const f = jax.jit(multiply);
    return jaxContender(jax, `jax-js [${layout}]`, () => f(left.ref, right.ref), [right]);
  };
  return [
    product('out,in', np.array(w).reshape([n, k]), (a, b) => np.matmul(a, np.transpose(b))),
    product('in,out', np.array(wt).reshape([k, n]), (a, b) => np.matmul(a, b)),
  ];
}

function tfProducts({ tf, finish }: StartedTf, { m, k, n, x, w, wt }: Operands): Multiplier[] {
  const left = tf.tensor2d(x, [m, k]);
  return [true, false].map((transposed) => {
    const right = transposed ? tf.tensor2d(w, [n, k]) : tf.tensor2d(wt, [k, n]);
    let last: ReturnType<typeof tf.matMul> | undefined;
    const submit = () => {
      last?.dispose();
      last = tf.matMul(left, right, false, transposed);
    };
    const close = () => tf.dispose([right, ...(last ? [last] : [])]);
    return { name: `tfjs [${transposed ? 'out,in' : 'in,out'}]`, submit, finish, result: () => last!.data(), close };
  });
}

/**
 * onnxruntime-node takes inputs from and gives outputs to the CPU. So X is a constant too (folding is off: the product is
 * done in each run), and but four numbers of Y are cut out and returned; another session returns all of it once.
 */
async function ortProduct(ort: Ort, provider: 'webgpu' | 'cpu', { m, k, n, x, w }: Operands): Promise<Multiplier> {
  const constants = [tensor('x', [m, k], x), tensor('w', [n, k], w)];
  const last = { op: 'Gemm', inputs: ['x', 'w'], attributes: { transB: 1 } };
  const made = await ortContender(ort, provider, { constants, last, shape: [m, n] });
  return { ...made, name: `${made.name} [out,in]` };
}

/** Everyone who gives the right product. */
async function* right(multipliers: AsyncIterable<Multiplier>, given: Operands): AsyncGenerator<Multiplier> {
  const { at, want } = reference(given);
  for await (const one of multipliers) {
    await one.submit();
    await one.finish();
    const got = await one.result();
    mustBeWithin(
      one.name,
      relativeError(
        at.map((index) => got[index]),
        want,
      ),
      1e-5,
    );
    yield one;
  }
}

const found = await findAdapter();
const open = await openDevice(found.adapter, found.spec);
const [jax, tf, ort] = [await startJax(found), await startTf(found), await startOrt()];

async function* everyone(given: Operands): AsyncGenerator<Multiplier> {
  yield await ditc(open, given);
  if (jax) yield* jaxProducts(jax, given);
  if (tf) yield* tfProducts(tf, given);
  if (!ort) return;
  for (const provider of ['webgpu', 'cpu'] as const) {
    const made = await optional(`onnxruntime ${provider}`, () => ortProduct(ort, provider, given));
    if (made) yield made;
  }
}

const results = [];
for (const shape of text('shape') ? [text('shape')!] : SHAPES) {
  const given = operands(parseShape(shape));
  const multipliers: Multiplier[] = [];
  for await (const one of right(everyone(given), given)) multipliers.push(one);
  const measured = await measure(multipliers, rounds);
  const macs = given.m * given.k * given.n;
  console.log(`\n${shape.replaceAll('x', '×')}`);
  console.log(sampleTable(measured, { 'GFLOP/s': ({ median }) => gflops(macs, median) }));
  console.log(footer(measured, open.spec));
  results.push({ shape, macs, ...measured });
  for (const one of multipliers) await one.close();
}
writeJson(json, { machine: machine(open.spec), peers: peerVersions(), products: results });
open.close();
process.exit(0);
