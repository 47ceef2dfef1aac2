/** The training loop on the device: what it computes, judged by the interpreter, and what it leaves alone. */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MetricsRecord } from '../../cli/metrics.ts';
import { compile, loadModel, type LoadedModel } from '../../cli/model.ts';
import { TRAINING_ENTRIES } from '../../runtime/train.ts';
import { trainLoop, type LoopOptions } from '../../cli/train/loop.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret, type Bindings } from '../../compiler/ops/index.ts';
import { START } from '../../runtime/data/order.ts';
import { prefetch } from '../../runtime/data/prefetch.ts';
import type { Dataset } from '../../runtime/data/dataset.ts';
import { openData } from '../../runtime/node/data/open.ts';
import { Program } from '../../runtime/program.ts';
import { initialise } from '../../runtime/weights.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { CLASSES, LINEAR, SIZE, writeStripes } from './linear-denoiser.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const BATCH = 4;
const folder = scratchFolder();

describe('the training loop', () => {
  let gpu: TestGpu;
  let loaded: LoadedModel;
  let data: Dataset;
  beforeAll(async () => {
    gpu = await TestGpu.open();
    const cwd = folder({ 'linear.ts': LINEAR });
    await writeStripes(join(cwd, 'stripes.safetensors'));
    loaded = loadModel(join(cwd, 'linear.ts'));
    data = await openData(join(cwd, 'stripes.safetensors'), { shape: [1, SIZE, SIZE], classes: CLASSES });
  });
  afterAll(async () => {
    await data.close();
    gpu.close();
  });

  /** A training of `steps`, and the program after it, which is the caller's to close. */
  async function trained(steps: number, more: Partial<LoopOptions> = {}) {
    const entryOptions = { batch: BATCH };
    const { artefact } = compile(loaded, { device: gpu.spec, entries: TRAINING_ENTRIES, entryOptions });
    const program = await Program.create(gpu.opened.device, artefact);
    await initialise(program, artefact, 7);
    await program.run('trainStart');
    const records: MetricsRecord[] = [];
    const batches = prefetch(data, { batch: BATCH, seed: 7 });
    const result = await trainLoop({
      program,
      batches,
      batch: BATCH,
      accumulate: 1,
      seed: 7,
      from: { step: 0, position: START },
      steps,
      lr: 0.1,
      every: { log: 1, checkpoint: 0, sample: 0, validate: 0 },
      stop: new AbortController().signal,
      onStep() {},
      onRecord: (record) => void records.push(record),
      onCheckpoint: async () => {},
      onSample: async () => {},
      onValidate: async () => undefined,
      ...more,
    });
    await batches.return();
    return { program, records, result };
  }

  it('computes what the interpreter does of the same batches', async () => {
    const steps = 8;
    const { program, records, result } = await trained(steps);
    const { graph } = traceEntry(loaded.model, 'trainStep', { batch: BATCH });
    const zeros = (n: number) => new Float64Array(n);
    const sizes = { weight: SIZE ** 4, classes: CLASSES * SIZE ** 2 };
    let state: Record<string, Float64Array> = { 'optimizer.step': zeros(1) };
    for (const [name, size] of Object.entries(sizes))
      for (const prefix of ['', 'ema.', 'optimizer.m.']) state[prefix + name] = zeros(size);
    const batches = prefetch(data, { batch: BATCH, seed: 7 });
    for (let step = 0; step < steps; step++) {
      const { x, y } = (await batches.next()).value;
      const bindings: Bindings = { ...state, images: x, labels: y, seed: [7, 0] };
      const { outputs, updates } = interpret(graph, bindings);
      expect(relativeError([records[step].loss!], outputs.loss.data)).toBeLessThan(1e-5);
      expect(relativeError([records[step].gradNorm!], outputs.gradNorm.data)).toBeLessThan(1e-5);
      state = Object.fromEntries(Object.entries(updates).map(([name, { data }]) => [name, Float64Array.from(data)]));
    }
    expect(result).toMatchObject({ step: steps, position: { epoch: 1, index: 7 } });
    expect(await program.readState('optimizer.step')).toEqual(Int32Array.of(steps));
    for (const name of Object.keys(sizes)) {
      expect(relativeError(await program.readParam(name), state[name]), name).toBeLessThan(1e-5);
      expect(relativeError(await program.readState(`ema.${name}`), state[`ema.${name}`]), name).toBeLessThan(1e-5);
    }
    program.close();
  });

  it('makes nothing on the device between looks, and memory stays as it is over 2,000 steps', async () => {
    const { device } = gpu.opened;
    const made: number[] = [];
    const others: string[] = [];
    const used: { heap: number; resident: number }[] = [];
    let at = 0;
    // Encoders are made for each step, and nothing else is.
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(device));
    const makers = methods.filter((name) => name.startsWith('create') && name !== 'createCommandEncoder');
    expect(makers.length).toBeGreaterThan(5);
    const originals = makers.map(
      (name) => [name, Reflect.get(device, name) as (...args: unknown[]) => unknown] as const,
    );
    for (const [name, original] of originals) {
      const counting = (...args: unknown[]): unknown => {
        if (name === 'createBuffer') made.push(at);
        else if (at > 0) others.push(name);
        return Reflect.apply(original, device, args);
      };
      Object.defineProperty(device, name, { configurable: true, value: counting });
    }
    try {
      // What is only garbage is collected first, and freed by the next step.
      const onStep = (step: number) => {
        at = step;
        if (step % 100 === 99) collectGarbage();
        const { heapUsed, rss } = process.memoryUsage();
        if (step % 100 === 0) used.push({ heap: heapUsed, resident: rss });
      };
      const { program } = await trained(2000, { every: { log: 500, checkpoint: 0, sample: 0, validate: 0 }, onStep });
      program.close();
    } finally {
      for (const [name] of originals) Reflect.deleteProperty(device, name);
    }
    expect(others).toEqual([]);
    // Two outputs of each look are read through a buffer each; the others are of the program itself, before step 1.
    const later = made.filter((step) => step > 0);
    expect(later).toEqual([500, 500, 1000, 1000, 1500, 1500, 2000, 2000]);
    const growth = (kind: 'heap' | 'resident') => {
      const [early, late] = [used.slice(5, 10), used.slice(15)];
      return Math.min(...late.map((use) => use[kind])) - Math.min(...early.map((use) => use[kind]));
    };
    // A thousand steps that kept 1 kB each, or of the device's a command buffer each, would show.
    expect(growth('heap')).toBeLessThan(2 ** 20);
    expect(growth('resident')).toBeLessThan(8 * 2 ** 20);
  });

  it('stops between steps when asked to', async () => {
    const stop = new AbortController();
    const places: number[] = [];
    const onStep = (step: number) => void (step === 12 && stop.abort());
    const onCheckpoint = async ({ step }: { step: number }) => void places.push(step);
    const { program, result } = await trained(1000, { stop: stop.signal, onStep, onCheckpoint });
    expect(result).toMatchObject({ step: 12, position: { epoch: 1, index: 23 } });
    expect(result.last?.step).toBe(12);
    expect(places).toEqual([12]);
    expect(await program.readState('optimizer.step')).toEqual(Int32Array.of(12));
    program.close();
  });
});
