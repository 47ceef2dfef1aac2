import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { philox4x32 } from '../../compiler/ops/philox.ts';
import type { Artefact, InitSpec, ParamSpec } from '../../compiler/emit/artefact.ts';
import type { TensorFile, TensorInfo } from '../../runtime/checkpoint/source.ts';
import { openDevice } from '../../runtime/device.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import type { FoundAdapter } from '../../runtime/node/adapter.ts';
import { Program } from '../../runtime/program.ts';
import { fillNormal, fillUniform, keyOf, philoxWords } from '../../runtime/random.ts';
import { decode, encode } from '../../runtime/transfer.ts';
import { initialise, loadParams } from '../../runtime/weights.ts';

let found: FoundAdapter;
let open: OpenDevice;
beforeAll(async () => {
  found = await findAdapter();
  open = await openDevice(found.adapter, found.spec);
});
afterAll(() => {
  open.check();
  open.close();
  found.close();
});

const param = (name: string, shape: number[], init: InitSpec, dtype: ParamSpec['dtype'] = 'f32'): ParamSpec => ({
  name,
  shape,
  dtype,
  init,
});

/** An artefact of parameters only, and one entry that uses the states. */
function artefact(params: ParamSpec[], states: ParamSpec[] = [], data: Artefact['data'] = new Map()): Artefact {
  const updates = states.map(({ name }) => {
    const place = { kind: 'state' as const, name };
    return { to: place, from: place, bytes: 4 };
  });
  const memory = { weightBytes: 0, stateBytes: 0, activationPeakBytes: 0, activationLowerBoundBytes: 0, arenas: [] };
  const step = { inputs: [], outputs: [], macs: 0, paramCount: 0, dispatches: [], updates, changes: [], memory };
  const rest = { format: 1 as const, model: 'tiny', source: 'my.ts', device: 'any', kernels: {}, constants: [] };
  return { manifest: { ...rest, entries: { step }, params, states }, wgsl: new Map(), data };
}

async function using(made: Artefact, use: (program: Program) => Promise<void>): Promise<void> {
  const program = await Program.create(open.device, made);
  try {
    await use(program);
  } finally {
    program.close();
  }
}

/** A checkpoint in memory that counts its reads. */
function fileOf(tensors: Record<string, { shape: number[]; values: ArrayLike<number> }>, chunk: number): TensorFile {
  const infos = Object.entries(tensors).map(([name, { shape }]): TensorInfo => ({ name, dtype: 'f32', shape }));
  return {
    name: 'test.safetensors',
    tensors: new Map(infos.map((info) => [info.name, info])),
    metadata: {},
    async *readF32Chunks(name) {
      const values = Float32Array.from(tensors[name].values);
      for (let at = 0; at < values.length; at += chunk) yield values.subarray(at, at + chunk);
    },
    readF32Range: async (name, first, count) => Float32Array.from(tensors[name].values).subarray(first, first + count),
    readF32: async (name) => Float32Array.from(tensors[name].values),
    readI32: async (name) => Int32Array.from(tensors[name].values),
    async *readRaw(name) {
      yield new Uint8Array(Float32Array.from(tensors[name].values).buffer);
    },
    close: async () => {},
  };
}

describe('random', () => {
  it('is the Philox of the kernels, also where the block index passes 2^32', () => {
    const key = keyOf(42, 'blocks.0.attn.qkv.weight');
    const words = new Uint32Array(400);
    const first = 2 ** 32 - 50;
    philoxWords(words, key, first);
    for (let i = 0; i < 100; i++) {
      const block = first + i;
      const expected = philox4x32([block >>> 0, Math.floor(block / 2 ** 32), 0, 0], key);
      expect([...words.subarray(4 * i, 4 * i + 4)]).toEqual(expected);
    }
    expect(keyOf(42, 'a')).not.toEqual(keyOf(42, 'b'));
    expect(keyOf(42, 'a')).not.toEqual(keyOf(42 + 2 ** 32, 'a'));
  });

  it('does not depend on the size of chunks', () => {
    for (const fill of [fillUniform, fillNormal]) {
      const whole = new Float32Array(10_001);
      fill(whole, [1, 2], 0, 0.5);
      const tail = new Float32Array(10_001 - 4004);
      fill(tail, [1, 2], 4004, 0.5);
      expect(tail).toEqual(whole.slice(4004));
    }
  });

  it('has the moments asked for', () => {
    const count = 2 ** 18;
    const moments = (values: Float32Array) => {
      const mean = values.reduce((sum, x) => sum + x, 0) / count;
      const moment = (power: number) => values.reduce((sum, x) => sum + (x - mean) ** power, 0) / count;
      return [mean, moment(2), moment(4)];
    };
    const values = new Float32Array(count);
    // Standard errors at 2^18 draws: mean σ/512, variance about 1.4·σ²/512, fourth moment about 10·σ⁴/512; five of each.
    fillNormal(values, keyOf(7, 'x'), 0, 2);
    const [mean, variance, fourth] = moments(values);
    expect(Math.abs(mean)).toBeLessThan(5 * (2 / 512));
    expect(Math.abs(variance - 4)).toBeLessThan(5 * ((1.42 * 4) / 512));
    expect(Math.abs(fourth - 48)).toBeLessThan(5 * ((10 * 16) / 512));
    fillUniform(values, keyOf(7, 'x'), 0, 3);
    const [centre, spread] = moments(values);
    expect(Math.abs(centre)).toBeLessThan(5 * (Math.sqrt(3) / 512));
    expect(Math.abs(spread - 3)).toBeLessThan(5 * (2.7 / 512));
    expect(values.every((x) => Math.abs(x) <= 3)).toBe(true);
  });
});

describe('encode', () => {
  it('pads f16 to whole words, and decode drops the padding', () => {
    const spec = { name: 'x', dtype: 'f16' as const, shape: [3] };
    const bytes = encode(spec, new Float32Array([1, -2, 0.5])) as Uint8Array;
    expect([...bytes]).toEqual([0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38, 0, 0]);
    expect(decode(spec, bytes)).toEqual(new Float32Array([1, -2, 0.5]));
  });
});

describe('initialise', () => {
  const params = [
    param('table', [100, 30], { kind: 'normal', std: 0.02 }),
    param('w', [64, 32], { kind: 'uniform', bound: 0.25 }),
    param('zero', [9], { kind: 'zeros' }),
    param('one', [5], { kind: 'ones' }),
    param('fixed', [3], { kind: 'file' }),
    param('count', [2], { kind: 'ones' }, 'u32'),
  ];
  const states = [param('ema', [4], { kind: 'ones' })];
  const data = new Map([['init.fixed', new Float32Array([1.5, 2.5, -3])]]);

  it('fills by seed and name, whatever the order', async () => {
    const read = async (order: ParamSpec[], seed: number) => {
      const values: Record<string, unknown> = {};
      const made = artefact(order, states, data);
      await using(made, async (program) => {
        // What was there before does not show through.
        await program.setParam('zero', new Float32Array(9).fill(7));
        await initialise(program, made, seed);
        for (const { name } of order) values[name] = await program.readParam(name);
        values.ema = await program.readState('ema');
      });
      return values;
    };
    const first = await read(params, 42);
    expect(first).toMatchObject({
      zero: new Float32Array(9),
      one: new Float32Array(5).fill(1),
      fixed: new Float32Array([1.5, 2.5, -3]),
      count: new Uint32Array([1, 1]),
      ema: new Float32Array(4).fill(1),
    });
    expect(await read([...params].reverse(), 42)).toEqual(first);
    expect((await read(params, 43)).w).not.toEqual(first.w);
    const w = first.w as Float32Array;
    expect(new Set(w).size).toBeGreaterThan(2000);
    expect(Math.max(...w.map(Math.abs))).toBeLessThanOrEqual(0.25);
  });

  it('says when a fixed value is missing', () => {
    const made = artefact(params, states);
    return using(made, (program) => expect(initialise(program, made, 1)).rejects.toThrow('no tensor init.fixed'));
  });
});

describe('loadParams', () => {
  const made = artefact([param('a.weight', [3, 5], { kind: 'zeros' }), param('n', [2], { kind: 'zeros' }, 'i32')]);
  const values = Array.from({ length: 15 }, (_, i) => i / 8 - 1);

  it('streams tensors by name', () =>
    using(made, async (program) => {
      const steps: number[] = [];
      const file = fileOf({ n: { shape: [2], values: [-5, 7] }, 'a.weight': { shape: [3, 5], values } }, 4);
      await loadParams(program, file, { onProgress: ({ done, total }) => steps.push(done / total) });
      expect(await program.readParam('a.weight')).toEqual(Float32Array.from(values));
      expect(await program.readParam('n')).toEqual(new Int32Array([-5, 7]));
      expect(steps).toEqual([15 / 17, 1]);
    }));

  it('sets nothing unless everything matches', () =>
    using(made, async (program) => {
      const file = fileOf({ 'a.weight': { shape: [3, 5], values }, m: { shape: [2], values: [1, 2] } }, 4);
      await expect(loadParams(program, file)).rejects.toMatchObject({ code: 'mismatch' });
      expect(await program.readParam('a.weight')).toEqual(new Float32Array(15));
    }));
});
