/**
 * Devices as JSON: what `ditc doctor` writes is taken whole, what is no device is refused by name.
 * @once
 */
import { expect, it } from 'vitest';
import { knownDevices, specOf } from '../../library/device.ts';
import { ALIGNMENT, PORTABLE } from '../../compiler/device.ts';

const shape = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };

it('matrix units come with the device', () => {
  const device = { ...PORTABLE, name: 'gpu', subgroupMatrix: [shape] };
  expect(specOf(JSON.stringify(device))).toEqual(device);
});

it.each(knownDevices())('%s says what it is called, what it can do and where that is known from', (name) => {
  const { sources, subgroupMatrix = [], features, gflops, ...device } = specOf(name);
  expect(device.name).toBe(name);
  expect(Object.keys(device.limits).sort()).toEqual(Object.keys(PORTABLE.limits).sort());
  const said = Object.values({ ...sources });
  expect(said.length).toBeGreaterThan(0);
  for (const source of said) expect(source).toMatch(/^(adapter|lab|measured|published|standard): /);
  expect(sources!.rates !== undefined).toBe(gflops !== undefined);
  expect(subgroupMatrix.length > 0).toBe(features.includes('chromium-experimental-subgroup-matrix'));
});

it('generations of GPUs are devices, with the shapes of their matrix units', () => {
  const shapes = (name: string) =>
    specOf(name).subgroupMatrix!.map(
      ({ componentType, resultComponentType, M, N, K }) => `${M}×${N}×${K} ${componentType}→${resultComponentType}`,
    );
  const square = ['16×16×16 f16→f16', '16×16×16 f16→f32'];
  for (const name of ['rdna3', 'rdna4', 'hopper', 'ada', 'blackwell']) expect(shapes(name)).toEqual(square);
  expect(shapes('rdna2')).toEqual([]);
  expect(shapes('xe2')).toEqual(['8×16×16 f16→f16', '8×16×16 f16→f32']);
  expect(shapes('apple-m')).toEqual(['8×8×8 f16→f16', '8×8×8 f32→f32']);
});

it('sources that are no words are refused', () => {
  const text = JSON.stringify({ ...PORTABLE, name: 'gpu', sources: { rates: 5 } });
  expect(() => specOf(text)).toThrow(expect.objectContaining({ code: 'device-spec' }));
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
