/** Gradients of tables whose rows are chosen by data: sums of what reads each row, in a fixed order, in one kernel. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { compileGraphs } from '../../../compiler/compile.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import type { Graph } from '../../../compiler/ir/index.ts';
import { Random } from '../../../compiler/ops/index.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { bySubgroups, GPU } from '../../helpers/devices.ts';
import { TestGpu } from '../../helpers/gpu.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';

const OPTIONS = { verify: true };

/** The gradient of a table by the rows that an index of shape [2, count / 2] reads. */
const tableGradient = (rows: number, count: number, width: number): Graph =>
  graphOf((f, input) => {
    const index = f.op('cast', [input('index', [2, count / 2])], { dtype: 'i32' });
    const table = input('table', [rows, width]);
    const read = f.gather(table, index);
    return gradients(f, f.sum(f.mul(read, input('dy', [2, count / 2, width])), [0, 1, 2]), [table]);
  });

/** What it is: index by index, those outside brought to the first row or the last. */
function sums(rows: number, width: number, index: readonly number[], dy: Float64Array): Float64Array {
  const out = new Float64Array(rows * width);
  index.forEach((row, i) => {
    const at = Math.min(Math.max(row, 0), rows - 1) * width;
    for (let c = 0; c < width; c++) out[at + c] += dy[i * width + c];
  });
  return out;
}

/** Rows that are read several times, by none, and indices that are of no row; of numbers whose sums are exact. */
function drawn(rows: number, count: number, width: number) {
  const random = new Random(3);
  const index = Array.from({ length: count }, (_, i) => [7, -1, rows, rows + 4, 7, 0][i] ?? random.int(0, rows - 1));
  const dy = Float64Array.from({ length: count * width }, () => random.int(-512, 512) / 256);
  const bindings = { index: Float64Array.from(index), table: new Float64Array(rows * width), dy };
  return { index, dy, bindings, want: sums(rows, width, index, dy) };
}

const DEVICES: readonly DeviceSpec[] = [PORTABLE, GPU, bySubgroups(8)];

describe.each([
  ['a row of vectors', 130, 10, 72],
  ['a row of a few numbers', 130, 12, 3],
  ['a table of a few rows', 9, 12, 68],
])('%s', (_, rows, count, width) => {
  it.each(DEVICES)('on $name', (device) => {
    const { bindings, want } = drawn(rows, count, width);
    const { outputs, scheduled } = runSchedule(tableGradient(rows, count, width), bindings, { ...OPTIONS, device });
    expect(scheduled.regions).toHaveLength(1);
    expect([...outputs.out0]).toEqual([...want]);
  });
});

it.each(DEVICES)('rows that nothing infinite reads stay finite on $name', (device) => {
  const { index, dy, bindings } = drawn(130, 10, 72);
  dy.fill(Infinity, 0, 72);
  const { outputs } = runSchedule(tableGradient(130, 10, 72), bindings, { ...OPTIONS, device });
  expect([...outputs.out0]).toEqual([...sums(130, 72, index, dy)]);
});

it('asks first whether a row is meant, and loads only what is', () => {
  for (const device of [PORTABLE, GPU]) {
    const [text] = compileGraphs([tableGradient(130, 10, 72)], { ...OPTIONS, device }).wgsl.values();
    expect(text, device.name).toMatch(/if \(.* == i32\(.*\) \{\s+let dy_v = dy\[/);
  }
});

describe('on this machine’s device', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  it.each(['its own plans', 'as a GPU'])('%s', async (name) => {
    const device: DeviceSpec = name === 'as a GPU' ? { ...gpu.spec, name, kind: 'hardware' } : gpu.spec;
    const graph = tableGradient(1001, 12, 72);
    const { bindings, want } = drawn(1001, 12, 72);
    const { outputs } = await gpu.run(compileGraphs([graph], { ...OPTIONS, device }), graph.name, bindings);
    expect([...outputs.out0]).toEqual([...want]);
  });
});
