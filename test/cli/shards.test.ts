/** Many pictures in parts: any division gives the same bytes, and merging misses nothing. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../cli/model.ts';
import { computationOf } from '../../cli/sample/record.ts';
import { parseShard, classesFor, rangeOf } from '../../cli/sample/shard.ts';
import { openNpz } from '../../runtime/checkpoint/npz.ts';
import { MemorySource } from '../../runtime/checkpoint/source.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, SMALL_DIT } from './cli.ts';

const NUM = 23;
const BATCH = 4;
const SIDE = 8;

let cwd: string;
const sample = (out: string, ...more: string[]) =>
  ditc(
    [
      'sample',
      'small.ts',
      '--num',
      String(NUM),
      '--batch',
      String(BATCH),
      '--steps',
      '2',
      '--seed',
      '3',
      '--out',
      out,
      ...more,
    ],
    cwd,
  );
const merge = (folder: string, out: string, ...more: string[]) => ditc(['merge', folder, '--out', out, ...more], cwd);
const file = (...path: string[]) => readFileSync(join(cwd, ...path));
const done = async (result: ReturnType<typeof ditc>) => {
  const { code, err, out } = await result;
  expect({ code, err }).toMatchObject({ code: 0 });
  return { err, out };
};

beforeAll(async () => {
  cwd = scratchFolder()({ 'small.ts': SMALL_DIT });
  await done(sample('one'));
  for (let i = 0; i < 4; i++) await done(sample('four', '--shard', `${i}/4`));
  await done(merge('one', 'one.npz'));
}, 300_000);

/** A copy of the four parts, to be changed. */
function four(): string {
  rmSync(join(cwd, 'copy'), { recursive: true, force: true });
  cpSync(join(cwd, 'four'), join(cwd, 'copy'), { recursive: true });
  return 'copy';
}
const shard = (index: number, ending: string) => join(cwd, 'copy', `shard-000${index}-of-0004.${ending}`);

it('four parts and one are the same bytes, as .npz and as PNGs', async () => {
  await done(merge('four', 'four.npz'));
  expect(file('four.npz').equals(file('one.npz'))).toBe(true);
  await done(merge('one', 'one-png'));
  await done(merge('four', 'four-png'));
  const names = readdirSync(join(cwd, 'one-png'));
  expect(names).toEqual(Array.from({ length: NUM }, (_, i) => `${String(i).padStart(6, '0')}.png`));
  for (const name of names) expect(file('four-png', name).equals(file('one-png', name)), name).toBe(true);
});

it('the evaluators’ array has the pixels of the pictures that are drawn without parts, grey in three channels', async () => {
  const npz = await openNpz(new MemorySource('one.npz', file('one.npz')));
  expect(npz.tensors.get('arr_0')).toEqual({ name: 'arr_0', dtype: 'u8', shape: [NUM, SIDE, SIDE, 3] });
  const values = await npz.readF32('arr_0');
  const classes = classesFor(NUM, 3, 5).join(',');
  const drawn = ['sample', 'small.ts', '--classes', classes, '--steps', '2', '--seed', '3', '--out', 'plain'];
  await done(ditc(drawn, cwd));
  for (let i = 0; i < NUM; i++) {
    const { data } = PNG.sync.read(file('plain', `${String(i).padStart(6, '0')}.png`));
    const rgb = [...data].filter((_, at) => at % 4 !== 3);
    expect([...values.subarray(i * rgb.length, (i + 1) * rgb.length)], `picture ${i}`).toEqual(rgb);
  }
});

describe('a part goes on where it was broken off', () => {
  afterEach(() => rmSync(join(cwd, 'copy'), { recursive: true, force: true }));

  it.each([0, 1, 2.5, 4])('after %d pictures', async (pictures) => {
    four();
    const { sha256: _, ...begun } = JSON.parse(readFileSync(shard(1, 'json'), 'utf8')) as { sha256: string };
    writeFileSync(shard(1, 'part.json'), JSON.stringify(begun));
    writeFileSync(shard(1, 'npy.part'), readFileSync(shard(1, 'npy')));
    truncateSync(shard(1, 'npy.part'), 128 + pictures * SIDE * SIDE);
    for (const ending of ['json', 'npy']) rmSync(shard(1, ending));
    const { err } = await done(sample('copy', '--shard', '1/4'));
    if (pictures >= BATCH) expect(err).toMatch(/note: part 1\/4 (goes on: 4 of its \d|is there already)/);
    else expect(err).not.toContain('note: part');
    for (const name of readdirSync(join(cwd, 'four')))
      expect(file('copy', name).equals(file('four', name)), name).toBe(true);
    expect(readdirSync(join(cwd, 'copy')).sort()).toEqual(readdirSync(join(cwd, 'four')).sort());
  });

  it('killed between its name and its record: the record is written', async () => {
    four();
    rmSync(shard(2, 'json'));
    expect((await done(sample('copy', '--shard', '2/4'))).err).toContain('part 2/4 is there already');
    expect(file('copy', 'shard-0002-of-0004.json').equals(file('four', 'shard-0002-of-0004.json'))).toBe(true);
  });
});

describe('what cannot be merged is named, and nothing is written', () => {
  const damage: [what: string, change: () => void, told: RegExp][] = [
    [
      'a part that was never drawn',
      () => ['json', 'npy'].forEach((ending) => rmSync(shard(2, ending))),
      /1 of 4 parts is missing.*2\/4: not begun/s,
    ],
    [
      'a part that is not done',
      () => {
        cpSync(shard(0, 'npy'), shard(0, 'npy.part'));
        truncateSync(shard(0, 'npy.part'), 128 + 3 * SIDE * SIDE);
        for (const ending of ['json', 'npy']) rmSync(shard(0, ending));
      },
      /0\/4: 3 of 4 pictures/,
    ],
    ['pictures without their file', () => rmSync(shard(3, 'npy')), /the file of its pictures is gone/],
    ['a part that was cut', () => truncateSync(shard(3, 'npy'), 200), /it has 200 bytes/],
    [
      'a part that was changed',
      () => {
        const bytes = readFileSync(shard(1, 'npy'));
        bytes[bytes.length - 1] ^= 1;
        writeFileSync(shard(1, 'npy'), bytes);
      },
      /its SHA-256 is not that of its record.*--shard 1\/4/s,
    ],
    [
      'a part of another run',
      () => writeFileSync(shard(1, 'json'), readFileSync(shard(1, 'json'), 'utf8').replace('"seed": 3', '"seed": 4')),
      /part of another run: seed: 4 there, 3 in/,
    ],
    ...(['computation', 'code'] as const).map((key): [string, () => void, RegExp] => [
      `a part that another program drew (${key})`,
      () =>
        writeFileSync(shard(1, 'json'), readFileSync(shard(1, 'json'), 'utf8').replace(`"${key}": "`, `"${key}": "0`)),
      new RegExp(`part of another run: ${key}: "0`),
    ]),
    ['a record that is none', () => writeFileSync(shard(1, 'json'), '{}'), /it is no record of a part/],
    ['nothing', () => rmSync(join(cwd, 'copy'), { recursive: true }), /there are no parts of a run/],
  ];
  it.each(damage)('%s', async (_what, change, told) => {
    for (const out of ['merged.npz', 'merged']) {
      four();
      change();
      const result = await merge('copy', out, '--json');
      expect(result.code, result.err).toBe(1);
      const { error } = JSON.parse(result.out) as {
        error: { what: string; why?: string; fix: string };
      };
      expect(`${error.what}: ${error.why} ${error.fix}`).toMatch(told);
      expect(existsSync(join(cwd, out))).toBe(false);
      expect(readdirSync(cwd).filter((name) => name.startsWith('.ditc'))).toEqual([]);
    }
  });
});

describe('a run is told by', () => {
  const MODEL = `import { defineModel, normal } from 'ditc/dsl';
export default defineModel({
  config: {},
  entries: {
    sampleStart: (e) => ({ x: e.state('x', [e.batch, 4]).mul(2) }),
    sampleStep: (e) => ({ x: e.state('x', [e.batch, 4]).add(e.params.param('w', [4], normal(0.5))) }),
  },
});
`;
  const computation = (text: string) => {
    const path = join(scratchFolder()({ 'm.ts': text }), 'm.ts');
    return computationOf(loadModel(path), ['sampleStart', 'sampleStep'], {});
  };

  it.each([
    ['how it starts', 'mul(2)', 'mul(3)'],
    ['what a step does', 'add(', 'sub('],
    ['how parameters start', 'normal(0.5)', 'normal(0.25)'],
  ])('%s', (_what, from, to) => {
    expect(computation(MODEL.replace(from, to))).not.toBe(computation(MODEL));
    expect(computation(`\n${MODEL}`)).toBe(computation(MODEL));
  });
});

describe('what cannot be drawn is refused', () => {
  const wrong: [args: string[], told: RegExp][] = [
    [['--shard', '4/4'], /use 0\/4 to 3\/4/],
    [['--shard', 'x'], /write i\/n/],
    [['--shard', '0/0'], /the number of parts is from 1/],
    [['--columns', '3'], /--columns and --num exclude each other/],
    [['--seed', '4', '--shard', '0/4'], /part of another run.*seed: 3 there, 4 asked for/s],
    [['--shard', '0/5'], /parts: 4 there, 5 asked for/],
    [['--classes', '7'], /small has no class 7/],
  ];
  it.each(wrong)('%j', async (args, told) => {
    const result = await ditc(
      [
        'sample',
        'small.ts',
        '--num',
        String(NUM),
        '--batch',
        '4',
        '--steps',
        '2',
        '--seed',
        '3',
        '--out',
        'four',
        ...args,
      ],
      cwd,
    );
    expect(result.code).toBeGreaterThan(0);
    expect(result.err).toMatch(told);
  });

  it('a file instead of a folder, and nothing at all', async () => {
    expect((await sample('x.npz')).err).toContain('make a file of it with ditc merge');
    expect((await ditc(['sample', 'small.ts', '--out', 'x'], cwd)).err).toContain('give --classes 0-9, or --num');
    mkdirSync(join(cwd, 'x'));
    expect((await ditc(['sample', 'small.ts', '--classes', '1', '--shard', '0/2', '--out', 'x'], cwd)).err).toContain(
      'add --num',
    );
  });
});

describe('--shard', () => {
  it('is told by the job that it is a task of', () => {
    expect(parseShard('2/8', {})).toEqual({ index: 2, of: 8 });
    const slurm = { SLURM_ARRAY_TASK_ID: '3', SLURM_ARRAY_TASK_MIN: '1', SLURM_ARRAY_TASK_COUNT: '4' };
    expect(parseShard('auto', slurm)).toEqual({ index: 2, of: 4 });
    const apart = { ...slurm, SLURM_ARRAY_TASK_ID: '9', SLURM_ARRAY_TASK_STEP: '4' };
    expect(parseShard('auto', apart)).toEqual({ index: 2, of: 4 });
    expect(() => parseShard('auto', { ...apart, SLURM_ARRAY_TASK_ID: '8' })).toThrow(/--shard is auto/);
    expect(parseShard('auto/8', { SLURM_ARRAY_TASK_ID: '7' })).toEqual({ index: 7, of: 8 });
    expect(parseShard('auto/8', { JOB_COMPLETION_INDEX: '5' })).toEqual({ index: 5, of: 8 });
    expect(() => parseShard('auto', { JOB_COMPLETION_INDEX: '5' })).toThrow(/--shard is auto/);
    expect(() => parseShard('auto/2', { JOB_COMPLETION_INDEX: '2' })).toThrow(/--shard is auto\/2/);
    expect(() => parseShard('auto/2', {})).toThrow(/tasks of a job/);
  });

  it('divides all pictures into whole batches, each once', () => {
    for (const [num, batch, of] of [
      [50_000, 32, 7],
      [1, 8, 4],
      [23, 4, 4],
      [64, 8, 8],
      [63, 64, 2],
    ]) {
      let next = 0;
      for (let index = 0; index < of; index++) {
        const { first, count } = rangeOf({ index, of }, num, batch);
        expect(first).toBe(next);
        expect(first % batch === 0 || !count).toBe(true);
        next += count;
      }
      expect(next).toBe(num);
    }
  });

  it('draws classes evenly, each for its place', () => {
    const classes = classesFor(50_000, 0, 1000);
    expect(classes.slice(0, 100)).toEqual(classesFor(100, 0, 1000));
    expect([Math.min(...classes), Math.max(...classes)]).toEqual([0, 999]);
    const counts = new Array<number>(1000).fill(0);
    for (const label of classes) counts[label]++;
    // χ² of 999 degrees of freedom: mean 999, deviation 44.7.
    const chi = counts.reduce((sum, n) => sum + (n - 50) ** 2 / 50, 0);
    expect(Math.abs(chi - 999)).toBeLessThan(5 * 44.7);
    expect(classesFor(5, 0, 10, [1, 2])).toEqual([1, 2, 1, 2, 1]);
    expect(classesFor(2, 0, undefined)).toEqual([0, 0]);
  });
});
