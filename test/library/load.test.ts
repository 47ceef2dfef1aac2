/** `load` of `ditc/runtime`: an artefact from memory or a folder, run entry by entry from a program. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineModel, normal, ones } from '../../compiler/dsl/index.ts';
import { compile } from '../../library/compiler.ts';
import { dit } from '../../models/dit.ts';
import { load, openGpu, writeAtomically, type OpenDevice, type RunnableModel } from '../../runtime/node/index.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';

const model = defineModel({
  config: {},
  entries: {
    scale(e) {
      const x = e.input('x', [e.batch, 2]);
      const k = e.input('k', [], 'i32');
      const flags = e.input('flags', [2], 'bool');
      const w = e.params.param('w', [2], ones);
      const n = e.state('n', [2]);
      e.update(n, n.add(w));
      return { scaled: x.mul(w).mul(k.cast('f32')).mul(flags.cast('f32')), next: k.add(1) };
    },
    count(e) {
      const n = e.state('n', [2]);
      e.update(n, n.add(10));
    },
    noise: (e) => ({ same: e.params.param('v', [3], normal(1)).mul(1) }),
  },
});

const network = dit({
  inputSize: 8,
  patchSize: 4,
  inChannels: 1,
  hiddenSize: 16,
  depth: 1,
  numHeads: 2,
  numClasses: 5,
});

const folder = scratchFolder();
let device: OpenDevice;
beforeAll(async () => void (device = await openGpu()));
afterAll(() => device.close());

const inputs = { x: [1, 2, 3, 4], k: 3, flags: [true, true] };

async function loaded(options: Parameters<typeof load>[1] = {}): Promise<RunnableModel> {
  const artefact = await compile(model, { batch: 2, device: device.spec });
  return load(artefact, { device, ...options });
}

describe('a loop that is counted', () => {
  const counted = defineModel({
    config: {},
    entries: {
      step(e) {
        const i = e.counter('i', 3);
        e.update(i, i.add(1));
        return { square: i.mul(i) };
      },
    },
  });

  it('runs as often as it is built for, and again when it is set back', async () => {
    const m = await load(await compile(counted, { device: device.spec }), { device });
    const squares = async () => [(await m.run('step', {})).square.data[0], (await m.run('step', {})).square.data[0]];
    expect(await squares()).toEqual([0, 1]);
    await m.run('step', {}, { outputs: [] });
    await expect(m.run('step', {})).rejects.toMatchObject({
      code: 'out-of-range',
      what: 'step cannot be run: its counter i is 3',
      fix: expect.stringContaining('3 times at most') as string,
    });
    await m.setState('i', 1);
    expect(await squares()).toEqual([1, 4]);
    await m.setState('i', -1);
    await expect(m.run('step', {})).rejects.toMatchObject({ code: 'out-of-range' });
    await m.dispose();
  });
});

describe('a run', () => {
  it('takes arrays, numbers and tensors, and gives values with their shape and type', async () => {
    const m = await loaded();
    const { scaled, next } = await m.run('scale', { x: [[1, 2], [3, 4]], k: 3, flags: [true, false] }); // prettier-ignore
    expect(scaled).toEqual({ data: Float32Array.of(3, 0, 9, 0), shape: [2, 2], dtype: 'f32' });
    expect(next).toEqual({ data: Int32Array.of(4), shape: [], dtype: 'i32' });
    const again = await m.run('scale', { x: scaled, k: next, flags: Uint32Array.of(1, 1) });
    expect(again.scaled.data).toEqual(Float32Array.of(12, 0, 36, 0));
    await m.dispose();
  });

  it('keeps states for the next run, of whichever entry; they are read and written', async () => {
    const m = await loaded();
    await m.run('scale', inputs);
    await m.run('count', {});
    await m.run('scale', inputs, { outputs: [] });
    expect(await m.state('n')).toEqual({ data: Float32Array.of(12, 12), shape: [2], dtype: 'f32' });
    await m.setState('n', [1, 2]);
    await m.run('count', {});
    expect((await m.state('n')).data).toEqual(Float32Array.of(11, 12));
    await m.dispose();
  });

  it('reads back the outputs asked for only', async () => {
    const m = await loaded();
    expect(Object.keys(await m.run('scale', inputs, { outputs: ['next'] }))).toEqual(['next']);
    expect(await m.run('scale', inputs, { outputs: [] })).toEqual({});
    await m.dispose();
  });

  it('waits for those asked for before: each gets its own values', async () => {
    const m = await loaded();
    const all = [1, 2, 3, 4].map((k) => m.run('scale', { ...inputs, k }));
    const counted = m.run('count', {});
    expect((await Promise.all(all)).map(({ next }) => next.data[0])).toEqual([2, 3, 4, 5]);
    await counted;
    expect((await m.state('n')).data[0]).toBe(14);
    await m.dispose();
  });

  it('is not stopped by one that failed before', async () => {
    const m = await loaded();
    const [bad, good] = [m.run('scale', {}), m.run('scale', inputs)];
    await expect(bad).rejects.toMatchObject({ code: 'mismatch' });
    expect((await good).next.data[0]).toBe(4);
    await m.dispose();
  });
});

describe('what does not fit is refused, by name, with what is wanted', () => {
  let m: RunnableModel;
  beforeAll(async () => void (m = await loaded()));
  afterAll(() => m.dispose());

  it.each([
    ['an unknown entry', 'scales', inputs, /no entry called "scales": there are scale, count, noise/],
    ['an unknown input', 'scale', { ...inputs, z: 1 }, /no input of scale called "z": there are x, k, flags/],
    ['missing inputs', 'scale', { x: [1, 2, 3, 4] }, /scale needs 2 more inputs: k i32\[\], flags bool\[2\]; give scale \{ x, k, flags \}/],
    ['another length', 'scale', { ...inputs, x: new Float32Array(3) }, /input x of scale is f32\[2, 2\]: it was given 3 values; give a Float32Array of 4 values/],
    ['another type', 'scale', { ...inputs, x: new Float64Array(4) }, /it was given as Float64Array; give a Float32Array/],
    ['another shape', 'scale', { ...inputs, x: [[1, 2, 3, 4]] }, /the brackets are \[1, 4\]/],
    ['brackets that are not alike', 'scale', { ...inputs, x: [[1, 2], [3], [4]] }, /the brackets are \[3, 2\]/],
    ['as many in brackets that are not alike', 'scale', { ...inputs, x: [[1, 2], [3, [4]]] }, /not all of its brackets hold as many/],
    ['a tensor of another shape', 'scale', { ...inputs, x: { data: new Float32Array(4), shape: [4], dtype: 'f32' } }, /it was given f32\[4\]/],
    ['a fraction', 'scale', { ...inputs, k: 1.5 }, /input k of scale is i32\[\]: element 0 is 1.5; give an Int32Array of 1 value, or an array of whole/],
    ['a number past the type', 'scale', { ...inputs, k: 2 ** 31 }, /element 0 is 2147483648/],
    ['no boolean', 'scale', { ...inputs, flags: [true, 2] }, /element 1 is 2/],
    ['text', 'scale', { ...inputs, k: '3' }, /it was given as a string/],
    ['null', 'scale', { ...inputs, k: null }, /it was given as null/],
  ])('%s', async (_, entry, given, message) => {
    await expect(m.run(entry, given as never)).rejects.toThrow(message);
  }); // prettier-ignore

  it('an unknown output, state or weight', async () => {
    await expect(m.run('scale', inputs, { outputs: ['z'] })).rejects.toThrow(/no output of scale called "z"/);
    await expect(m.state('z')).rejects.toThrow(/no state called "z": there are n/);
    await expect(m.param('z')).rejects.toThrow(/no weight called "z": there are w, v/);
    await expect(m.setState('n', [1])).rejects.toThrow(/state n is f32\[2\]: it was given 1 value/);
  });
});

describe('weights', () => {
  const weights = { w: [5, 7], v: Float32Array.of(1, 2, 3) };

  it('come from arrays by name', async () => {
    const m = await loaded({ weights });
    expect((await m.run('scale', inputs)).scaled.data).toEqual(Float32Array.of(15, 42, 45, 84));
    expect(await m.param('v')).toEqual({ data: Float32Array.of(1, 2, 3), shape: [3], dtype: 'f32' });
    await m.setParam('w', [1, 0]);
    expect((await m.run('scale', inputs)).scaled.data).toEqual(Float32Array.of(3, 0, 9, 0));
    await m.dispose();
  });

  it('come from a file', async () => {
    const file = join(folder({ 'note.txt': '' }), 'weights.safetensors');
    const tensors = [
      { name: 'w', dtype: 'f32' as const, shape: [2], chunks: async function* () { yield Float32Array.of(5, 7); } }, // prettier-ignore
      { name: 'v', dtype: 'f32' as const, shape: [3], chunks: async function* () { yield Float32Array.of(1, 2, 3); } }, // prettier-ignore
    ];
    await writeAtomically(file, (write) => writeSafetensors(write, tensors));
    const m = await loaded({ weights: file });
    expect((await m.param('w')).data).toEqual(Float32Array.of(5, 7));
    await m.dispose();
  });

  it('are drawn from the seed without', async () => {
    const drawn = async (seed: number) => {
      const m = await loaded({ seed });
      const { data } = await m.param('v');
      await m.dispose();
      return [...data];
    };
    expect(await drawn(1)).toEqual(await drawn(1));
    expect(await drawn(1)).not.toEqual(await drawn(2));
  });

  it('that are missing or of another size are refused; those of other models are not read', async () => {
    await expect(loaded({ weights: { w: [5, 7] } })).rejects.toThrow(/1 missing from the file:\s+v \[3\]/);
    await (await loaded({ weights: { ...weights, u: [1] } })).dispose();
    await expect(loaded({ weights: { ...weights, v: [1] } })).rejects.toThrow(
      /weight v is f32\[3\]: it was given 1 value/,
    );
  });
});

it.each<[string, object, RegExp]>([
  [
    'an option',
    { output: ['next'] },
    /run: there is no option "output": its options are outputs; did you mean outputs\?/,
  ],
  [
    'outputs that are no list',
    { outputs: 'next' },
    /run: outputs is a string; give a list of names: \['scaled', 'next'\]/,
  ],
  ['an output', { outputs: ['nxt'] }, /there is no output of scale called "nxt"/],
])('%s of a run that is none is refused, and the run is not made', async (_, options, message) => {
  await using m = await loaded();
  await expect(m.run('scale', inputs, options)).rejects.toThrow(message);
  expect([...(await m.state('n')).data]).toEqual([0, 0]);
});

it('an artefact in a folder is the one in memory', async () => {
  const out = join(folder({ 'note.txt': '' }), 'built');
  await (await compile(model, { batch: 2 })).write(out);
  const m = await load(out, { device, entries: ['scale'] });
  expect(Object.keys(m.entries)).toEqual(['scale']);
  expect((await m.run('scale', inputs)).next.data[0]).toBe(4);
  await expect(m.run('count', {})).rejects.toThrow(/no entry called "count"/);
  await m.dispose();
  await expect(load(join(out, 'kernels'), { device })).rejects.toThrow(/not an artefact folder/);
});

it('progress tells of kernels and weights', async () => {
  const phases: string[] = [];
  const m = await loaded({ onProgress: ({ phase, done, total }) => void (done === total && phases.push(phase)) });
  expect([...new Set(phases)].sort()).toEqual(['kernels', 'weights']);
  await m.dispose();
});

it.each<[string, () => Promise<unknown>, RegExp]>([
  [
    'a device',
    async () => load(await compile(model), { device: 'cuda' as never }),
    /device: unknown value "cuda"; choose one of auto, /,
  ],
  ['a seed', () => loaded({ seed: -1 }), /seed is -1; give a whole number from 0/],
  ['part of a seed', () => loaded({ seed: 1.5 }), /seed is 1.5/],
  ['a type', () => compile(model, { dtype: 'f8' as never }), /dtype is "f8"; give f32 or f16/],
  ['no device', () => compile(model, { device: {} as never }), /it is not a device\n?.*its name must be text/s],
  ['a device of null', () => compile(model, { device: null as never }), /it is not a device/],
  ['an entry in text', () => compile(model, { entries: 'forward' as never }), /entries is "forward"; give a list/],
  ['no entries', () => compile(model, { entries: [] }), /entries is ; give a list of names/],
  ['entries by number', () => compile(model, { entries: [3 as never] }), /entries is 3; give a list of names/],
  ['options by number', () => compile(model, { options: 5 as never }), /options is 5; give an object/],
  ['a batch', () => compile(model, { batch: 0 }), /batch is 0; give a whole number from 1/],
  ['part of a batch', () => compile(model, { batch: 1.5 }), /batch is 1.5; give a whole number from 1/],
  ['memory', () => compile(model, { memory: NaN }), /memory is NaN; give a number of bytes/],
  ['memory in text', () => compile(model, { memory: '20' as never }), /memory is "20"; give a number of bytes/],
  ['an artefact', () => load(undefined as never), /load: what to load is missing; give a folder that ditc build wrote/],
  ['an artefact of an object', () => load({} as never), /load: what to load is no artefact/],
  ['a path', () => load(new URL('https://example.org/')), /https:\/\/example.org\/ is no file/],
  ['a model file', () => load('models/tiny.ts'), /that is a model file: compile it first/],
  ['a model', () => compile(undefined as never), /compile: the model is undefined; give the path of a model file/],
  [
    'memory that does not suffice',
    () => compile(model, { batch: 4, memory: 8 }),
    /batch 4 needs .*, memory allows 8.*not even batch: 1 fits/,
  ],
])('%s that is none is refused', async (_, work, message) => {
  await expect(work()).rejects.toThrow(message);
});

it.each<[string, () => Promise<unknown>, RegExp]>([
  ['load', () => loaded({ wieghts: {} } as never), /load: there is no option "wieghts": .*; did you mean weights\?/],
  ['compile', () => compile(model, { bacth: 2 } as never), /compile: there is no option "bacth": .*; did you mean batch\?/],
  ['compile, one like none', () => compile(model, { zzz: 2 } as never), /no option "zzz": .*; leave it out, or correct/],
  ['compile, of the entries', () => compile(network, { options: { stesp: 2 } }), /compile: model has no option "stesp": its entries read .*; did you mean steps\?/],
  ['compile, of its own', () => compile(network, { options: { batch: 2 } }), /has no option "batch": .*; give batch beside options/],
  ['load, no object', () => load({} as never, null as never), /load: it was not given an object of options/],
])('an option that is none is refused, with the nearest: %s', async (_, work, message) => {
  await expect(work()).rejects.toThrow(message);
}); // prettier-ignore

describe('weights of a training’s checkpoint', () => {
  const tensors = { 'param/w': [5, 7], 'state/ema.w': [1, 2], 'param/v': [0, 0, 0], 'state/ema.v': [3, 4, 5] };
  const file = async () => {
    const path = join(folder({ 'note.txt': '' }), '0000001.safetensors');
    const written = Object.entries(tensors).map(([name, values]) => ({
      name,
      dtype: 'f32' as const,
      shape: [values.length],
      chunks: () => [Float32Array.from(values)],
    }));
    await writeAtomically(path, (write) => writeSafetensors(write, written));
    return path;
  };

  it('are the averages unless told, with a note', async () => {
    const notes: string[] = [];
    await using m = await loaded({ weights: await file(), onNote: (note) => void notes.push(note) });
    expect((await m.param('w')).data).toEqual(Float32Array.of(1, 2));
    expect(notes.join()).toContain('the moving average (EMA) of the weights are taken');
    await using other = await loaded({ weights: await file(), part: 'model' });
    expect((await other.param('w')).data).toEqual(Float32Array.of(5, 7));
  });
});

it('what was disposed of is refused; what ran then had its end', async () => {
  const m = await loaded();
  const running = m.run('scale', inputs);
  let freed = false;
  void m.dispose().then(() => (freed = true));
  await m.dispose();
  expect(freed).toBe(true);
  expect((await running).next.data[0]).toBe(4);
  await expect(m.run('scale', inputs)).rejects.toThrow(/is disposed of; load it again/);
  await m.dispose();
});
