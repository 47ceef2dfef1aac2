/** `ditc tune`: no kernel that computes something else wins, and builds use the table that was written. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile, loadModel } from '../../cli/model.ts';
import type { Terminal } from '../../cli/terminal.ts';
import { tuneModel } from '../../cli/tuning/run.ts';
import { tuneText } from '../../cli/tuning/text.ts';
import { jobsFor, tuneEntries, type Tuned } from '../../cli/tuning/tune.ts';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { family, type Family } from '../../compiler/plans/family.ts';
import { linearInvocation } from '../../compiler/plans/common.ts';
import { foldGrid } from '../../compiler/plans/grid.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import { FAMILIES } from '../../compiler/plans/registry.ts';
import { Program } from '../../runtime/program.ts';
import { initialise } from '../../runtime/weights.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { ditc } from './cli.ts';

const MODEL = `import { defineModel, gelu } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    forward(e) {
      const x = e.input('x', [e.batch, 24, 16]);
      const h = gelu(e.params.linear('fc', x, 40));
      return { out: h, rows: h.sub(h.mean([-1], { keepDims: true })) };
    },
    add(e) {
      const n = e.state('n', [50], 'f32');
      e.update(n, n.mul(0.5).add(1));
    },
  },
});
`;

const SILENT: Terminal = { out() {}, err() {}, interactive: false, outColors: pc, errColors: pc };

const folder = mkdtempSync(join(tmpdir(), 'ditc-tune-'));
beforeAll(() => writeFileSync(join(folder, 'model.ts'), MODEL));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Nothing {
  readonly value: number;
}

/** The fastest of all: it writes a number, or none, wherever the result of a product goes. */
const nothing: Family = family<Nothing>(
  {
    name: 'nothing',
    doc: '',
    computes: ['product'],
    propose: () => ({ rejected: 'it computes something else' }),
    refuses: () => undefined,
    candidates: () => [0, 1, NaN].map((value) => ({ value })),
    cost: () => ({ macs: 0, loads: [] }),
    describe: () => 'a number',
  },
  (site, { value }) => {
    const { b, outputs } = site;
    const total = sizeOf(outputs[0].node.type.shape);
    const i = linearInvocation(site, total, 64);
    if (!Number.isNaN(value))
      for (const { buffer } of outputs) b.store(buffer, site.inline.ix.expr(i), b.literal(value, 'f32'));
    return { workgroupSize: 64, grid: foldGrid(Math.ceil(total / 64)) };
  },
);

describe('a kernel that computes something else', () => {
  it('never wins, however fast', async () => {
    const families = FAMILIES as Family[];
    families.push(nothing);
    const gpu = await TestGpu.open();
    try {
      const options = { device: gpu.spec, entries: ['forward'], entryOptions: { batch: 2 }, tuning: 'off' };
      const { artefact, entries } = compile(loadModel(join(folder, 'model.ts')), options);
      const program = await Program.create(gpu.opened.device, artefact);
      await initialise(program, artefact, 1);
      const tuned: Tuned[] = [];
      await tuneEntries(
        program,
        jobsFor(artefact, entries, gpu.spec, () => false),
        {
          device: gpu.spec,
          stop: new AbortController().signal,
          onClass() {},
          onTuned: (made) => Promise.resolve(void tuned.push(made)),
        },
      );
      program.close();
      const product = tuned.find(({ kind }) => kind.startsWith('product'))!;
      const wrong = product.rejected.filter(({ plan }) => plan.family === 'nothing');
      expect(wrong.map(({ plan }) => plan.value)).toEqual([0, 1, NaN]);
      for (const { why } of wrong) expect(why).toMatch(/is off by .* from the interpreter$/);
      expect(product.best!.family).not.toBe('nothing');
      expect(product.tried).toBeGreaterThan(1);
      for (const { ownMs, bestMs } of tuned) expect(bestMs).toBeLessThanOrEqual(ownMs!);
    } finally {
      families.splice(families.indexOf(nothing), 1);
      gpu.close();
    }
  });
});

/** That family as the compiler's own choice for products. */
const chosen: Family = {
  ...nothing,
  admits: (group, device, wanted) => nothing.admits(group, device, wanted ?? { family: 'nothing', value: 0 }),
};

describe("a plan of the compiler's own that computes something else", () => {
  const tune = (...args: string[]) => ditc(['tune', 'model.ts', '--out', 'own.txt', '--json', ...args], folder);

  it('is told and fails the command, the best right one is written, and the rest is measured', async () => {
    const families = FAMILIES as Family[];
    families.unshift(chosen);
    try {
      const { code, out, err } = await tune('--entry', 'forward');
      expect(code, err).toBe(1);
      expect(err).toMatch(
        /^wrong: \w+ by the compiler's own plan \(nothing, a number\): .* from the interpreter; product-/m,
      );
      const { tuned, error } = JSON.parse(out) as { tuned: Tuned[]; error: { code: string } };
      expect(error.code).toBe('kernel-differs');
      const product = tuned.find(({ kind }) => kind.startsWith('product'))!;
      expect(product).toMatchObject({ own: { family: 'nothing' }, ownWrong: expect.any(String) as string });
      expect(product.ownMs).toBeUndefined();
      expect(product.best!.family).not.toBe('nothing');
      // What reads the product is judged by values that are right.
      const others = tuned.filter((each) => each !== product);
      expect(others.length).toBeGreaterThan(0);
      for (const { ownWrong } of others) expect(ownWrong).toBeUndefined();
      const table = readFileSync(join(folder, 'own.txt'), 'utf8');
      expect(table).toContain(`${product.kind} => ${product.best!.family}`);
      expect(table).not.toContain('nothing');
    } finally {
      families.splice(families.indexOf(chosen), 1);
      rmSync(join(folder, 'own.txt'), { force: true });
    }
  });
});

describe('ditc tune', () => {
  const built = async (...args: string[]) => {
    const { code, err } = await ditc(['build', 'model.ts', '--device', 'here', '--out', 'out', ...args], folder);
    expect(code).toBe(0);
    const { kernels } = JSON.parse(readFileSync(join(folder, 'out/manifest.json'), 'utf8')) as Manifest;
    return { plans: Object.values(kernels).map(({ plan }) => plan), err };
  };

  it('writes a table that builds take plans from, and goes on where there is one', async () => {
    const untuned = await built();
    expect(untuned.err).not.toContain('tuned by');
    const { code, out } = await ditc(['tune', 'model.ts', '--json'], folder);
    expect(code).toBe(0);
    const { tuned, out: path } = JSON.parse(out) as { tuned: Tuned[]; out: string };
    expect(tuned.length).toBeGreaterThan(1);
    const table = readFileSync(path, 'utf8');
    for (const { kind } of tuned) expect(table).toContain(`\n${kind} => `);
    // Another plan than the compiler's and than the fastest, which differs from run to run: so that it is seen who chose.
    const workgroup = table.includes('=> map workgroup=128') ? 256 : 128;
    const changed = table.replace(/(\nmap .* => map workgroup=)\d+/g, `$1${workgroup}`);
    expect(changed, table).not.toBe(table);
    writeFileSync(path, changed);
    const after = await built();
    expect(after.err).toContain('note: tuned by tuning/');
    expect(after.plans).toContainEqual({ family: 'map', workgroup });
    expect((await built('--tuning', 'off')).plans).toEqual(untuned.plans);
    const again = await ditc(['tune', 'model.ts'], folder);
    expect(again.out).toContain('nothing to measure');
    expect(readFileSync(path, 'utf8')).toBe(changed);
    rmSync(join(folder, 'tuning'), { recursive: true });
  });

  it('that is asked to end keeps what it has measured, and goes on with the rest', async () => {
    const gpu = await TestGpu.open();
    try {
      const out = join(folder, 'stopped.txt');
      const loaded = loadModel(join(folder, 'model.ts'));
      const lines = () =>
        readFileSync(out, 'utf8')
          .split('\n')
          .filter((line) => /^\w.* => /.test(line))
          .sort();
      const controller = new AbortController();
      const watch = setInterval(() => existsSync(out) && controller.abort(), 1);
      const first = await tuneModel(loaded, gpu.opened, { out }, SILENT, controller.signal);
      clearInterval(watch);
      const kept = lines();
      expect(first).toMatchObject({ stopped: true, kept: 0 });
      expect(kept).toHaveLength(first.tuned.length);
      expect(kept.length).toBeLessThan(first.total);
      const text = tuneText(first, SILENT);
      expect(text).toContain(`stopped; wrote`);
      expect(text).toContain(`${kept.length} of ${first.total} classes: the same command goes on`);
      const second = await tuneModel(loaded, gpu.opened, { out }, SILENT, new AbortController().signal);
      expect(second).toMatchObject({ stopped: false, kept: kept.length });
      expect(second.tuned.length + kept.length).toBe(lines().length);
      expect(first.total).toBe(lines().length);
      expect(lines()).toEqual(expect.arrayContaining(kept));
    } finally {
      gpu.close();
    }
  });

  it('is refused a table of another device', async () => {
    writeFileSync(join(folder, 'other.txt'), 'device gpu-9\ndriver 1\n');
    const { code, err } = await ditc(['tune', 'model.ts', '--out', 'other.txt'], folder);
    expect([code, err]).toEqual([2, expect.stringContaining('it is a table for gpu-9')]);
    expect(existsSync(join(folder, 'tuning'))).toBe(false);
  });
});
