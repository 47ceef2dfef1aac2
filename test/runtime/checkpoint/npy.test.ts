import { describe, expect, it } from 'vitest';
import { RuntimeError } from '../../../runtime/error.ts';
import { encodeNpy, npyToF32, parseNpy } from '../../../runtime/checkpoint/npy.ts';
import type { NpyArray } from '../../../runtime/checkpoint/npy.ts';
import { ascii, concat, little } from './build.ts';
import { expected, failure, fixtureBytes, mutate, random } from './support.ts';

const names = Object.keys(expected).filter((name) => name.endsWith('.npy'));
const npy = (header: string, data = new Uint8Array(0), length = header.length) =>
  concat(Uint8Array.of(0x93), ascii('NUMPY\x01\x00'), little([16, length]), ascii(header), data);
const header = (descr: string, shape: string) => `{'descr': ${descr}, 'fortran_order': False, 'shape': ${shape}, }`;

describe('.npy', () => {
  for (const name of names) {
    it(`reads ${name} as NumPy does`, () => {
      const { shape, values } = expected[name] as unknown as { shape: number[]; values: number[] };
      const array = parseNpy(fixtureBytes(name), name);
      expect(array.shape).toEqual(shape);
      expect(Array.from(array.data as Iterable<number | bigint>, Number)).toEqual(values);
      expect([...npyToF32(array)]).toEqual(values.map(Math.fround));
    });
  }

  for (const name of ['b1', 'f2', 'f4', 'f8', 'i1', 'i4', 'i8', 'u1', 'scalar', 'empty'].map((n) => `${n}.npy`)) {
    it(`writes ${name} byte for byte as NumPy does`, () => {
      expect(encodeNpy(parseNpy(fixtureBytes(name), name))).toEqual(fixtureBytes(name));
    });
  }

  it('reads the other ways of writing a header', () => {
    const four = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
    expect(parseNpy(npy(header("'<f4'", '(4,)').replace(', }', '}'), four), 'x').shape).toEqual([4]);
    expect(parseNpy(npy(header("'<f4'", '(2L, 2L)'), four), 'x').shape).toEqual([2, 2]);
    const v3 = header("'<f4'", '(2, 2)');
    const version3 = concat(Uint8Array.of(0x93), ascii('NUMPY\x03\x00'), little([32, v3.length]), ascii(v3), four);
    expect(parseNpy(version3, 'x').shape).toEqual([2, 2]);
  });

  const cases: [string, Uint8Array, RegExp][] = [
    ['object arrays', fixtureBytes('object.npy'), /the dtype is "\|O"/],
    ['structured arrays', fixtureBytes('struct.npy'), /structured and object arrays are not read/],
    ['another file', ascii('PK\x03\x04 and more'), /not a .npy file/],
    [
      'code in the header',
      npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}"),
      /the header is malformed/,
    ],
    ['a missing key', npy("{'descr': '<f4', 'shape': ()}"), /the header is malformed/],
    ['a repeated key', npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False}"), /the header is malformed/],
    ['a huge shape', npy(header("'<f4'", '(99999999, 99999999, 9)')), /product is below 2\^53/],
    ['a shape beyond the data', npy(header("'<f4'", '(1000000000,)')), /takes 4000000000 bytes, the file has 0/],
    ['trailing bytes', npy(header("'<f4'", '()'), new Uint8Array(8)), /shape and data disagree/],
    ['a header beyond the file', npy('{}', undefined, 60000), /ends inside its header/],
    ['an unknown version', concat(Uint8Array.of(0x93), ascii('NUMPY\x09\x00\x00\x00')), /version is 9/],
    ['a very long header', npy(' '.repeat(60000) + '{', undefined), /the header is malformed/],
    ['complex numbers', npy(header("'<c8'", '()'), new Uint8Array(8)), /the dtype is "<c8"/],
  ];
  for (const [name, bytes, message] of cases) {
    it(`refuses ${name}`, async () => {
      const error = await failure(() => parseNpy(bytes, 'x.npy'));
      expect(error.message).toMatch(message);
      expect(error.where).toBe('x.npy');
    });
  }

  it('refuses values that do not match', async () => {
    const short: NpyArray = { dtype: 'f32', shape: [3], data: new Float32Array(2) };
    expect((await failure(() => encodeNpy(short))).message).toContain('shape [3] holds 3 values, 2 were given');
  });

  it('throws only RuntimeError, for every prefix and 2,000 mutations', async () => {
    const start = performance.now();
    for (const name of ['f4.npy', 'fortran.npy', 'b1.npy']) {
      const bytes = fixtureBytes(name);
      for (let n = 0; n < bytes.length; n++) await failure(() => parseNpy(bytes.subarray(0, n), name));
    }
    const next = random(7);
    for (let i = 0; i < 2000; i++) {
      const bytes = mutate(fixtureBytes(names[i % names.length]), next);
      try {
        parseNpy(bytes, 'mutated');
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error;
      }
    }
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
