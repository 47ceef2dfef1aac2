/**
 * A model too large for the test suite, run whole: `npx tsx test/gpu/large.ts [models/dit-xl.ts] [--rows N]` draws random
 * weights (none zero), runs `forward` at batch 1 on the GPU and compares the first N rows of the picture with the float64
 * interpreter. DiT-XL/2 takes some minutes and about 12 GB.
 */
import { loadModel } from '../../compiler/frontend/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { nodesOf, sizeOf } from '../../compiler/ir/index.ts';
import { interpret, Random } from '../../compiler/ops/index.ts';
import { compileModel } from '../../compiler/pipeline.ts';
import { Program } from '../../runtime/program.ts';
import { relativeError, TestGpu, typed } from '../helpers/gpu.ts';

/** Float32 forward pass against float64 (DESIGN.md section 4). */
const TOLERANCE = 1e-4;

const args = process.argv.slice(2);
const rowsAt = args.indexOf('--rows');
const rows = rowsAt >= 0 ? Number(args.splice(rowsAt, 2)[1]) : 2;
const file = args[0] ?? 'models/dit-xl.ts';
const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Weights of a trained network's scale, U(±√(3/fan-in)), so that every path carries signal. */
function weights(name: string, shape: readonly number[]): Float32Array {
  const random = new Random([...name].reduce((hash, c) => Math.imul(hash, 31) + c.charCodeAt(0), 7));
  const bound = Math.sqrt(3 / (shape.length > 1 ? sizeOf(shape.slice(1)) : 100));
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = random.uniform(-bound, bound);
  return values;
}

const { model, name, source } = loadModel(file);
const { graph, params } = traceEntry(model, 'forward', { batch: 1 });
const bindings: Record<string, Float32Array | Int32Array> = {};
for (const node of nodesOf(graph)) {
  if (node.op === 'param') bindings[String(node.attrs.name)] = weights(String(node.attrs.name), node.type.shape);
}
const random = new Random(1);
for (const input of graph.inputs) {
  const draw = input.type.dtype === 'f32' ? () => random.uniform(-2, 2) : () => random.int(0, 9);
  const values = Array.from({ length: sizeOf(input.type.shape) }, draw);
  bindings[String(input.attrs.name)] = typed(
    input.type.dtype,
    input.attrs.name === 't' ? [417] : values,
  ) as Float32Array;
}

const gpu = await TestGpu.open();
const entryOptions = { batch: 1 };
const artefact = compileModel(model, { name, source, device: gpu.spec, entries: ['forward'], entryOptions });
const program = await Program.create(gpu.opened.device, artefact);
for (const { node } of params) await program.setParam(String(node.attrs.name), bindings[String(node.attrs.name)]);
for (const input of graph.inputs) program.write(String(input.attrs.name), bindings[String(input.attrs.name)]);
let start = performance.now();
await program.run('forward');
const got = await program.readOutput('forward', 'out');
console.log(`${name} forward on ${gpu.spec.name}: ${seconds(start)}, shader compilation included`);
start = performance.now();
await program.run('forward');
await program.sync();
console.log(`again: ${seconds(start)}`);
program.close();
gpu.close();

start = performance.now();
const { out } = interpret(graph, bindings).outputs;
const count = rows * out.shape[out.shape.length - 1];
console.log(`interpreter: ${seconds(start)}`);
const error = relativeError(got.subarray(0, count), out.data.subarray(0, count));
const whole = relativeError(got, out.data);
console.log(
  `relative error of ${count} outputs: ${error.toExponential(2)}; of all ${out.data.length}: ${whole.toExponential(2)}`,
);
if (!(error <= TOLERANCE && whole <= TOLERANCE)) process.exit(1);
