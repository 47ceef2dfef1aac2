/** What goes wrong on the device under a program: memory that runs out, loss, errors of other work; each is told once. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Artefact, Manifest } from '../../compiler/emit/artefact.ts';
import { openDevice } from '../../runtime/device.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import type { FoundAdapter } from '../../runtime/node/adapter.ts';
import { Program } from '../../runtime/program.ts';

// Dawn's null backend validates as all others do. It has half a GiB and really refuses; software Vulkan overcommits.
let found: FoundAdapter;
let open: OpenDevice;
beforeEach(async () => {
  found = await findAdapter({ prefer: 'null' });
  open = await openDevice(found.adapter, found.spec);
});
afterEach(() => {
  open.close();
  found.close();
});

/** An artefact of states, which its one entry uses, without kernels. */
function artefact(shapes: Record<string, number[]> = { s: [1] }): Artefact {
  const states = Object.entries(shapes).map(([name, shape]): Manifest['states'][number] => {
    return { name, shape, dtype: 'f32', init: { kind: 'zeros' } };
  });
  const updates = states.map(({ name }) => ({
    to: { kind: 'state' as const, name },
    from: { kind: 'arena' as const, arena: 0, offset: 0, size: 256 },
    bytes: 4,
  }));
  const bytes = { weightBytes: 0, stateBytes: 0, activationPeakBytes: 0, activationLowerBoundBytes: 0 };
  const memory = { ...bytes, arenas: [256] };
  const train = { inputs: [], outputs: [], macs: 0, paramCount: 0, dispatches: [], updates, changes: [], memory };
  const none = { kernels: {}, params: [], constants: [] };
  const manifest = { format: 1 as const, model: 'tiny', source: 'my.ts', device: 'any', ...none, states };
  return { manifest: { ...manifest, entries: { train } }, wgsl: new Map(), data: new Map() };
}

/** An error that no scope catches: a write past the end of a buffer. */
function provoke(): void {
  const buffer = open.device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
  open.device.queue.writeBuffer(buffer, 12, new Uint8Array(8));
}

/** What is printed by closing the device. */
function printed(): string[] {
  const print = vi.spyOn(console, 'error').mockImplementation(() => {});
  open.close();
  const lines = print.mock.calls.map(([line]) => String(line));
  print.mockRestore();
  return lines;
}

describe('a device under a program', () => {
  it('tells what needs how much when memory runs out, and frees what it took', async () => {
    const large = { m0: [2 ** 25], m1: [2 ** 25], m2: [2 ** 25], m3: [2 ** 25], m4: [2 ** 25] };
    const error: unknown = await Program.create(open.device, artefact(large)).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'out-of-memory' });
    expect(String(error)).toContain('tiny, which needs 640.0 MiB');
    expect(String(error)).toMatch(/state +640\.0 MiB\n +arenas \(shared by the entries\) +256 B\n +train +256 B\n/);
    // All of it was given back: nearly everything can be had again.
    const { m1, m2, m3 } = large;
    (await Program.create(open.device, artefact({ m1, m2, m3 }))).close();
    open.check();
  });

  it('turns its loss into rejections, and is not printed on top', async () => {
    const program = await Program.create(open.device, artefact());
    await program.run('train');
    open.device.destroy();
    await expect(program.sync()).rejects.toMatchObject({ code: 'device-lost' });
    await expect(program.run('train')).rejects.toMatchObject({ code: 'device-lost' });
    await expect(program.readState('s')).rejects.toMatchObject({ code: 'device-lost' });
    expect(() => open.check()).toThrow('device null was lost');
    program.close();
    expect(printed()).toEqual([]);
  });

  it('tells an uncaptured error by one rejection, and nowhere else', async () => {
    const program = await Program.create(open.device, artefact());
    const other = await Program.create(open.device, artefact());
    provoke();
    await expect(program.sync()).rejects.toMatchObject({ code: 'gpu-error' });
    await program.run('train');
    await program.sync();
    await other.sync();
    open.check();
    provoke();
    await expect(other.sync()).rejects.toMatchObject({ code: 'gpu-error' });
    program.close();
    other.close();
    expect(printed()).toEqual([]);
  });

  it('tells an error by check() or when it is closed, if no program did', async () => {
    const program = await Program.create(open.device, artefact());
    provoke();
    await open.device.queue.onSubmittedWorkDone();
    expect(() => open.check()).toThrow('device null reports an error');
    await program.sync();
    provoke();
    await open.device.queue.onSubmittedWorkDone();
    program.close();
    expect(printed()).toEqual([expect.stringContaining('device null reports an error')]);
  });
});
