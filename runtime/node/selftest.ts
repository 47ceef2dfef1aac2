/**
 * The smallest proof that an adapter works: compile a kernel, run it, read the result back, compare every number.
 * Needs no artefact, so `ditc doctor` can run it on a machine where nothing else works yet.
 */
import type { DeviceSpec, OpenDevice } from '../device.ts';
import { RuntimeError } from '../error.ts';

export interface SelfTest {
  ok: boolean;
  /** Shader module and pipeline, in milliseconds. */
  compileMs: number;
  /** Submit to mapped result, in milliseconds. */
  runMs: number;
  /** What went wrong, when not ok. */
  error?: string;
}

const COUNT = 4096;
/** Invocations of a workgroup. */
const GROUP = 64;

/**
 * Barrier, workgroup memory and both kinds of number, all exact in f32: any rounding would be a wrong result. The second third
 * of `out` has how many lanes each one's subgroup really has, the last its number in the workgroup as subgroups count.
 */
const kernel = (subgroups: boolean): string => /* wgsl */ `
${subgroups ? 'enable subgroups;\nrequires subgroup_id;' : ''}
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
var<workgroup> tile: array<u32, ${GROUP}>;

@compute @workgroup_size(${GROUP})
fn main(
  @builtin(global_invocation_id) global: vec3u,
  @builtin(local_invocation_index) lane: u32,${
    subgroups
      ? `
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) place: u32,
  @builtin(subgroup_size) size: u32,`
      : ''
  }
) {
  tile[lane] = global.x;
  workgroupBarrier();
  out[global.x] = f32(tile[${GROUP - 1}u - lane]) * 0.5 + 1.0;
  out[global.x + ${COUNT}u] = ${subgroups ? 'f32(subgroupAdd(1u))' : '0.0'};
  out[global.x + ${2 * COUNT}u] = f32(${subgroups ? 'subgroup * size + place' : 'lane'});
}`;

/** The value that the kernel must leave at `index`: each group of 64 is reversed. */
function expected(index: number): number {
  const reversed = index - (index % 64) + 63 - (index % 64);
  return reversed * 0.5 + 1;
}

/** What is wrong with the sizes of subgroups: a driver's cache of shaders compiled for another size has been seen. */
function wrongLanes({ subgroups }: DeviceSpec, lanes: Float32Array): string | undefined {
  if (!subgroups) return undefined;
  const { min, max } = subgroups;
  const wrong = lanes.find((count) => count < Math.min(min, GROUP) || count > max);
  return wrong === undefined
    ? undefined
    : `a subgroup has ${wrong} lanes, the adapter says ${min === max ? '' : `${min} to `}${max}: delete the driver's cache of shaders`;
}

/** Whether subgroups that a workgroup is whole of number its invocations, each once: kernels of several subgroups go by that number. */
function wrongNumbers({ subgroups }: DeviceSpec, numbers: Float32Array): string | undefined {
  if (!subgroups || subgroups.max > GROUP) return undefined;
  for (let first = 0; first < COUNT; first += GROUP) {
    const own = new Set(numbers.subarray(first, first + GROUP));
    const lacking = Array.from({ length: GROUP }, (_, i) => i).find((i) => !own.has(i));
    if (lacking !== undefined)
      return `no invocation of a workgroup is number ${lacking} by its subgroups: they are not full`;
  }
  return undefined;
}

/** Runs the kernel on an open device. Never throws for a device that does not work: that is the finding. */
export async function selfTest(open: OpenDevice): Promise<SelfTest> {
  const { device, spec } = open;
  const result: SelfTest = { ok: false, compileMs: 0, runMs: 0 };
  const buffers: GPUBuffer[] = [];
  try {
    const start = performance.now();
    const module = device.createShaderModule({ code: kernel(spec.subgroups !== null), label: 'selftest' });
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
    const compiled = performance.now();
    result.compileMs = compiled - start;

    const size = 3 * COUNT * 4;
    const out = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
    const back = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    buffers.push(out, back);
    const layout = pipeline.getBindGroupLayout(0);
    const group = device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: out } }] });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(COUNT / GROUP);
    pass.end();
    encoder.copyBufferToBuffer(out, 0, back, 0, size);
    device.queue.submit([encoder.finish()]);
    await back.mapAsync(GPUMapMode.READ);
    const values = new Float32Array(back.getMappedRange().slice(0));
    back.unmap();
    result.runMs = performance.now() - compiled;

    open.check();
    const wrong = values.subarray(0, COUNT).findIndex((value, index) => !Object.is(value, expected(index)));
    result.error =
      wrong < 0
        ? (wrongLanes(spec, values.subarray(COUNT, 2 * COUNT)) ?? wrongNumbers(spec, values.subarray(2 * COUNT)))
        : `element ${wrong} of ${COUNT} is ${values[wrong]}, not ${expected(wrong)}`;
    result.ok = result.error === undefined;
  } catch (error) {
    result.error = error instanceof RuntimeError ? error.message : String(error);
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
  return result;
}
