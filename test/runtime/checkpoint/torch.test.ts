import { describe, expect, it } from 'vitest';
import { openFile } from '../../../runtime/node/file.ts';
import { openCheckpoint } from '../../../runtime/checkpoint/open.ts';
import type { TensorFile } from '../../../runtime/checkpoint/source.ts';
import type { TorchOptions } from '../../../runtime/checkpoint/torch-weights.ts';
import { expected, failure, fixture, fixtureSource } from './support.ts';

async function check(file: TensorFile, want: (typeof expected)[string][string]): Promise<void> {
  expect([...file.tensors.keys()].sort()).toEqual(Object.keys(want).sort());
  for (const [name, { dtype, shape, values }] of Object.entries(want)) {
    expect(file.tensors.get(name)).toEqual({ name, dtype, shape });
    expect([...(await file.readF32(name))], name).toEqual(values);
  }
}

describe('.pt files written by PyTorch', () => {
  const files = Object.entries(expected).filter(([name]) => name.endsWith('.pt'));
  for (const [name, parts] of files) {
    for (const [part, want] of Object.entries(parts)) {
      it(`reads ${name}, ${part}`, async () => {
        const prefer = part === 'state_dict' ? undefined : (part as TorchOptions['prefer']);
        const file = await openCheckpoint(await openFile(fixture(name)), { prefer });
        await check(file, want);
        await file.close();
      });
    }
  }

  it('takes ema when there is one, as train.py does', async () => {
    const file = await openCheckpoint(fixtureSource('train.pt'));
    await check(file, expected['train.pt'].ema);
    expect(file.metadata).toMatchObject({
      'torch.part': 'ema',
      step: '50',
      'args.model': 'DiT-XL/2',
      'args.lr': '0.0001',
    });
  });

  it('finds a flat state dict and {state_dict} without being told', async () => {
    await check(await openCheckpoint(fixtureSource('root.pt')), expected['root.pt'].root);
    await check(await openCheckpoint(fixtureSource('state_dict.pt')), expected['state_dict.pt'].state_dict);
  });

  it('says which parts there are when the preferred one is missing', async () => {
    const missing = await failure(() => openCheckpoint(fixtureSource('state_dict.pt'), { prefer: 'ema' }));
    expect(missing.message).toBe(
      'state_dict.pt: there is no "ema" dict in it: it holds "state_dict", "epoch"; name a part that is there, or none: then the first of ema, model and state_dict is taken',
    );
    const flat = await failure(() => openCheckpoint(fixtureSource('train.pt'), { prefer: 'root' }));
    expect(flat.message).toContain('there are no tensors in its root dict: it holds "model", "ema"');
  });

  it('streams in chunks of any size with the same values, contiguous or not', async () => {
    const file = await openCheckpoint(fixtureSource('views.pt'));
    for (const [name, { values }] of Object.entries(expected['views.pt'].root)) {
      for (const size of [1, 2, 3, 5, 7, 1000]) {
        const got: number[] = [];
        for await (const chunk of file.readF32Chunks(name, size)) {
          expect(chunk.length).toBeLessThanOrEqual(size);
          expect(chunk.length).toBeGreaterThan(0);
          got.push(...chunk);
        }
        expect(got, `${name} by ${size}`).toEqual(values);
      }
    }
    const zero = await failure(async () => {
      for await (const _ of file.readF32Chunks('base', 0));
    });
    expect(zero.code).toBe('bad-argument');
  });

  it('reads whole numbers as i32 and refuses fractions', async () => {
    const file = await openCheckpoint(fixtureSource('dtypes.pt'));
    expect([...(await file.readI32('i64'))]).toEqual([-3, 0, 2 ** 31 - 1]);
    expect([...(await file.readI32('bool'))]).toEqual([1, 0, 1]);
    expect([...(await file.readI32('i16'))]).toEqual([-32768, 32767]);
    expect((await failure(() => file.readI32('f32'))).message).toContain('element 1 is -0.75, which does not fit i32');
    expect((await failure(() => file.readF32('nope'))).message).toContain('there is no tensor "nope"');
  });

  it('keeps the sign of f16 zero', async () => {
    const file = await openCheckpoint(fixtureSource('dtypes.pt'));
    expect(Object.is((await file.readF32('f16_special'))[2], -0)).toBe(true);
  });

  it('refuses names off the allow-list, and runs nothing', async () => {
    const { existsSync } = await import('node:fs');
    const evil = await failure(() => openCheckpoint(fixtureSource('evil.pt')));
    expect(evil.code).toBe('forbidden-global');
    expect(evil.message).toMatch(/^evil.pt: "evil\/data.pkl" at byte \d+: it uses "posix.system": /);
    expect(existsSync('/tmp/ditc-pwned')).toBe(false);
    const scalar = await failure(() => openCheckpoint(fixtureSource('numpy_scalar.pt')));
    expect(scalar.message).toMatch(/it uses "numpy\.\S+scalar"/);
  });

  it('reads the legacy format', async () => {
    const file = await openCheckpoint(fixtureSource('legacy.pt'));
    expect([...(await file.readF32('w'))]).toEqual([-1, -0.75, -0.5]);
  });

  it('tells what other files are, and how to get a readable one', async () => {
    expect((await failure(() => openCheckpoint(fixtureSource('script.pt')))).message).toContain('TorchScript');
    expect((await failure(() => openCheckpoint(fixtureSource('f4.npy')))).message).toContain('NumPy array');
  });
});
