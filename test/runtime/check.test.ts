/** Which devices run kernels of matrix units: subgroups of the size that these count on, and fragments of their shape. */
import { describe, expect, it } from 'vitest';
import { compileGraphs } from '../../compiler/compile.ts';
import { checkDevice } from '../../runtime/check.ts';
import { MATRIX_DEVICES, productGraph } from '../helpers/fragment-products.ts';

const [sized, , , fixed] = MATRIX_DEVICES;

/** What is said of a product for a device of MATRIX_DEVICES on one that tells such of itself. */
function saidOn(planned: typeof sized, info: Readonly<Record<string, unknown>>): string {
  const dtype = planned === fixed ? 'f32' : 'f16';
  const artefact = compileGraphs([productGraph({ m: 64, n: 64, k: 64 }, dtype)], { device: planned, passes: [] });
  const device = { features: new Set(planned.features), limits: planned.limits, adapterInfo: info };
  try {
    checkDevice(device as unknown as GPUDevice, artefact, Object.keys(artefact.manifest.entries), {
      buffers: new Map(),
    } as unknown as Parameters<typeof checkDevice>[3]);
  } catch (error) {
    return String(error);
  }
  return '';
}

const of = (subgroupMinSize: number, subgroupMaxSize: number, more = {}) => ({
  ...{ subgroupMinSize, subgroupMaxSize },
  ...more,
});

describe('a kernel of fragments', () => {
  it.each([
    ['of a size that it asks for, on a device without it', sized, of(64, 64), 'the device has those of 64 to 64'],
    ['of a size that it asks for, on one of smaller ones', sized, of(8, 16), 'counts on subgroups of 32 lanes'],
    ['of the only size, on a device of several', fixed, of(32, 64), 'the device has those of 32 to 64'],
    ['of other fragments', sized, of(32, 64, { subgroupMatrixConfigs: fixed.subgroupMatrix }), '8×8×8 f32→f32'],
  ])('%s is refused', (_, planned, info, why) => {
    const said = saidOn(planned, info);
    expect(said).toContain('build the model for this device');
    expect(said).toContain(why);
  });

  it.each([
    ['where it may ask for its size', sized, of(32, 64, { subgroupMatrixConfigs: sized.subgroupMatrix })],
    ['where there is no other size', fixed, of(32, 32)],
  ])('runs %s', (_, planned, info) => expect(saidOn(planned, info)).not.toMatch(/subgroups of|matrix units/));
});
