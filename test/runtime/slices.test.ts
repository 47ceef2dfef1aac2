/** Runs are cut into submits that no driver loses its patience over, as few as measuring allows. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevice, type OpenDevice } from '../../runtime/device.ts';
import { findAdapter, type FoundAdapter } from '../../runtime/node/adapter.ts';
import { Program } from '../../runtime/program.ts';
import { Slices } from '../../runtime/slices.ts';
import { artefact, dispatch, entry, ramp, state, sum } from './by-hand.ts';

/** Dispatches of so many multiply-adds each, in an entry `run`. */
const specs = (macs: readonly number[]) => ({
  run: entry({ dispatches: macs.map((count) => ({ ...dispatch('k', []), macs: count })) }),
});

/** Half a second of the slowest GPU is 25 GMAC. */
const GIGA = 1e9;

describe('slices', () => {
  it('are one where a run is short', () => {
    expect(new Slices(specs([1, 2, 3])).of('run')).toEqual([]);
    expect(new Slices(specs([10 * GIGA, 10 * GIGA, 4 * GIGA])).of('run')).toEqual([]);
    expect(new Slices(specs([])).of('run')).toEqual([]);
  });

  it('hold as much as takes half a second, and each kernel whole', () => {
    expect(new Slices(specs([10, 10, 10, 60, 1].map((x) => x * GIGA))).of('run')).toEqual([2, 3, 4]);
  });

  it('count bytes where these take longer, and what a plan multiplies for nothing', () => {
    const bytes = { ...dispatch('k', []), bytesRead: 3e9, bytesWritten: 1e9 };
    const padded = { ...dispatch('k', []), macs: 1, plannedMacs: 20 * GIGA };
    const slices = new Slices({
      bytes: entry({ dispatches: [bytes, bytes] }),
      padded: entry({ dispatches: [padded, padded] }),
    });
    expect([slices.of('bytes'), slices.of('padded')]).toEqual([[1], [1]]);
  });

  it('grow when a run was faster than thought, and are not cut smaller by one that waited for others', () => {
    const slices = new Slices(specs([20, 20, 20, 20].map((x) => x * GIGA)));
    expect(slices.of('run')).toEqual([1, 2, 3]);
    slices.took('run', 400); // of 1,600 thought; it may be 800
    expect(slices.of('run')).toEqual([2]);
    slices.took('run', 100);
    expect(slices.of('run')).toEqual([]);
    slices.took('run', 60_000);
    expect(slices.of('run')).toEqual([]);
  });

  it('shrink when the GPU is slower than the slowest', () => {
    const slices = new Slices(specs([10 * GIGA, 10 * GIGA]));
    expect(slices.of('run')).toEqual([]);
    slices.took('run', 2000);
    expect(slices.of('run')).toEqual([1]);
  });

  it('of a run with a loop are measured by its turns, where these are the most of it', () => {
    const one = (macs: number) => entry({ dispatches: [{ ...dispatch('k', []), macs }] });
    const slices = new Slices({ turn: one(5 * GIGA), before: one(10 * GIGA), run: one(GIGA) });
    const thought = (names: readonly string[]) => names.map((name) => slices.milliseconds(name));
    expect(thought(['turn', 'before', 'run'])).toEqual([100, 200, 20]);
    slices.tookTogether([['before', 1], ['turn', 50], ['run', 1]], 500); // prettier-ignore
    expect(thought(['turn', 'before', 'run'])).toEqual([20, 200, 20]);
  });
});

/** Calls of WebGPU by name, while `work` runs. */
async function callsOf(work: () => Promise<void>): Promise<Record<string, number>> {
  const counted = [
    [GPUDevice.prototype, 'createCommandEncoder'],
    [GPUCommandEncoder.prototype, 'beginComputePass'],
    [GPUComputePassEncoder.prototype, 'setPipeline'],
    [GPUComputePassEncoder.prototype, 'setBindGroup'],
    [GPUComputePassEncoder.prototype, 'dispatchWorkgroups'],
    [GPUQueue.prototype, 'submit'],
  ] as const;
  const calls: Record<string, number> = {};
  const undo = counted.map(([prototype, name]) => {
    const methods = prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
    const method = methods[name];
    methods[name] = function (...args) {
      calls[name] = (calls[name] ?? 0) + 1;
      return method.apply(this, args);
    };
    return () => void (methods[name] = method);
  });
  try {
    await work();
    return calls;
  } finally {
    for (const each of undo) each();
  }
}

describe('a run', () => {
  let found: FoundAdapter;
  let open: OpenDevice;
  beforeAll(async () => {
    found = await findAdapter();
    open = await openDevice(found.adapter, found.spec);
  });
  afterAll(() => {
    open.close();
    found.close();
  });

  /** The entry `forward` of two dispatches, each of so many multiply-adds. */
  async function programOf(macs: number): Promise<Program> {
    const { manifest, wgsl } = sum();
    const { forward } = manifest.entries;
    const dispatches = forward.dispatches.map((each) => ({ ...each, macs }));
    const entries = { forward: { ...forward, dispatches } };
    const program = await Program.create(open.device, artefact({ ...manifest, entries }, Object.fromEntries(wgsl)));
    program.write('a', ramp());
    program.write('b', ramp(0, 0.5));
    return program;
  }

  it('is one encoder, one pass, one submit, and at most three calls a dispatch', async () => {
    const program = await programOf(1);
    expect(await callsOf(() => program.run('forward'))).toEqual({
      createCommandEncoder: 1,
      beginComputePass: 1,
      setPipeline: 2,
      setBindGroup: 2,
      dispatchWorkgroups: 2,
      submit: 1,
    });
    program.close();
  });

  it('that is thought long is submitted in parts, and in one once it is measured; its results are the same', async () => {
    const program = await programOf(20 * GIGA);
    const submits = async () => {
      const calls = await callsOf(() => program.run('forward'));
      await program.sync();
      expect(await program.readOutput('forward', 'twice')).toEqual(ramp(2, 1));
      return calls.submit;
    };
    expect([await submits(), await submits()]).toEqual([2, 1]);
    program.close();
  });

  it('with a loop that is thought long is submitted in parts, and in one once it is measured', async () => {
    const { manifest, wgsl } = sum();
    const { forward } = manifest.entries;
    const turn = {
      ...forward,
      outputs: [],
      dispatches: forward.dispatches.map((each) => ({ ...each, macs: 5 * GIGA })),
    };
    const entries = { turn, forward: { ...forward, parts: [{ entry: 'turn', times: 4 }] } };
    const program = await Program.create(open.device, artefact({ ...manifest, entries }, Object.fromEntries(wgsl)));
    program.write('a', ramp());
    program.write('b', ramp(0, 0.5));
    const submits: (number | undefined)[] = [];
    for (let run = 0; run < 2; run++) {
      submits.push((await callsOf(() => program.run('forward'))).submit);
      await program.sync();
      expect(await program.readOutput('forward', 'twice')).toEqual(ramp(2, 1));
    }
    expect(submits).toEqual([2, 1]);
    program.close();
  });

  it('is over before what is asked of the program meanwhile, also where that takes several submits', async () => {
    const { manifest, wgsl } = sum();
    const { forward } = manifest.entries;
    const long = forward.dispatches.map((each) => ({ ...each, macs: 20 * GIGA }));
    const entries = {
      turn: { ...forward, outputs: [], dispatches: long },
      forward: { ...forward, parts: [{ entry: 'turn', times: 4 }] },
    };
    const program = await Program.create(open.device, artefact({ ...manifest, entries }, Object.fromEntries(wgsl)));
    program.write('a', ramp());
    program.write('b', ramp(0, 0.5));
    const running = program.run('forward');
    program.write('a', ramp(5));
    await running;
    expect(await program.readOutput('forward', 'twice')).toEqual(ramp(2, 1));
    program.close();
  });
});

/** Of runs on a device that computes nothing, and that errs while they are on their way. */
describe('an error of something else on the device', () => {
  it('is told, and what was begun is submitted whole: a prelude that counts as run has run', async () => {
    const found = await findAdapter({ prefer: 'null' });
    const open = await openDevice(found.adapter, found.spec);
    const { manifest, wgsl } = sum();
    const { forward } = manifest.entries;
    const long = forward.dispatches.map((each) => ({ ...each, macs: 40 * GIGA }));
    const entries = {
      fill: { ...forward, outputs: [], dispatches: Array(100).fill(long).flat() },
      forward: { ...forward, prelude: 'fill' },
    };
    const program = await Program.create(open.device, artefact({ ...manifest, entries }, Object.fromEntries(wgsl)));
    program.write('a', ramp());
    program.write('b', ramp());
    let told: unknown;
    const first = await callsOf(async () => {
      const running = program.run('forward').catch((error: { code: unknown }) => (told = error.code));
      setTimeout(() => open.device.createBuffer({ size: 16, usage: 0xffff }));
      await running;
    });
    expect([told, first.dispatchWorkgroups]).toEqual(['gpu-error', 202]);
    expect((await callsOf(() => program.run('forward'))).dispatchWorkgroups).toBe(2);
    program.close();
    open.close();
    found.close();
  });
});

describe('a loop of many turns', () => {
  const TURNS = 30_000;

  /** Runs it on a device that computes nothing. */
  async function running(work: (program: Program, open: OpenDevice) => Promise<void>): Promise<void> {
    const found = await findAdapter({ prefer: 'null' });
    const open = await openDevice(found.adapter, found.spec);
    try {
      const { manifest, wgsl } = sum();
      const { forward } = manifest.entries;
      const entries = { turn: { ...forward, outputs: [] }, forward: { ...forward, parts: [{ entry: 'turn', times: TURNS }] } }; // prettier-ignore
      const params = [state('w')];
      const program = await Program.create(
        open.device,
        artefact({ ...manifest, entries, params }, Object.fromEntries(wgsl)),
      );
      await work(program, open);
      program.close();
    } finally {
      open.close();
      found.close();
    }
  }

  it('is submitted as the device gets on with it: the queue stays short, and the host hears timers and signals', async () => {
    await running(async (program, { device }) => {
      let [submits, queued, most, heard] = [0, 0, 0, 0];
      const submit = device.queue.submit.bind(device.queue);
      device.queue.submit = (commands) => {
        submit(commands);
        submits++;
        most = Math.max(most, ++queued);
        void device.queue.onSubmittedWorkDone().then(() => queued--);
      };
      const timer = setInterval(() => heard++, 1);
      const { dispatchWorkgroups } = await callsOf(() => program.run('forward'));
      clearInterval(timer);
      expect(dispatchWorkgroups).toBe(2 * (TURNS + 1));
      expect(submits).toBeGreaterThan(12);
      expect(most).toBeLessThan(8);
      expect(heard).toBeGreaterThan(3);
    });
  });

  it('is submitted whole before the next piece of a parameter that is being set', async () => {
    await running(async (program, { device: { queue } }) => {
      const calls: string[] = [];
      const { submit, writeBuffer } = queue;
      queue.submit = (...given) => (calls.push('submit'), submit.apply(queue, given));
      queue.writeBuffer = (...given: Parameters<typeof writeBuffer>) => (calls.push('write'), writeBuffer.apply(queue, given)); // prettier-ignore
      let run: Promise<void> | undefined;
      const pieces = function* () {
        yield ramp().subarray(0, 32);
        run = program.run('forward');
        yield ramp().subarray(32);
      };
      await program.setParam('w', pieces());
      await run;
      expect(calls.filter((call) => call === 'submit').length).toBeGreaterThan(7);
      expect([calls[0], calls.at(-1)]).toEqual(['write', 'write']);
    });
  });

  it('ends where its program is closed', async () => {
    await running(async (program) => {
      const calls = await callsOf(async () => {
        const run = program.run('forward');
        setTimeout(() => program.close());
        await expect(run).rejects.toThrow('the program is closed');
      });
      expect(calls.dispatchWorkgroups).toBeLessThan(TURNS);
    });
  });
});
