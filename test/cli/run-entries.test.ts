/** `ditc run` of several entries in turn on one program: what one leaves, the next goes on from. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeNpy, parseNpy } from '../../runtime/checkpoint/npy.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';

const STEPS = 4;
const MODEL = SMALL_DIT.replace('...network,', `...network, options: { ...network.options, steps: ${STEPS} },`);
const TURNS = `import { constant, defineModel } from 'ditc/dsl';
export default defineModel({
  config: {},
  entries: {
    double(e) {
      const n = e.state('n', [2]);
      e.update(n, n.mul(2));
      return { out: n.mul(2), only: n.sum() };
    },
    add(e) {
      const n = e.state('n', [2]);
      const next = n.add(e.input('by', [2]));
      e.update(n, next);
      return { out: next };
    },
    count(e) {
      const [at, total] = [e.state('at', [], 'i32'), e.state('total', [2])];
      const next = total.add(e.input('by', [2]));
      e.update(at, at.add(1));
      e.update(total, next);
      return { at, total: next };
    },
    reset(e) {
      e.update(e.state('at', [], 'i32'), constant(0, [], 'i32'));
      e.update(e.state('total', [2]), constant(0, [2]));
    },
    clear(e) {
      const n = e.state('n', [2]);
      e.update(n, n.mul(0).mul(e.input('by', [2])));
    },
  },
});
`;

const folder = scratchFolder();
let cwd: string;
const save = (name: string, dtype: 'f32' | 'i32' | 'i64', shape: number[], values: number[]) => {
  const data = { f32: Float32Array, i32: Int32Array, i64: BigInt64Array };
  const array = dtype === 'i64' ? BigInt64Array.from(values, BigInt) : new data[dtype](values);
  writeFileSync(join(cwd, `${name}.npy`), encodeNpy({ dtype, shape, data: array as Float32Array }));
};
const read = (path: string) => Array.from(parseNpy(readFileSync(join(cwd, path)), path).data as Float32Array, Number);
const entries = (...names: string[]) => names.flatMap((name) => ['--entry', name]);
const inputs = (...names: string[]) => names.flatMap((name) => ['--input', `${name}=${name}.npy`]);

beforeAll(() => {
  cwd = folder({ 'small.ts': MODEL, 'turns.ts': TURNS });
  save('seed', 'i64', [2], [7, 0]);
  save('first', 'i64', [], [0]);
  save('y', 'i32', [1], [3]);
  save('cfgScale', 'f32', [], [4]);
  save('by', 'f32', [2], [1, 10]);
  save('n', 'f32', [2], [1, 2]);
});

const run = (...args: string[]) => ditc(['run', ...args], cwd);

describe('entries in turn', () => {
  it('share states, in the order they are given, as often as told', async () => {
    const args = ['turns.ts', ...entries('add', 'double'), ...inputs('by'), '--out', 'a'];
    expect(await run(...args)).toMatchObject({ code: 0 });
    // An output that both entries have goes by the entry's name too; that of each is its own.
    expect(read('a/add.out.npy')).toEqual([1, 10]);
    expect(read('a/double.out.npy')).toEqual([2, 20]);
    expect(read('a/only.npy')).toEqual([11]);
    expect(read('a/n.npy')).toEqual([2, 20]);
    expect(await run(...args, '--runs', '3', '--overwrite')).toMatchObject({ code: 0 });
    expect(read('a/n.npy')).toEqual([14, 140]); // ((1·2 + 1)·2 + 1)·2
  });

  it('leave a state beside an output that has its name and another value', async () => {
    await ditc(['run', 'turns.ts', ...entries('count'), '--runs', '3', ...inputs('by'), '--out', 'counted'], cwd);
    expect(read('counted/at.npy')).toEqual([3]);
    expect(read('counted/count.at.npy')).toEqual([2]);
    expect(read('counted/total.npy')).toEqual(read('by.npy').map((value) => 3 * value));
  });

  it('run once where all that they do is to set states for others, to zero too', async () => {
    const args = [...entries('reset', 'count'), '--runs', '3', ...inputs('by'), '--out', 'reset'];
    await ditc(['run', 'turns.ts', ...args], cwd);
    expect(read('reset/at.npy')).toEqual([3]);
    expect(read('reset/total.npy')).toEqual(read('by.npy').map((value) => 3 * value));
  });

  it('may come twice', async () => {
    expect(await run('turns.ts', ...entries('add', 'add', 'double'), ...inputs('by'), '--out', 'b')).toMatchObject({ code: 0 }); // prettier-ignore
    expect(read('b/n.npy')).toEqual([4, 40]);
  });

  it('go on from states that are given', async () => {
    expect(await run('turns.ts', ...entries('double'), '--state', 'n=n.npy', '--out', 'c')).toMatchObject({ code: 0 });
    expect(read('c/n.npy')).toEqual([2, 4]);
  });

  it('need the inputs of all, and no others', async () => {
    const { code, err } = await run('turns.ts', ...entries('double', 'add'), '--out', 'd');
    expect(code).toBe(2);
    expect(err).toContain('double and add need more inputs\n   by f32[2]\n   fix: add --input by=by.npy');
    const other = await run('turns.ts', ...entries('double', 'add'), ...inputs('by', 'n'), '--out', 'd');
    expect(other.err).toContain('double and add have no input n');
    const state = await run('turns.ts', ...entries('double'), '--state', 'm=n.npy', '--out', 'd');
    expect(state.err).toContain('--state: turns has no state m\n   they are n');
  });
});

describe('sampling by its entries', () => {
  const given = inputs('y', 'seed', 'first', 'cfgScale');

  it('is what ditc sample does: the start runs once, the step as often as told', async () => {
    const sampled = await ditc(['sample', 'small.ts', '--classes', '3', '--seed', '7', '--out', 's.npy'], cwd);
    expect(sampled, sampled.err).toMatchObject({ code: 0 });
    const args = ['small.ts', ...entries('sampleStart', 'sampleStep'), ...given, '--runs', String(STEPS)];
    // The weights are drawn from the seed of the command, here and there.
    const ran = await run(...args, '--seed', '7', '--out', 's');
    expect(ran, ran.err).toMatchObject({ code: 0 });
    expect(read('s/step.npy')).toEqual([-1]);
    expect(read('s/x.npy')).toEqual(read('s.npy'));
  });

  it('says what a step goes on from when nothing has begun it', async () => {
    const { code, err } = await run('small.ts', ...entries('sampleStep'), ...given, '--out', 'e');
    expect(code).toBe(2);
    expect(err).toContain('sampleStep goes on from state that nothing has begun: x, step');
    expect(err).toContain('fix: write --entry sampleStart before --entry sampleStep, or give the state as --state');
    const after = await run('small.ts', ...entries('sampleStep', 'sampleStart'), ...given, '--out', 'e');
    expect(after.code).toBe(2);
  });

  it('goes on from states that are given', async () => {
    save(
      'x',
      'f32',
      [1, 1, 8, 8],
      Array.from({ length: 64 }, (_, i) => Math.sin(i)),
    );
    save('step', 'i32', [], [2]);
    const states = ['--state', 'x=x.npy', '--state', 'step=step.npy'];
    const ran = await run('small.ts', ...entries('sampleStep'), ...given, ...states, '--out', 'f');
    expect(ran, ran.err).toMatchObject({ code: 0 });
    expect(read('f/step.npy')).toEqual([1]);
  });
});

describe('training by its entries', () => {
  const given = inputs('images', 'labels', 'seed');
  let hasHalf: boolean;
  beforeAll(async () => {
    const found = await findAdapter();
    hasHalf = found.spec.features.includes('shader-f16');
    found.close();
    save(
      'images',
      'f32',
      [2, 1, 8, 8],
      Array.from({ length: 128 }, (_, i) => Math.sin(i)),
    );
    save('labels', 'i32', [2], [1, 4]);
  });

  it.for(['f32', 'f16'])('in %s takes every step', async (dtype, { skip }) => {
    if (dtype === 'f16' && !hasHalf) skip('this adapter has no f16');
    const args = ['small.ts', ...entries('trainStart', 'trainStep'), ...given, '--batch', '2', '--dtype', dtype];
    const ran = await run(...args, '--runs', '30', '--out', dtype, '--json');
    expect(ran, ran.err).toMatchObject({ code: 0 });
    expect(read(`${dtype}/optimizer.step.npy`)).toEqual([30]);
    if (dtype === 'f16') expect(read('f16/skipped.npy')).toEqual([0]);
  });

  it('says that nothing has begun the scale of an f16 loss, before it leaves out every step', async ({ skip }) => {
    if (!hasHalf) skip('this adapter has no f16');
    const args = ['small.ts', ...entries('trainStep'), ...given, '--batch', '2', '--dtype', 'f16', '--out', 'g'];
    const { code, err } = await run(...args);
    expect(code).toBe(2);
    expect(err).toContain('trainStep goes on from state that nothing has begun: optimizer.lossScale');
    expect(err).toContain('fix: write --entry trainStart before --entry trainStep');
  });
});
