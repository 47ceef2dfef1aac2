/** `ditc verify` on the GPU: right kernels agree, and a broken one is caught, named and saved. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pc from 'picocolors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, compile } from '../../cli/model.ts';
import type { VerifyOptions } from '../../cli/verify/options.ts';
import { verifyCompiled } from '../../cli/verify/run.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { parseGraph } from '../../compiler/ir/index.ts';
import { interpret, opTable } from '../../compiler/ops/index.ts';
import { encodeNpy, parseNpy } from '../../runtime/checkpoint/npy.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { ditc, SMALL_DIT, spawnDitc, TINY } from './cli.ts';

const folder = scratchFolder();

/**
 * A layer that starts at zero, a state computed in place, ints, bools, a table, and a value of one element. What is shown of
 * one kernel must not be joined with another: each reads an input of its own, and gives a shape of its own.
 */
const MIXED = `import { constant, defineModel, iota, layerNorm, zeros } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    f(e) {
      const x = e.input('x', [3, 5, 7]);
      const y = e.input('y', [3], 'i32');
      const row = constant([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [2, 7]).gather(y);
      const hidden = e.params.linear('gate', layerNorm(e.input('z', [3, 5, 7])), 9, { init: zeros });
      const sum = e.state('sum', [1]);
      e.update(sum, sum.mul(0.5).add(hidden.mul(hidden).sum([0, 1, 2]).reshape(1)));
      return { out: hidden, shifted: x.add(row.unsqueeze(1)), odd: y.add(iota([3], 0, 'i32')), low: e.input('u', [3, 5, 8]).lt(0.25) };
    },
  },
});
`;

/** Cancels almost all digits: no float32 kernel can be within 1e-5. */
const CANCELLING = `import { defineModel } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    f(e) {
      const x = e.input('x', [64]);
      return { rest: x.add(300).mul(x).sub(x.mul(300)) };
    },
  },
});
`;

/** A variance as the difference of two means: of numbers far from zero float32 holds none of it. */
const LOSING = `import { defineModel } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    f(e) {
      const far = e.input('x', [8, 64]).add(1e5);
      return { variance: far.square().mean(-1).sub(far.mean(-1).square()) };
    },
  },
});
`;

/** The variance of numbers of which float32 holds little more than the mean. */
const SHIFTED = `import { defineModel, layerNorm } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: { f: (e) => ({ y: layerNorm(e.input('x', [4, 64])) }) },
});
`;

describe('verify', () => {
  let cwd: string;
  beforeAll(() => {
    cwd = folder({
      'tiny.ts': TINY,
      'small.ts': SMALL_DIT,
      'mixed.ts': MIXED,
      'cancelling.ts': CANCELLING,
      'losing.ts': LOSING,
      'shifted.ts': SHIFTED,
    });
  });

  it('finds all kernels of a DiT and of its sampling right, and saves nothing', async () => {
    const { code, out, err } = await ditc(['verify', 'small.ts', '--json'], cwd);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { agrees, checks } = JSON.parse(out);
    expect(agrees).toBe(true);
    expect(new Set(checks.map((c: { entry: string }) => c.entry))).toEqual(
      new Set(['forward', 'sampleStart', 'sampleStep']),
    );
    const names = checks.map((c: { kernel: string }) => c.kernel);
    expect(new Set(names).size).toBe(names.length);
    // Heads and gates start at zero: were they left so, checks of what they multiply would be empty.
    expect(checks.filter((c: { doubt?: string }) => c.doubt)).toEqual([]);
    expect(existsSync(join(cwd, 'ditc-verify'))).toBe(false);
  });

  it('says so in a line, for all dispatches and for one kernel', async () => {
    const all = await ditc(['verify', 'mixed.ts', '--all', '--batch', '3', '--device', 'portable'], cwd);
    expect(all.code, all.out + all.err).toBe(0);
    expect(all.out).toMatch(/^mixed\n {2}adapter {3}\S.*\n {2}(\d+) of \1 kernels agree with the reference/);
    expect(all.out).toMatch(/largest error \d\.\de-\d+ in \w+ +\d+\.\d s\n$/);
    const one = await ditc(['verify', 'mixed.ts', '--kernel', 'shifted'], cwd);
    expect(one.code, one.err).toBe(0);
    expect(one.out).toContain('1 of 1 kernel agrees with the reference');
  });

  it('takes inputs from files, and tells which kernels they say little about', async () => {
    const data = new Float32Array(3 * 5 * 7).fill(NaN);
    writeFileSync(join(cwd, 'nan.npy'), encodeNpy({ dtype: 'f32', shape: [3, 5, 7], data }));
    const { code, out } = await ditc(['verify', 'mixed.ts', '--kernel', 'shifted', '--input', 'x=nan.npy'], cwd);
    expect(code).toBe(0);
    expect(out).toContain('note: shifted reads values that are not finite: its check proves little');
  });

  it('allows what float32 arithmetic itself gives, unless a tolerance is given, and says so', async () => {
    const { code, out } = await ditc(['verify', 'cancelling.ts'], cwd);
    expect(code).toBe(0);
    expect(out).toMatch(
      /note: rest is off by \d\.\de-\d; float32 arithmetic alone is off by \d\.\de-\d on these values/,
    );
    const strict = await ditc(['verify', 'cancelling.ts', '--tolerance', '1e-5', '--save', 'strict', '--json'], cwd);
    expect(strict.code).toBe(1);
    const { agrees, error } = JSON.parse(strict.out);
    expect({ agrees, code: error.code }).toEqual({ agrees: false, code: 'kernel-differs' });
    expect(existsSync(join(cwd, 'strict/rest/region.ir'))).toBe(true);
  });

  it('tells a kernel whose evaluation in float32 loses the answer', async () => {
    const { code, out, err } = await ditc(['verify', 'losing.ts', '--save', 'lost'], cwd);
    expect(code).toBe(1);
    expect(out + err).toMatch(/kernel \w+ differs from the reference: error \d\.\de-1,/);
    expect(out + err).toMatch(
      /float32 arithmetic, op by op, is off by \S+ on these values: the order of evaluation loses/,
    );
  });

  it('allows a kernel what the last bits of its inputs decide', async () => {
    const data = Float32Array.from({ length: 4 * 64 }, (_, i) => 30_000 + Math.sin(i * i));
    writeFileSync(join(cwd, 'far.npy'), encodeNpy({ dtype: 'f32', shape: [4, 64], data }));
    const { code, out, err } = await ditc(['verify', 'shifted.ts', '--input', 'x=far.npy'], cwd);
    expect(code, out + err).toBe(0);
  });

  describe('of a broken kernel', () => {
    let gpu: TestGpu;
    beforeAll(async () => {
      gpu = await TestGpu.open();
    });
    afterAll(() => gpu?.close());

    /** Verifies mixed.ts after its WGSL was edited, as `ditc verify mixed.ts` would. */
    async function verifyEdited(edits: Record<string, (store: string) => string>, options: VerifyOptions = {}) {
      const { artefact, entries } = compile(loadModel(join(cwd, 'mixed.ts')), {
        device: gpu.spec,
        entryOptions: { batch: 1 },
      });
      const wgsl = new Map(artefact.wgsl);
      for (const [kernel, edit] of Object.entries(edits)) {
        const before = wgsl.get(kernel)!;
        const after = before.replace(new RegExp(`${kernel}\\[[^\\]]+\\] = .*;`), edit);
        expect(after).not.toBe(before);
        wgsl.set(kernel, after);
      }
      const terminal = {
        out: () => {},
        err: () => {},
        interactive: false,
        outColors: pc.createColors(false),
        errColors: pc.createColors(false),
      };
      const setup = { path: 'mixed.ts', options: { save: join(cwd, 'saved'), ...options }, given: new Map() };
      const broken: Artefact = { ...artefact, wgsl };
      return verifyCompiled({ artefact: broken, entries }, gpu.opened, setup, terminal);
    }

    const scaled = (store: string) => store.replace(/= (.*);/, '= 1.001 * ($1);');

    it('names it, its place and its worst element, and how to check it alone', async () => {
      const { verdicts, failure } = await verifyEdited({ shifted: scaled });
      expect(verdicts.filter((v) => !v.agrees).map((v) => v.dispatch.kernel)).toEqual(['shifted']);
      expect(failure).toMatchObject({ code: 'kernel-differs' });
      expect(failure!.where).toMatch(/mixed\.ts:\d+:\d+$/);
      expect(failure!.what).toMatch(/kernel shifted differs from the reference: error 1\.0e-3, at most 1\.0e-5/);
      expect(failure!.why).toMatch(/worst at element \[\d,\d,\d\] of f32\[3,5,7\]: -?\d+\.\d+, expected -?\d+\.\d+/);
      expect(failure!.fix).toMatch(/ditc verify mixed\.ts --save \S+ --kernel shifted$/);
    });

    it('saves what shows it again without the model', async () => {
      await verifyEdited({ shifted: scaled });
      const dir = join(cwd, 'saved/shifted');
      const load = (name: string) => {
        const { shape, data } = parseNpy(readFileSync(join(dir, name)), name);
        return { shape, data: Array.from<number | bigint, number>(data, Number) };
      };
      expect(readdirSync(dir).sort()).toEqual(['expected.npy', 'got.npy', 'inputs', 'kernel.wgsl', 'region.ir']);
      expect(readFileSync(join(dir, 'kernel.wgsl'), 'utf8')).toContain('1.001 * (');
      const graph = parseGraph(readFileSync(join(dir, 'region.ir'), 'utf8'), opTable);
      const names = graph.inputs.map((node) => String(node.attrs.name));
      expect(readdirSync(join(dir, 'inputs')).sort()).toEqual(names.map((name) => `${name}.npy`).sort());
      const bindings = Object.fromEntries(names.map((name) => [name, load(`inputs/${name}.npy`).data]));
      const expected = load('expected.npy');
      expect(expected.shape).toEqual([3, 5, 7]);
      expect(Array.from(interpret(graph, bindings).outputs[graph.outputs[0].name].data)).toEqual(expected.data);
      const got = load('got.npy');
      got.data.forEach((x, i) => expect(x / expected.data[i]).toBeCloseTo(1.001, 5));
    });

    it('is caught when it gives NaN, leaves an element out, or has one bool wrong', async () => {
      const nan = await verifyEdited({ shifted: (s) => s.replace(/= .*;/, '= bitcast<f32>(0x7fc00000u | i);') });
      expect(nan.failure!.what).toContain('shifted differs from the reference: it is not finite where');
      const partial = await verifyEdited({ shifted: (s) => `if (i != 17u) { ${s} }` });
      expect(partial.failure!.why).toContain('worst at element [0,2,3] of f32[3,5,7]: NaN, expected');
      const bool = await verifyEdited({ low: (s) => `${s} if (i == 9u) { low[i] = 1u - low[i]; }` });
      expect(bool.failure!.what).toContain('kernel low differs');
      expect(bool.failure!.why).toContain('worst at element [0,1,1]');
    });

    it('does not reach what comes after it, and is told from what else differs', async () => {
      const nan = (store: string) => store.replace(/= .*;/, '= bitcast<f32>(0x7fc00000u | lane);');
      const { verdicts, failure } = await verifyEdited({ layer_norm: nan, low: (s) => s.replace(/= .*;/, '= 2u;') });
      expect(verdicts.filter((v) => !v.agrees).map((v) => v.dispatch.kernel)).toEqual(['layer_norm', 'low']);
      expect(verdicts.find((v) => v.dispatch.kernel === 'gate')).toMatchObject({ agrees: true, doubt: undefined });
      expect(failure!.what).toContain('kernel layer_norm differs');
      expect(failure!.why).toContain('it is the first; 1 kernel after it differs too: low');
    });
  });

  it.each<[string[], number, string[]]>([
    [['nothing.ts'], 1, ['nothing.ts']],
    [['.'], 2, ['. is a folder', 'fix: give the model file']],
    [['tiny.ts', '--entry', 'g'], 1, ['there is no entry g', 'fix: choose one of scale, count']],
    [['tiny.ts', '--kernel', 'g'], 2, ['--kernel: there is no kernel g', 'fix: use one of scaled, count, next_n']],
    [['tiny.ts', '--tolerance', '-1'], 2, ['--tolerance is -1', 'at least 0']],
    [['tiny.ts', '--batch', '0'], 2, ['--batch is 0']],
    [['tiny.ts', '--device', 'toaster'], 2, ['toaster is not a known device']],
    [['tiny.ts', '--weights', 'none.pt'], 1, ['none.pt — cannot open the file']],
    [['tiny.ts', '--input', 'x'], 2, ['--input is x', 'write NAME=FILE.npy']],
    [['tiny.ts', '--input', 'z=x.npy'], 2, ['--input: there is no input z', 'give one of x, k, flag']],
    [['tiny.ts', '--input', 'x=x4.npy'], 1, ['x4.npy — it does not fit the input x f32[1, 3]']],
    [['tiny.ts', '--save', 'tiny.ts'], 1, ['a part of the path is a file']],
    [
      ['tiny.ts', '--save', 'mine'],
      1,
      ['mine/scaled — cannot write the failed check there', 'what ditc did not write: got.npy'],
    ],
  ])('%j is refused', async (args, code, messages) => {
    const x4 = { dtype: 'f32' as const, shape: [1, 4], data: new Float32Array(4) };
    for (const name of ['x.npy', 'x4.npy']) writeFileSync(join(cwd, name), encodeNpy(x4));
    mkdirSync(join(cwd, 'mine/scaled'), { recursive: true });
    writeFileSync(join(cwd, 'mine/scaled/got.npy'), '');
    const result = await ditc(['verify', ...args], cwd);
    expect(result, result.err).toMatchObject({ code, out: '' });
    for (const message of messages) expect(result.err).toContain(message);
  });

  it('ends at once on Ctrl-C and leaves nothing behind', async () => {
    const before = readdirSync(cwd).sort();
    // So many pictures take a minute on any adapter; after two seconds the device is open and kernels are being checked.
    const { code } = await spawnDitc(['verify', 'small.ts', '--all', '--batch', '10000'], cwd, (child) => {
      setTimeout(() => child.kill('SIGINT'), 2000);
    });
    expect(code).toBe(130);
    expect(readdirSync(cwd).sort()).toEqual(before);
  });
});
