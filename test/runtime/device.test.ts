import { afterEach, describe, expect, it, vi } from 'vitest';
import { isSoftwareName, openDevice, SPEC_LIMITS, specFromAdapter, USEFUL_FEATURES } from '../../runtime/device.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import type { FoundAdapter } from '../../runtime/node/adapter.ts';

// The null backend validates as every other does, so errors and loss need no GPU.
const opened: (OpenDevice | FoundAdapter)[] = [];
afterEach(() => opened.splice(0).forEach((thing) => thing.close()));

async function adapter(): Promise<FoundAdapter> {
  const found = await findAdapter({ prefer: 'null' });
  opened.unshift(found);
  return found;
}

async function open(options?: Parameters<typeof openDevice>[2]): Promise<OpenDevice> {
  const { adapter: gpuAdapter, spec } = await adapter();
  const device = await openDevice(gpuAdapter, spec, options);
  opened.unshift(device);
  return device;
}

/** An error that no scope catches: a buffer past every limit. */
async function provoke({ device }: OpenDevice): Promise<void> {
  device.createBuffer({ size: 2 ** 40, usage: GPUBufferUsage.STORAGE });
  await device.queue.onSubmittedWorkDone();
}

/** As webgpu 0.6.2 gives them: what it tells are getters of the prototype, and the object has no keys. */
function dawnObject(names: string, values: readonly unknown[]): object {
  const getters = names.split(' ').map((name, i) => [name, { get: () => values[i] }] as const);
  return Object.create(Object.defineProperties({}, Object.fromEntries(getters))) as object;
}

describe('DeviceSpec', () => {
  it('is plain JSON that prints the same every time, lists and limits sorted', async () => {
    const [first, second] = [(await adapter()).spec, (await adapter()).spec];
    expect(JSON.stringify(first)).toBe(JSON.stringify(second));
    expect(JSON.parse(JSON.stringify(first))).toEqual(first);
    expect(Object.keys(first.limits)).toEqual(Object.keys(first.limits).sort());
    expect(first.features).toEqual([...first.features].sort());
  });

  it('lists are declared sorted', () => {
    for (const list of [USEFUL_FEATURES, SPEC_LIMITS]) expect([...list]).toEqual([...list].sort());
  });

  it('has the matrix units with what they multiply and what they add up in, each once, and an adapter’s own name', () => {
    const configs = [
      ['f16', 'f32', 16, 16, 16],
      ['f16', 'f16', 16, 8, 16],
      ['f16', 'f32', 16, 16, 16],
      ['i8', 'i32', 16, 16, 32],
    ].map((values) => dawnObject('componentType resultComponentType M N K', values));
    const named = dawnObject('vendor architecture device description', ['nvidia', 'hopper', 'NVIDIA H200', '550.1']);
    const sizes = { subgroupMinSize: 32, subgroupMaxSize: 32, subgroupMatrixConfigs: configs };
    const features = new Set(['timestamp-query', 'subgroups', 'depth-clip-control']);
    const limits = { maxBufferSize: 7, maxTextureDimension1D: 8 };
    const fake = { info: Object.assign(named, sizes), features, limits };
    const spec = specFromAdapter(fake as unknown as GPUAdapter, 'hardware', 'fast', 'vulkan');
    expect(spec).toEqual({
      ...{ name: 'nvidia-h200', kind: 'hardware', vendor: 'nvidia', architecture: 'hopper', description: '550.1' },
      ...{ backend: 'vulkan', features: ['subgroups', 'timestamp-query'], subgroups: { min: 32, max: 32 } },
      ...{ limits: { maxBufferSize: 7 }, profile: 'fast' },
      sources: { capabilities: 'adapter: what Dawn says of it' },
      subgroupMatrix: [
        { componentType: 'f16', resultComponentType: 'f16', M: 16, N: 8, K: 16 },
        { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 },
        { componentType: 'i8', resultComponentType: 'i32', M: 16, N: 16, K: 32 },
      ],
    });
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
  });

  it('knows the software devices by name', () => {
    const names = ['llvmpipe (LLVM 15.0.6, 256 bits)', 'SwiftShader Device (Subzero)', 'Microsoft Basic Render Driver'];
    for (const name of names) expect(isSoftwareName(name)).toBe(true);
    for (const name of ['NVIDIA H200', 'Apple M3', 'AMD Radeon RX 7900']) expect(isSoftwareName(name)).toBe(false);
  });
});

describe('openDevice', () => {
  it('requests every useful feature and the highest limits', async () => {
    const { device, spec } = await open();
    for (const feature of spec.features) expect(device.features.has(feature)).toBe(true);
    for (const [name, value] of Object.entries(spec.limits)) {
      expect(device.limits[name as keyof GPUSupportedLimits], name).toBe(value);
    }
  });

  it('refuses a second device on an adapter before Dawn sees it', async () => {
    const { adapter: gpuAdapter, spec } = await adapter();
    opened.unshift(await openDevice(gpuAdapter, spec));
    await expect(openDevice(gpuAdapter, spec)).rejects.toMatchObject({ code: 'adapter-used' });
  });

  it('keeps an uncaught error for check(), which throws it once', async () => {
    const device = await open();
    device.check();
    await provoke(device);
    expect(() => device.check()).toThrow(RuntimeError);
    device.check();
    await provoke(device);
    expect(() => device.check()).toThrow(/device null reports an error: Buffer size .* exceeds the max buffer size/);
  });

  it('hands errors to onError instead when there is one', async () => {
    const errors: RuntimeError[] = [];
    const device = await open({ onError: (error) => errors.push(error) });
    await provoke(device);
    device.check();
    expect(errors.map(({ code }) => code)).toEqual(['gpu-error']);
  });

  it('prints an error that nobody checked for when it is closed', async () => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {});
    const device = await open();
    await provoke(device);
    device.close();
    expect(print).toHaveBeenCalledOnce();
    print.mockRestore();
  });

  it('turns a loss into a RuntimeError that every later check repeats', async () => {
    const device = await open();
    device.device.destroy();
    expect(await device.lost).toMatchObject({ code: 'device-lost' });
    expect(() => device.check()).toThrow(/device null was lost/);
    expect(() => device.check()).toThrow(/open a new device/);
    vi.spyOn(console, 'error').mockImplementationOnce(() => {});
  });

  it('does not call a close a loss, and may be closed twice', async () => {
    const device = await open();
    const lost = vi.fn();
    void device.lost.then(lost);
    device.close();
    device.close();
    await device.device.lost;
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(lost).not.toHaveBeenCalled();
    device.check();
  });
});
