/** The way back from a result that is not finite, where a kernel has other results that are not either. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compile, loadModel } from '../../../cli/model.ts';
import { originOf, traceRun } from '../../../cli/verify/trace.ts';
import { Program } from '../../../runtime/program.ts';
import { initialise } from '../../../runtime/weights.ts';
import { scratchFolder } from '../../compiler/frontend/scratch.ts';
import { TestGpu } from '../../helpers/gpu.ts';

const folder = scratchFolder();

/** `a` and `b` share a kernel; only `b` has to do with `y`. */
const BESIDE = `import { defineModel, ones, sin } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    f(e) {
      const x = e.input('x', [4, 4]);
      const mixed = e.input('y', [4, 4]).matmul(e.params.param('w', [4, 4], ones));
      return { a: sin(x), b: x.add(mixed).add(mixed.permute(1, 0)) };
    },
  },
});
`;

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

it('follows what a result is computed from, not what else its kernel reads', async () => {
  const loaded = loadModel(join(folder({ 'beside.ts': BESIDE }), 'beside.ts'));
  const { artefact, entries } = compile(loaded, { device: gpu.spec, entryOptions: { batch: 1 } });
  const { outputs, dispatches } = artefact.manifest.entries.f;
  const index = dispatches.findIndex(({ resources }) =>
    outputs.every(({ resource }) => resources.some((r) => JSON.stringify(r) === JSON.stringify(resource))),
  );
  expect(index, 'one kernel writes a and b').toBeGreaterThan(0);
  const { kernel } = dispatches[index];
  const broken = artefact.wgsl.get(kernel)!.replace(/^ *(a\[[^\]]+\]) = (.*);/m, '$1 = ($2 + 2.0) * 3e38 * 3e38;');
  expect(broken).not.toBe(artefact.wgsl.get(kernel));
  const wgsl = new Map(artefact.wgsl).set(kernel, broken);
  const program = await Program.create(gpu.opened.device, { ...artefact, wgsl });
  try {
    await initialise(program, artefact, 1);
    program.write('x', new Float32Array(16).fill(0.5));
    program.write('y', new Float32Array(16).fill(Infinity));
    const trace = await traceRun(program, entries[0]);
    const [a, b] = entries[0].graph.outputs.map(({ node }) => node);
    expect(originOf(entries[0], [trace], a)).toEqual({ run: 0, index });
    expect(originOf(entries[0], [trace], b)).toEqual({ run: 0, kind: 'input', name: 'y' });
  } finally {
    program.close();
  }
});
