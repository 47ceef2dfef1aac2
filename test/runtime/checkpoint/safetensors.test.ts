import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../../runtime/checkpoint/open.ts';
import { openSafetensors } from '../../../runtime/checkpoint/safetensors.ts';
import { writeSafetensors } from '../../../runtime/checkpoint/safetensors-write.ts';
import type { TensorToWrite } from '../../../runtime/checkpoint/safetensors-write.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import { ascii, concat, little, SparseSource } from './build.ts';
import { expected, failure, fixture, fixtureSource } from './support.ts';

const MIXED = 'mixed.safetensors';

/** A file with this header text and so many zero bytes of data. */
function file(header: string, dataBytes = 0, name = 'x.safetensors'): MemorySource {
  const json = new TextEncoder().encode(header);
  return new MemorySource(name, concat(little([64, json.length]), json, new Uint8Array(dataBytes)));
}
const entry = (dtype: string, shape: string, begin: number, end: number) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

async function written(tensors: TensorToWrite[], metadata?: Record<string, string>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  await writeSafetensors(async (bytes) => void parts.push(bytes.slice()), tensors, metadata);
  return concat(...parts);
}
const f32 = (name: string, shape: number[], ...values: number[]): TensorToWrite => ({
  name,
  dtype: 'f32',
  shape,
  chunks: () => [Float32Array.from(values)],
});

describe('safetensors reader', () => {
  it('reads what the reference library wrote', async () => {
    const opened = await openCheckpoint(fixtureSource(MIXED));
    expect(opened.metadata).toEqual({ format: 'pt', note: 'naïve "x"' });
    expect([...opened.tensors.keys()].sort()).toEqual(Object.keys(expected[MIXED].root).sort());
    for (const [name, { dtype, shape, values }] of Object.entries(expected[MIXED].root)) {
      expect(opened.tensors.get(name)).toEqual({ name, dtype, shape });
      expect([...(await opened.readF32(name))], name).toEqual(values);
    }
    expect([...(await opened.readI32('e.i64'))]).toEqual([1, -2]);
  });

  it('reads an empty file and one padded with spaces', async () => {
    expect((await openSafetensors(file('{}'))).tensors.size).toBe(0);
    expect((await openSafetensors(file('{}      '))).tensors.size).toBe(0);
  });

  it('reads a tensor beyond 4 GiB without reading what is before it', async () => {
    const hole = 5 * 2 ** 30;
    const header = ascii(`{"hole":${entry('U8', `[${hole}]`, 0, hole)},"w":${entry('F32', '[2]', hole, hole + 8)}}`);
    const start = 8 + header.length;
    const values = new Uint8Array(Float32Array.of(1.5, -2).buffer);
    const source = new SparseSource('big.safetensors', start + hole + 8, [
      [0, concat(little([64, header.length]), header)],
      [start + hole, values],
    ]);
    const opened = await openCheckpoint(source);
    expect([...(await opened.readF32('w'))]).toEqual([1.5, -2]);
    expect(source.bytesRead).toBeLessThan(4096);
  });

  it('refuses an i64 that does not fit i32, naming the tensor', async () => {
    const bytes = await written([
      { name: 'ids', dtype: 'i64', shape: [1], chunks: () => [BigInt64Array.of(2n ** 40n)] },
    ]);
    const opened = await openSafetensors(new MemorySource('x', bytes));
    expect((await failure(() => opened.readI32('ids'))).message).toMatch(
      /^x: "ids": element 0 is 1099511627776, which does not fit i32/,
    );
    expect([...(await opened.readF32('ids'))]).toEqual([2 ** 40]);
  });

  const cases: [string, MemorySource, RegExp][] = [
    [
      'an overlap',
      file(`{"a":${entry('U8', '[4]', 0, 4)},"b":${entry('U8', '[4]', 2, 6)}}`, 6),
      /tensor "b" overlaps tensor "a"/,
    ],
    [
      'a hole',
      file(`{"a":${entry('U8', '[2]', 0, 2)},"b":${entry('U8', '[2]', 4, 6)}}`, 6),
      /"b" leaves a hole after tensor "a"/,
    ],
    ['a hole at the start', file(`{"a":${entry('U8', '[2]', 2, 4)}}`, 4), /leaves a hole after the header/],
    ['trailing bytes', file(`{"a":${entry('U8', '[2]', 0, 2)}}`, 4), /bytes follow the last tensor/],
    ['data beyond the end', file(`{"a":${entry('U8', '[9]', 0, 9)}}`, 4), /tensor "a" lies beyond the end/],
    ['begin after end', file(`{"a":${entry('U8', '[2]', 4, 2)}}`, 4), /data_offsets are malformed/],
    ['negative offsets', file(`{"a":${entry('U8', '[2]', -2, 0)}}`, 4), /data_offsets are malformed/],
    ['a negative size', file(`{"a":${entry('U8', '[-2]', 0, 2)}}`, 2), /the shape is malformed/],
    ['a fractional size', file(`{"a":${entry('U8', '[1.5]', 0, 2)}}`, 2), /the shape is malformed/],
    ['sizes beyond 2^53', file(`{"a":${entry('U8', '[9007199254740993]', 0, 2)}}`, 2), /the shape is malformed/],
    [
      'a product beyond 2^53',
      file(`{"a":${entry('F32', '[99999999,99999999,9]', 0, 2)}}`, 2),
      /takes over 2\^53 bytes/,
    ],
    [
      'a shape that disagrees',
      file(`{"a":${entry('F32', '[2]', 0, 4)}}`, 4),
      /shape \[2\] of f32 takes 8 bytes, data_offsets hold 4/,
    ],
    ['no dtype', file(`{"a":${entry('f 32', '[2]', 0, 2)}}`, 2), /the dtype is "f 32".*a name such as F32/],
    ['a missing dtype', file('{"a":{"shape":[1],"data_offsets":[0,1]}}', 1), /the dtype is missing/],
    ['an unknown key', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}', 1), /its keys must be/],
    [
      'a duplicate tensor',
      file(`{"a":${entry('U8', '[1]', 0, 1)},"a":${entry('U8', '[1]', 0, 1)}}`, 1),
      /the key "a" appears twice/,
    ],
    ['a duplicate by escape', file(`{"a":${entry('U8', '[1]', 0, 1)},"\\u0061":1}`, 1), /the key "a" appears twice/],
    ['a duplicate key inside', file('{"a":{"dtype":"U8","dtype":"F32"}}'), /the key "dtype" appears twice/],
    ['metadata that is no text', file('{"__metadata__":{"a":1}}'), /__metadata__ "a" is malformed/],
    ['a header that is a list', file('[]'), /it must begin with \{/],
    ['text after the header', file('{} x'), /text follows/],
    ['deep nesting', file(`{"a":${'['.repeat(5000)}`), /nested deeper/],
    ['an unclosed string', file('{"a'), /a string is not closed/],
    ['a bad escape', file('{"\\q":1}'), /invalid escape/],
    ['a raw control character', file('{"a\n":1}'), /a string is not closed/],
    ['an escape at the end', file('{"a\\'), /a string is not closed/],
    ['bad UTF-8', new MemorySource('x', concat(little([64, 3]), Uint8Array.of(0x7b, 0xff, 0x7d))), /not valid UTF-8/],
    [
      'a header beyond the file',
      new MemorySource('x', concat(little([64, 99]), ascii('{}'))),
      /ends inside its header/,
    ],
    ['a header of 2^63 bytes', new MemorySource('x', concat(little([64, 2 ** 63]), ascii('{}'))), /at most 100000000/],
    ['a header of 200 MB', new MemorySource('x', concat(little([64, 2e8]), ascii('{}'))), /at most 100000000/],
  ];
  for (const [name, source, message] of cases) {
    it(`refuses ${name}`, async () => {
      const error = await failure(() => openSafetensors(source));
      expect(error.message).toMatch(message);
      expect(error.where).toBe(source.name);
      expect(error.fix).toBeTruthy();
    });
  }

  it('keeps __proto__ an ordinary name', async () => {
    const opened = await openSafetensors(
      file(`{"__metadata__":{"__proto__":"m"},"__proto__":${entry('U8', '[1]', 0, 1)}}`, 1),
    );
    expect([...opened.tensors.keys()]).toEqual(['__proto__']);
    expect(Object.entries(opened.metadata)).toEqual([['__proto__', 'm']]);
  });
});

describe('safetensors writer', () => {
  it('writes back the reference file byte for byte', async () => {
    const original = await openCheckpoint(fixtureSource(MIXED));
    const bytes = new Uint8Array(await readFile(fixture(MIXED)));
    const tensors = [...original.tensors.values()].map((info) => ({
      ...info,
      chunks: () => original.readF32Chunks(info.name, 2),
    }));
    // The reference writer orders metadata by hash, so that is compared as values.
    const again = await written(tensors, original.metadata);
    const [a, b] = [bytes, again].map((x) => x.subarray(8 + Number(new DataView(x.buffer).getBigUint64(0, true))));
    expect(b).toEqual(a);
    const reopened = await openSafetensors(new MemorySource('again', again));
    expect(reopened.metadata).toEqual(original.metadata);
    expect([...reopened.tensors.entries()]).toEqual([...original.tensors.entries()]);
  });

  it('aligns data to 8 bytes and writes the same bytes for the same input', async () => {
    const tensors = () => [
      f32('b', [2], 1, 2),
      { ...f32('a', [], 3), dtype: 'f64' as const },
      { ...f32('h', [1], 1), dtype: 'f16' as const },
    ];
    const [one, two] = [await written(tensors()), await written(tensors())];
    expect(one).toEqual(two);
    expect(Number(new DataView(one.buffer).getBigUint64(0, true)) % 8).toBe(0);
    const opened = await openSafetensors(new MemorySource('x', one));
    expect([...opened.tensors.keys()]).toEqual(['a', 'b', 'h']);
    expect([...(await opened.readF32('a'))]).toEqual([3]);
  });

  it('refuses values that do not fit the shape or the dtype, and names used twice', async () => {
    expect((await failure(() => written([f32('w', [3], 1)]))).message).toMatch(
      /^tensor "w": values and shape disagree/,
    );
    expect((await failure(() => written([f32('w', [1], 1, 2)]))).message).toContain('takes 4 bytes, its values took 8');
    expect((await failure(() => written([f32('w', [-1])]))).message).toContain('sizes must be non-negative');
    expect((await failure(() => written([f32('w', [], 1), f32('w', [], 1)]))).message).toContain('the name is taken');
    expect((await failure(() => written([f32('__metadata__', [], 1)]))).message).toContain('the name is taken');
    const bool = { ...f32('w', [1], 2), dtype: 'bool' as const };
    expect((await failure(() => written([bool]))).message).toContain('the value 2 cannot be stored as bool');
    const nan = { ...f32('w', [1], NaN), dtype: 'i32' as const };
    expect((await failure(() => written([nan]))).message).toContain('the value NaN cannot be stored as i32');
  });
});
