/** `.npy` and `.npz` read in place, against what NumPy wrote. */
import { describe, expect, it } from 'vitest';
import { openNpy, openNpz } from '../../../runtime/checkpoint/npz.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import { expected, failure, fixtureBytes, fixtureSource } from './support.ts';

const truth = (name: string) => expected[`${name}.npy`] as unknown as { shape: number[]; values: number[] };

describe.each(['stored.npz', 'deflated.npz'])('%s', (archive) => {
  it.each(['f4', 'fortran', 'i8', 'u1'])('holds %s, whole and by ranges', async (name) => {
    const file = await openNpz(fixtureSource(archive));
    const { shape, values } = truth(name);
    const floats = values.map(Math.fround);
    expect(file.tensors.get(name)?.shape).toEqual(shape);
    expect([...(await file.readF32(name))]).toEqual(floats);
    expect([...(await file.readF32Range(name, 1, values.length - 1))]).toEqual(floats.slice(1));
    expect([...(await file.readF32Range(name, values.length, 0))]).toEqual([]);
    expect((await failure(() => file.readF32Range(name, 1, values.length))).code).toBe('bad-argument');
  });
});

describe('.npy', () => {
  it('is a file of one tensor', async () => {
    const file = await openNpy(fixtureSource('fortran.npy'), 'x');
    expect([...(await file.readF32('x'))]).toEqual(truth('fortran').values.map(Math.fround));
  });

  it.each(['big_f4', 'big_i8', 'big_fortran'])('%s is read in the other byte order', async (name) => {
    const file = await openNpy(fixtureSource(`${name}.npy`), 'x');
    const { values } = truth(name);
    expect([...(await file.readF32('x'))]).toEqual(values);
    expect([...(await file.readF32Range('x', 1, 2))]).toEqual(values.slice(1, 3));
    expect([...(await file.readI32('x'))]).toEqual(values);
  });

  it('is refused where it is damaged', async () => {
    const cut = new MemorySource('cut.npy', fixtureBytes('f4.npy').subarray(0, -1));
    expect((await failure(() => openNpy(cut, 'x'))).code).toBe('truncated');
    expect((await failure(() => openNpy(new MemorySource('empty.npy', new Uint8Array(0)), 'x'))).code).toBe(
      'bad-format',
    );
  });
});

describe('.npz', () => {
  it('is refused when it is another archive, or damaged', async () => {
    const error = await failure(() => openNpz(fixtureSource('views.pt')));
    expect(error.message).toMatch(/not a \.npz file/);
    const bytes = fixtureBytes('stored.npz');
    expect((await failure(() => openNpz(new MemorySource('cut', bytes.subarray(0, -30))))).code).toBe('bad-format');
  });
});
