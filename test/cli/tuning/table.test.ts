/** Tuning tables as text: what is written is read, what is wrong is told with its line, and what is of another device is not used. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findTable, Tuning } from '../../../library/tuning/find.ts';
import { adapterOf, parseTable, tableText } from '../../../library/tuning/table.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { shapeClass } from '../../../compiler/emit/shape-class.ts';
import { schedule, type CompileOptions } from '../../../compiler/pipeline.ts';
import type { Plan } from '../../../compiler/plans/registry.ts';
import { graphOf } from '../../helpers/build-graph.ts';

const GPU: DeviceSpec = { ...PORTABLE, name: 'gpu-9', description: 'Driver 1.2.3', backend: 'vulkan' };
const PLANS: ReadonlyMap<string, Plan> = new Map<string, Plan>([
  [
    'row rows<=8 length=49 f32*2 softmax',
    { family: 'row', lanes: 1, rowsPerWorkgroup: 8, combine: 'serial', rolled: true },
  ],
  ['map elements<=2 f32*2 add', { family: 'map', workgroup: 128 }],
]);

const text = tableText(adapterOf(GPU), PLANS);
const plansOf = (written: string) =>
  new Map([...parseTable(written, 't').lines].map(([kind, { plan }]) => [kind, plan]));

describe('a table', () => {
  it('is read as it was written, and written as it was read', () => {
    const { device, driver } = parseTable(text, 't');
    expect({ device, driver }).toEqual({ device: 'gpu-9', driver: 'Driver 1.2.3, vulkan' });
    expect(plansOf(text)).toEqual(PLANS);
    expect(tableText({ device, driver }, plansOf(text))).toBe(text);
  });

  it('has sorted lines, whatever the order that they were measured in', () => {
    expect(tableText(adapterOf(GPU), new Map([...PLANS].reverse()))).toBe(text);
    const lines = text.split('\n').filter((line) => line.includes('=>'));
    expect(lines).toEqual([...lines].sort());
  });

  it.each([
    ['map x => map workgroup', 't:5', 'workgroup is not KEY=VALUE'],
    ['map x', 't:5', 'it is not CLASS => PLAN'],
    ['map x => map a=1\nmap x => map a=2', 't:6', 'line 5 is of the same class'],
    ['map x => maps a=1', 't:5', 'there is no plan family maps'],
    ['device other', 't:5', 'the device is told twice'],
  ])('%s is refused with its line', (line, where, why) => {
    const head = text.split('\n').slice(0, 4).join('\n');
    expect(() => parseTable(`${head}\n${line}`, 't')).toThrow(expect.objectContaining({ code: 'tuning', where, why }));
  });

  it('names the family once', () => {
    const written = `${text}map elements<=4 f32 => map family=row workgroup=64\n`;
    expect(() => parseTable(written, 't')).toThrow(/family=row is not KEY=VALUE/);
  });

  it('must say what it is of', () => {
    expect(() => parseTable('device x\n', 't')).toThrow(expect.objectContaining({ code: 'tuning' }));
  });
});

describe('the table of a build', () => {
  let home = '';
  const notes: string[] = [];
  const found = (device: DeviceSpec, given?: string) =>
    findTable(given, home, device, (note) => void notes.push(note))?.path;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'ditc-tuning-'));
    notes.length = 0;
    mkdirSync(join(home, 'tuning'));
    writeFileSync(join(home, 'tuning', 'gpu-9.txt'), text);
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  it('is the one of its device and driver in the folder tuning', () => {
    expect(found(GPU)).toBe(join(home, 'tuning', 'gpu-9.txt'));
    expect(notes).toEqual([]);
  });

  it('is none of another driver, and that is said; those of other devices are no concern unless one is given', () => {
    expect(found({ ...GPU, description: 'Driver 1.2.4' })).toBeUndefined();
    expect(notes[0]).toMatch(/gpu-9.txt is of the driver Driver 1.2.3, vulkan, this is Driver 1.2.4, vulkan$/);
    expect(found({ ...GPU, name: 'gpu-10' })).toBeUndefined();
    expect(notes).toHaveLength(1);
    expect(found({ ...GPU, name: 'gpu-10' }, join(home, 'tuning', 'gpu-9.txt'))).toBeUndefined();
    expect(notes[1]).toMatch(/gpu-9.txt is not used: it is for gpu-9, this is gpu-10$/);
  });

  it('is none where that is asked for, and none for a build that runs anywhere', () => {
    expect([found(GPU, 'off'), found(PORTABLE)]).toEqual([undefined, undefined]);
    expect(notes).toEqual([]);
  });

  it('is found beside files that are none, which are told, and where there is no folder', () => {
    writeFileSync(join(home, 'tuning', 'a-note.txt'), 'to do: measure again');
    expect(found(GPU)).toBe(join(home, 'tuning', 'gpu-9.txt'));
    expect(notes).toEqual([expect.stringMatching(/a-note.txt is not used: /)]);
    rmSync(join(home, 'tuning'), { recursive: true });
    writeFileSync(join(home, 'tuning'), '');
    expect(found(GPU)).toBeUndefined();
  });

  it('that is given must be there', () => {
    expect(() => found(GPU, join(home, 'none.txt'))).toThrow(expect.objectContaining({ code: 'io' }));
  });
});

describe('a compilation', () => {
  const graph = graphOf((f, input) => [f.exp(input('x', [100, 3]))]);
  const [{ region }] = schedule(graph, { device: GPU }).regions;
  const by = (plan: Plan) => {
    const line = tableText(adapterOf(GPU), new Map([[shapeClass(region, GPU), plan]]));
    const tuning = new Tuning({ path: 't.txt', table: parseTable(line, 't.txt') });
    const { regions } = schedule(graph, { device: GPU, plan: tuning.plan });
    return { plan: regions[0].plan, refused: tuning.refused() };
  };

  it('takes the plan of a line', () => {
    expect(by({ family: 'map', workgroup: 128 })).toEqual({ plan: { family: 'map', workgroup: 128 }, refused: [] });
  });

  it('takes that of a product before it is decided what the product computes', () => {
    const tiles: Plan = { family: 'product-tiled', side: 4, perThread: 4, depth: 16, rolled: false };
    const [m, n, k] = [32, 48, 64];
    const product = graphOf((f, input) => {
      const x = input('x', [m, k]);
      const rows = f.mul(x, f.rsqrt(f.add(f.mean(f.square(x), [1]), 1e-6)));
      return [f.matmul(rows, input('w', [k, n]))];
    });
    const [{ region }] = schedule(product, { device: GPU, passes: [] }).regions;
    const table = parseTable(tableText(adapterOf(GPU), new Map([[shapeClass(region, GPU), tiles]])), 't.txt');
    const asked: string[] = [];
    const { plan: given } = new Tuning({ path: 't.txt', table });
    const plan: CompileOptions['plan'] = (group, device) => {
      const found = given(group, device);
      asked.push(`${'replaces' in group ? 'region' : 'group'} with ${group.reductions?.length ?? 0}: ${found?.family}`);
      return found;
    };
    expect(schedule(product, { device: GPU, passes: [], plan }).regions.map((one) => one.plan)).toEqual([tiles]);
    expect(asked).toContain('group with 1: product-tiled');
    expect(asked.at(-1)).toBe('region with 1: product-tiled');
  });

  it('keeps its own where the line gives one that is not legal, and says why', () => {
    const { plan, refused } = by({ family: 'map', workgroup: 100_000 });
    expect(plan).toEqual({ family: 'map', workgroup: 64 });
    expect(refused).toEqual([
      expect.stringMatching(/^t.txt:6: map workgroup=100000 does not compute .*gpu-9 runs at most/),
    ]);
  });
});
