/**
 * A model too large for the test suite, run whole: `npx tsx test/gpu/large.ts [models/dit-xl.ts] [--pytorch PYTHON]` draws
 * random weights (none zero), runs `forward` at batch 1 on the GPU and compares the picture with the float64 interpreter, or
 * with PyTorch (test/golden/requirements.txt), which is quicker. DiT-XL/2 takes some minutes and about 12 GB.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '../../compiler/frontend/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { nodesOf, sizeOf } from '../../compiler/ir/index.ts';
import { interpret, Random } from '../../compiler/ops/index.ts';
import { compileModel } from '../../compiler/compile.ts';
import { openSafetensors } from '../../runtime/checkpoint/safetensors.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { openFile, writeAtomically } from '../../runtime/node/file.ts';
import { Program } from '../../runtime/program.ts';
import { TestGpu, typed } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { PASS } from '../helpers/tolerances.ts';

const args = process.argv.slice(2);
const pythonAt = args.indexOf('--pytorch');
const python = pythonAt >= 0 ? args.splice(pythonAt, 2)[1] : undefined;
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
program.close();
gpu.close();

start = performance.now();
const expected = python ? await byPyTorch(python) : interpret(graph, bindings).outputs.out.data;
console.log(`${python ? 'PyTorch' : 'interpreter'}: ${seconds(start)}`);
const error = relativeError(got, expected);
console.log(`relative error of ${expected.length} outputs: ${error.toExponential(2)}`);
if (!(error <= PASS)) process.exit(1);

/** The same forward pass by test/golden/dit_reference.py. */
async function byPyTorch(command: string): Promise<Float32Array> {
  const folder = mkdtempSync(join(tmpdir(), 'ditc-large-'));
  try {
    const [given, made] = [join(folder, 'in.safetensors'), join(folder, 'out.safetensors')];
    const leaves = [...graph.inputs, ...params.map(({ node }) => node)];
    const tensors = leaves.map(({ op, attrs, type }) => {
      const chunks = () => [bindings[String(attrs.name)]];
      return {
        name: `${op}.${String(attrs.name)}`,
        dtype: type.dtype as 'f32' | 'i32',
        shape: [...type.shape],
        chunks,
      };
    });
    const metadata = { config: JSON.stringify(model.config) };
    await writeAtomically(given, (write) => writeSafetensors(write, tensors, metadata));
    const script = new URL('../golden/large_forward.py', import.meta.url).pathname;
    execFileSync(command, [script, given, made], { stdio: 'inherit' });
    const source = await openFile(made);
    const values = await (await openSafetensors(source)).readF32('out');
    await source.close();
    return values;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
