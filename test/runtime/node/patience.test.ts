/** Waiting for a GPU that is this machine's CPU: few turns of the event loop, and timers are served meanwhile. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openDevice, type OpenDevice } from '../../../runtime/device.ts';
import { findAdapter, type FoundAdapter } from '../../../runtime/node/adapter.ts';

let found: FoundAdapter;
let open: OpenDevice;
beforeAll(async () => {
  found = await findAdapter();
  open = await openDevice(found.adapter, found.spec);
});
afterAll(() => {
  open?.close();
  found?.close();
});

/** Submits loops of additions that no compiler can shorten. */
function submitWork(rounds: number): void {
  const { device } = open;
  const code = `@group(0) @binding(0) var<storage, read_write> out: array<f32, 4096>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      var x = out[id.x];
      for (var i = 0u; i < ${rounds}u; i++) { x = sin(x + f32(i)); }
      out[id.x] = x;
    }`;
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }) },
  });
  const buffer = device.createBuffer({ size: 4096 * 4, usage: GPUBufferUsage.STORAGE });
  const entries = [{ binding: 0, resource: { buffer } }];
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(64);
  pass.end();
  device.queue.submit([encoder.finish()]);
}

it('sleeps between its questions to a software GPU', async ({ skip }) => {
  if (found.spec.kind !== 'software') skip('this adapter does not compute on the CPU');
  submitWork(4);
  await open.device.queue.onSubmittedWorkDone();
  submitWork(20_000);
  let [turns, timers, waiting] = [0, 0, true];
  const count = () => {
    turns++;
    if (waiting) setImmediate(count);
  };
  setImmediate(count);
  const timer = setInterval(() => timers++, 5);
  const start = performance.now();
  await open.device.queue.onSubmittedWorkDone();
  const ms = performance.now() - start;
  waiting = false;
  clearInterval(timer);
  expect(ms, 'work too short to say anything').toBeGreaterThan(30);
  // Each turn sleeps a twentieth of the wait so far, at most 1 ms: some hundred short ones, then one a millisecond.
  expect(turns).toBeLessThan(300 + 2 * ms);
  expect(timers).toBeGreaterThan(0);
});

it('sleeps once a turn, however often it waited before', async ({ skip }) => {
  if (found.spec.kind !== 'software') skip('this adapter does not compute on the CPU');
  for (let i = 0; i < 50; i++) {
    submitWork(4);
    await open.device.queue.onSubmittedWorkDone();
  }
  submitWork(20_000);
  const sleep = vi.spyOn(Atomics, 'wait');
  let [turns, waiting] = [0, true];
  const count = () => {
    turns++;
    if (waiting) setImmediate(count);
  };
  setImmediate(count);
  await open.device.queue.onSubmittedWorkDone();
  waiting = false;
  const sleeps = sleep.mock.calls.length;
  sleep.mockRestore();
  expect(sleeps, 'work too short to say anything').toBeGreaterThan(10);
  expect(sleeps).toBeLessThanOrEqual(turns + 2);
});
