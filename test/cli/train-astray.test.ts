/** The search for what made a training go astray: it ends at the kernel that is at fault, wherever that shows first. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import pc from 'picocolors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile, loadModel, type LoadedModel } from '../../cli/model.ts';
import { findOrigin, type Finding } from '../../cli/train/astray.ts';
import { TRAINING_ENTRIES } from '../../runtime/train.ts';
import { explained, originLines } from '../../cli/train/explain.ts';
import { NotFinite } from '../../cli/train/not-finite.ts';
import type { DitcError } from '../../compiler/ir/error.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { Dataset } from '../../runtime/data/dataset.ts';
import { START } from '../../runtime/data/order.ts';
import { prefetch } from '../../runtime/data/prefetch.ts';
import { openData } from '../../runtime/node/data/open.ts';
import { Program } from '../../runtime/program.ts';
import { initialise } from '../../runtime/weights.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { CLASSES, LINEAR, SIZE, writeStripes } from './linear-denoiser.ts';

const folder = scratchFolder();
const BATCH = 4;

describe('the search for what is not finite', () => {
  let cwd: string;
  let gpu: TestGpu;
  let loaded: LoadedModel;
  let data: Dataset;
  beforeAll(async () => {
    gpu = await TestGpu.open();
    cwd = folder({ 'linear.ts': LINEAR });
    await writeStripes(join(cwd, 'stripes.safetensors'));
    loaded = loadModel(join(cwd, 'linear.ts'));
    data = await openData(join(cwd, 'stripes.safetensors'), { shape: [1, SIZE, SIZE], classes: CLASSES });
  });
  afterAll(async () => {
    await data?.close();
    gpu?.close();
  });

  /** A training whose kernels were edited, ready to be taken again. */
  async function broken(edits: Record<string, (value: string) => string>, lr = 0.1) {
    const options = { device: gpu.spec, entries: TRAINING_ENTRIES, entryOptions: { batch: BATCH, lr } };
    const compiled = compile(loaded, options);
    const wgsl = new Map(compiled.artefact.wgsl);
    for (const [kernel, edit] of Object.entries(edits)) {
      const before = wgsl.get(kernel)!;
      // Where it writes several results, that of the parameter; else the one it writes.
      const store = /\bnext\[.*\] = /.test(before) ? /(\bnext\[[^\]]+\] = )(.*);/ : /(\w+\[[^\]]+\] = )(.*);(?=[^;]*$)/;
      const after = before.replace(store, (_, to, value) => `${to}${edit(value)};`);
      expect(after, kernel).not.toBe(wgsl.get(kernel));
      wgsl.set(kernel, after);
    }
    const artefact: Artefact = { ...compiled.artefact, wgsl };
    const program = await Program.create(gpu.opened.device, artefact, { entries: TRAINING_ENTRIES });
    const repeat = {
      program,
      entry: compiled.entries.find(({ name }) => name === 'trainStep')!,
      accumulate: 1,
      async restore() {
        await initialise(program, artefact, 7);
        await program.run('trainStart');
        return { step: 0, position: START };
      },
      async snapshot() {
        const specs = [...program.manifest.params, ...program.states];
        const isParam = (name: string) => program.manifest.params.some((spec) => spec.name === name);
        const read = (name: string) => (isParam(name) ? program.readParam(name) : program.readState(name));
        const kept = new Map(await Promise.all(specs.map(async ({ name }) => [name, await read(name)] as const)));
        return async () => {
          for (const [name, values] of kept)
            await (isParam(name) ? program.setParam(name, values) : program.setState(name, values));
        };
      },
      batchesFrom: (position = START) => prefetch(data, { batch: BATCH, seed: 7, position }),
      stop: new AbortController().signal,
    };
    program.write('seed', Uint32Array.of(7, 0));
    return { artefact, repeat, program };
  }

  const kernelsOf = ({ wgsl }: Artefact) => [...wgsl.keys()];
  const failure = (step: number, value = 'loss', good: number | undefined = 0) =>
    new NotFinite(step, value, `training went astray by step ${step}`, 'the loss is NaN', good);
  async function search(edits: Parameters<typeof broken>[0], error: NotFinite, lr?: number) {
    const { repeat, program } = await broken(edits, lr);
    const finding = await findOrigin({ ...repeat, onProgress() {} }, error).finally(() => program.close());
    return finding as Extract<Finding, { check: unknown }> | undefined;
  }
  const infinite = (value: string) => `((${value}) * 3e38) * 1e38`;

  it('finds a broken kernel in the very step', async () => {
    const found = await search({ error: infinite }, failure(20));
    expect(found).toMatchObject({ step: 1, check: { dispatch: { kernel: 'error' }, agrees: false } });
  });

  it('finds one whose result only the next step’s loss shows', async () => {
    const { artefact, program } = await broken({});
    program.close();
    // The update writes the parameter in place: its kernel has the name of what it computes.
    const update = kernelsOf(artefact).find((name) => /^next|^weight/.test(name))!;
    const found = await search({ [update]: infinite }, failure(10));
    expect(found).toMatchObject({ step: 1, check: { dispatch: { kernel: update }, agrees: false } });
    // A checkpoint sees the parameter itself.
    const seen = await search({ [update]: infinite }, new NotFinite(1, 'weight', 'after step 1, weight is not finite'));
    expect(seen).toMatchObject({ step: 1, check: { dispatch: { kernel: update } } });
  });

  it('finds nothing where the same steps give finite values', async () => {
    expect(await search({}, failure(5))).toBeUndefined();
  });

  it('tells numbers that outgrew float32 from a kernel that computes wrong, and saves the latter', async () => {
    const terminal = {
      out: () => {},
      err: () => {},
      interactive: false,
      outColors: pc.createColors(false),
      errColors: pc.createColors(false),
    };
    const told = async (edits: Parameters<typeof broken>[0], lr: number, error: NotFinite) => {
      const { artefact, repeat, program } = await broken(edits, lr);
      const into = { artefact, folder: join(cwd, 'saved'), terminal };
      const origin = await originLines(error, repeat, into).finally(() => program.close());
      return explained(error, { source: 'linear.ts', checkpoint: 'c.safetensors', origin }) as DitcError;
    };
    const grown = await told({}, 10, failure(70, 'loss', 60));
    expect(grown.why).toMatch(
      /kernel \w+ in step 6\d, .*\nfloat32 holds no larger numbers: .* is \d\.\d+e\+\d+, in \w+/,
    );
    expect(grown.fix).toContain('a lower --lr');
    expect(existsSync(join(cwd, 'saved'))).toBe(false);
    const wrong = await told({ error: infinite }, 0.1, failure(3));
    expect(wrong.where).toMatch(/linear\.ts:\d+:\d+$/);
    expect(wrong.why).toMatch(
      /kernel error in step 1, .*\nthe kernel computes wrong on this device: -?Infinity at \[.*\], where the reference has -?\d/,
    );
    expect(wrong.fix).toMatch(/^report it with that folder/);
    expect(existsSync(join(cwd, 'saved/error/kernel.wgsl'))).toBe(true);
  });
});
