/**
 * Convolutions of an image (picture [C,H,W] and weight resident on the device, the result left there), by ditc and by other
 * runtimes. ditc and onnxruntime take [N,C,H,W] and [O,C,k,k]; tfjs takes [N,H,W,C] and [k,k,C,O], its own layout.
 */
import type { EntryFunction } from '../compiler/dsl/index.ts';
import { openDevice, type OpenDevice } from '../runtime/index.ts';
import { findAdapter } from '../runtime/node/adapter.ts';
import { conv2d } from '../models/convolution.ts';
import { mustBeWithin, relativeError, values } from './lib/check.ts';
import { compileEntry, contender, loadEntry } from './lib/ditc.ts';
import { measure, type Contender } from './lib/measure.ts';
import { tensor } from './lib/onnx.ts';
import { ortContender } from './lib/ort.ts';
import { optional, peerVersions, startOrt, startTf, type Ort, type StartedTf } from './lib/peers.ts';
import { footer, gflops, machine, options, sampleTable, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/conv.ts [options]   GFLOP/s of 3×3 convolutions of an image, ditc and other runtimes

  --shape CxOxS   channels in and out and the side of the picture, instead of the three`;
const { rounds, json, text } = options(HELP, { shape: { type: 'string' } });

/** Three of the decoder of an f8 autoencoder (at 256²): its last level, and two of its first ones. */
const SHAPES = ['128x128x256', '256x256x128', '512x512x32'];
const K = 3;

interface Convolution {
  readonly channels: number;
  readonly out: number;
  readonly side: number;
}

function parseShape(shape: string): Convolution {
  const [channels, out, side, ...rest] = shape.split('x').map(Number);
  if (rest.length || ![channels, out, side].every((size) => Number.isInteger(size) && size > 0))
    throw new Error(`--shape is ${shape}: give it as 128x128x256`);
  return { channels, out, side };
}

/** x [C,S,S], w [O,C,k,k]. */
interface Operands extends Convolution {
  readonly x: Float32Array;
  readonly w: Float32Array;
}

const operands = (conv: Convolution): Operands => {
  const { channels, out, side } = conv;
  return { ...conv, x: values(channels * side * side, 1), w: values(out * channels * K * K, 2) };
};

/** Where the result is checked: elements (o, row, column) spread over it, corners included. */
const checked = ({ out, side }: Convolution): [o: number, row: number, column: number][] =>
  Array.from({ length: 64 }, (_, i) => {
    const at = Math.floor((i * (out * side * side - 1)) / 63);
    return [Math.floor(at / side ** 2), Math.floor(at / side) % side, at % side];
  });

/** An element in float64. */
function element({ channels, side, x, w }: Operands, [o, row, column]: readonly number[]): number {
  let sum = 0;
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < K; i++)
      for (let j = 0; j < K; j++) {
        const [r, q] = [row + i - 1, column + j - 1];
        if (r < 0 || q < 0 || r >= side || q >= side) continue;
        sum += x[(c * side + r) * side + q] * w[((o * channels + c) * K + i) * K + j];
      }
  return sum;
}

/** A contender that can show its result in its layout, and be put away. */
interface Convolver extends Contender {
  readonly layout: 'NCHW' | 'NHWC';
  result(): Promise<ArrayLike<number>>;
  close(): Promise<void> | void;
}

async function ditc(open: OpenDevice, { channels, out, side, x, w }: Operands): Promise<Convolver> {
  const main: EntryFunction = (e) => ({
    y: conv2d(e.params, e.input('x', [1, channels, side, side]), out, K, { bias: false }),
  });
  const program = await loadEntry(open, compileEntry(open, main), (name) => (name === 'x' ? x : w));
  return {
    ...contender('ditc', program),
    layout: 'NCHW',
    result: () => program.readOutput('main', 'y'),
    close: () => program.close(),
  };
}

function tfConvolution({ tf, finish }: StartedTf, { channels, out, side, x, w }: Operands): Convolver {
  const picture = tf.tidy(() => tf.transpose(tf.tensor4d(x, [1, channels, side, side]), [0, 2, 3, 1]));
  const weight = tf.tidy(() => tf.transpose(tf.tensor4d(w, [out, channels, K, K]), [2, 3, 1, 0]));
  let last: ReturnType<typeof tf.conv2d> | undefined;
  const submit = () => {
    last?.dispose();
    last = tf.conv2d(picture as never, weight as never, 1, 'same');
  };
  const close = () => tf.dispose([picture, weight, ...(last ? [last] : [])]);
  return { name: 'tfjs', layout: 'NHWC', submit, finish, result: () => last!.data(), close };
}

/** As in gemm.ts: all is constant and folding off, and four numbers of the result are cut out and returned. */
async function ortConvolution(ort: Ort, provider: 'webgpu' | 'cpu', given: Operands): Promise<Convolver> {
  const { channels, out, side, x, w } = given;
  const constants = [tensor('x', [1, channels, side, side], x), tensor('w', [out, channels, K, K], w)];
  const last = { op: 'Conv', inputs: ['x', 'w'], lists: { pads: [1, 1, 1, 1] } };
  const made = await ortContender(ort, provider, { constants, last, shape: [1, out, side, side] });
  return { ...made, layout: 'NCHW' };
}

/** Everyone who gives the right result. */
async function* right(convolvers: AsyncIterable<Convolver>, given: Operands): AsyncGenerator<Convolver> {
  const { out, side } = given;
  const places = checked(given);
  const want = places.map((place) => element(given, place));
  for await (const one of convolvers) {
    await one.submit();
    await one.finish();
    const got = await one.result();
    const at = ([o, row, column]: readonly number[]) =>
      one.layout === 'NCHW' ? (o * side + row) * side + column : (row * side + column) * out + o;
    const picked = places.map((place) => got[at(place)]);
    mustBeWithin(one.name, relativeError(picked, want), 1e-5);
    yield one;
  }
}

const found = await findAdapter();
const open = await openDevice(found.adapter, found.spec);
const [tf, ort] = [await startTf(found), await startOrt()];

async function* everyone(given: Operands): AsyncGenerator<Convolver> {
  yield await ditc(open, given);
  if (tf) yield tfConvolution(tf, given);
  if (!ort) return;
  for (const provider of ['webgpu', 'cpu'] as const) {
    const made = await optional(`onnxruntime ${provider}`, () => ortConvolution(ort, provider, given));
    if (made) yield made;
  }
}

const results = [];
for (const shape of text('shape') ? [text('shape')!] : SHAPES) {
  const given = operands(parseShape(shape));
  const convolvers: Convolver[] = [];
  for await (const one of right(everyone(given), given)) convolvers.push(one);
  const measured = await measure(convolvers, rounds);
  const macs = K * K * given.channels * given.out * given.side ** 2;
  console.log(`\n${K}×${K}, ${given.channels} → ${given.out} channels at ${given.side}²`);
  console.log(sampleTable(measured, { 'GFLOP/s': ({ median }) => gflops(macs, median) }));
  console.log(footer(measured, open.spec));
  results.push({ shape, macs, ...measured });
  for (const one of convolvers) await one.close();
}
writeJson(json, { machine: machine(open.spec), peers: peerVersions(), convolutions: results });
open.close();
process.exit(0);
