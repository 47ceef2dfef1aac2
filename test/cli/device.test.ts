/** Devices as JSON: what `ditc doctor` writes is taken whole, what is no device is refused by name. */
import { expect, it } from 'vitest';
import { specOf } from '../../cli/device.ts';
import { ALIGNMENT, PORTABLE } from '../../compiler/device.ts';

const shape = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };

it('matrix units come with the device', () => {
  const device = { ...PORTABLE, name: 'gpu', subgroupMatrix: [shape] };
  expect(specOf(JSON.stringify(device))).toEqual(device);
});

it.each([
  ['no list', shape],
  ['a shape without sizes', [{ ...shape, K: undefined }]],
  ['half a row', [{ ...shape, M: 0.5 }]],
  ['types that are no names', [{ ...shape, componentType: 16 }]],
])('matrix units that are %s are refused', (_, subgroupMatrix) => {
  const text = JSON.stringify({ ...PORTABLE, name: 'gpu', subgroupMatrix });
  expect(() => specOf(text)).toThrow(expect.objectContaining({ code: 'device-spec' }));
});

it('bindings start where WebGPU lets those of any device start', () => {
  expect(ALIGNMENT).toBe(256);
});
