/** What kernels of attention pad does not show on a device: the last element of an operand is infinite. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileGraphs } from '../../compiler/compile.ts';
import { PORTABLE } from '../../compiler/device.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { Program } from '../../runtime/program.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { attentionWithDerivatives, infiniteAtTheEndOf, OPERANDS } from '../helpers/infinite-attention.ts';
import { expectSame } from '../helpers/not-finite.ts';
import { KERNEL } from '../helpers/tolerances.ts';

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

describe('attention and its derivatives', () => {
  it.each(['this device', 'any device'])('keep an infinity where it is, compiled for %s', async (which) => {
    const device = which === 'any device' ? PORTABLE : { ...gpu.spec, cacheBytes: 0 };
    const artefact = compileGraphs([attentionWithDerivatives], { device, verify: true });
    const families = Object.values(artefact.manifest.kernels).map(({ plan }) => plan.family);
    // Software GPUs, which tests run on, have subgroups of 4 or 8; not every device has any.
    expect(families).toContain(which === 'any device' ? 'attention-gradient' : 'attention-gradient-subgroup');
    const program = await Program.create(gpu.opened.device, artefact);
    for (const operand of OPERANDS) {
      const bindings = infiniteAtTheEndOf(operand);
      const want = interpret(attentionWithDerivatives, bindings).outputs;
      for (const name of OPERANDS) program.write(name, Float32Array.from(bindings[name]));
      await program.run(attentionWithDerivatives.name);
      for (const [name, { data }] of Object.entries(want)) {
        const got = await program.readOutput(attentionWithDerivatives.name, name);
        expectSame(got, data, KERNEL, `${operand}: ${name}`);
      }
    }
    program.close();
  });
});
