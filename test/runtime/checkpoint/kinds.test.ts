/** Every kind of tensor that PyTorch writes (make_kinds.py): read as PyTorch reads it, or refused by its name when it is asked for. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openSafetensors } from '../../../runtime/checkpoint/safetensors.ts';
import { openTorch } from '../../../runtime/checkpoint/torch.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import { RuntimeError } from '../../../runtime/error.ts';
import { failure, fixtureBytes, fixtureSource } from './support.ts';

const kinds = JSON.parse(readFileSync(new URL('fixtures/kinds.json', import.meta.url), 'utf8')) as {
  read: Record<string, number[]>;
  unread: Record<string, string>;
};

describe('a .pt with every kind of tensor', async () => {
  const file = await openTorch(fixtureSource('kinds.pt'));

  it.each(Object.entries(kinds.read))('%s has the values that PyTorch reads', async (name, values) => {
    expect([...(await file.readF32(name))]).toEqual(values);
    expect([...(await file.readF32Range(name, 1, values.length - 1))]).toEqual(values.slice(1));
  });

  it.each(Object.entries(kinds.unread))('%s is told as %s', async (name, what) => {
    const error = await failure(() => file.readF32(name));
    expect(error.message).toContain(`"${name}": ${what} is not read; convert it to float32`);
    expect(error.code).toBe('unsupported');
  });
});

describe('a safetensors file with types that are not read', async () => {
  const file = await openSafetensors(fixtureSource('kinds.safetensors'));

  it('has those that are', async () => {
    expect([...(await file.readF32('u32'))]).toEqual(kinds.read.u32);
    expect([...(await file.readI32('u16'))]).toEqual(kinds.read.u16);
    expect((await file.readF32('base')).length).toBe(12);
    expect((await failure(() => file.readI32('u64'))).message).toMatch(/"u64": element 1 is 2147483648/);
  });

  it.each([
    ['fp8', 'F8_E4M3'],
    ['wide', 'F8_E5M2'],
    ['complex', 'C64'],
  ])('names %s as %s', async (name, what) => {
    expect(file.tensors.has(name)).toBe(false);
    expect((await failure(() => file.readF32(name))).message).toContain(`"${name}": ${what} is not read`);
  });
});

describe('checksums of an archive', () => {
  it('let no changed value through', async () => {
    const bytes = Uint8Array.from(fixtureBytes('views.pt'));
    const at = bytes.length / 2; // within the largest storage or its neighbours, all of them summed
    let told = 0;
    for (let i = 0; i < 64; i++) {
      const changed = Uint8Array.from(bytes);
      changed[Math.floor(at) + i] ^= 1;
      const outcome = await readAll(changed).catch((error: unknown) => error);
      if (outcome instanceof RuntimeError) told++;
      else expect(outcome).toEqual(await readAll(bytes));
    }
    expect(told).toBeGreaterThan(0);
  });

  it('may be left out, as PyTorch can be told to', async () => {
    const file = await openTorch(fixtureSource('unchecked.pt'));
    expect([...(await file.readF32('base'))]).toEqual(Array.from({ length: 12 }, (_, i) => i / 4 - 1));
  });
});

async function readAll(bytes: Uint8Array): Promise<Record<string, number[]>> {
  const file = await openTorch(new MemorySource('changed.pt', bytes));
  const values: Record<string, number[]> = {};
  for (const name of file.tensors.keys()) values[name] = [...(await file.readF32(name))];
  return values;
}
