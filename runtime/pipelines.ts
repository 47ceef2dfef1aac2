/** Kernels as pipelines, and what to say of one that does not compile. */
import type { Artefact, Manifest } from '../compiler/emit/artefact.ts';
import { RuntimeError } from './error.ts';

export interface Compiled {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Called as each pipeline is ready. */
export type OnCompiled = (progress: {
  readonly stage: 'pipelines';
  readonly done: number;
  readonly total: number;
}) => void;

/**
 * All pipelines, compiled side by side. Kernels of the same access signature share a layout.
 * @throws RuntimeError `bad-kernel` for the first (in order) that does not compile, once all have ended.
 */
export async function compile(
  device: GPUDevice,
  { manifest, wgsl }: Pick<Artefact, 'wgsl'> & { readonly manifest: Pick<Manifest, 'kernels'> },
  names: readonly string[],
  onProgress?: OnCompiled,
): Promise<Map<string, Compiled>> {
  const layouts = new Map<string, GPUBindGroupLayout>();
  const compiled = new Map<string, Compiled>();
  const one = async (name: string) => {
    const types = manifest.kernels[name].bindings.map(({ access }): GPUBufferBindingType => {
      return access === 'read' ? 'read-only-storage' : 'storage';
    });
    const label = types.join(' ');
    const layout = layouts.get(label) ?? device.createBindGroupLayout({ label, entries: types.map(layoutEntry) });
    layouts.set(label, layout);
    const code = wgsl.get(name)!;
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: name, code });
    const invalid = device.popErrorScope();
    const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const pipeline = device.createComputePipelineAsync({ label: name, layout: pipelineLayout, compute: { module } });
    const [made, error] = await Promise.allSettled([pipeline, invalid]);
    if (made.status === 'rejected' || (error.status === 'fulfilled' && error.value)) {
      const reason: unknown = made.status === 'rejected' ? made.reason : undefined;
      throw await badKernel(name, code, module, reason);
    }
    compiled.set(name, { pipeline: made.value, layout });
    onProgress?.({ stage: 'pipelines', done: compiled.size, total: names.length });
  };
  const results = await Promise.allSettled(names.map(one));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return compiled;
}

const layoutEntry = (type: GPUBufferBindingType, binding: number): GPUBindGroupLayoutEntry => {
  return { binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } };
};

/** Why a kernel does not compile, with the lines around the place. */
async function badKernel(name: string, code: string, module: GPUShaderModule, reason: unknown): Promise<RuntimeError> {
  const { messages } = await module.getCompilationInfo();
  const found = messages.find(({ type }) => type === 'error');
  const parts = { code: 'bad-kernel', what: `kernel ${name} does not compile`, cause: reason };
  const fix = 'this is a bug in ditc: please report it with this text';
  if (!found) {
    const why = reason instanceof Error ? reason.message.trim() : String(reason);
    return new RuntimeError({ ...parts, why, fix });
  }
  const { lineNum, linePos, message } = found;
  const excerpt = code.split('\n').flatMap((line, i) => {
    if (Math.abs(i + 1 - lineNum) > 3) return [];
    const marker = i + 1 === lineNum ? [' '.repeat(Math.max(0, linePos - 1) + 7) + '^'] : [];
    return [`${String(i + 1).padStart(5)}  ${line}`, ...marker];
  });
  const why = [message.trim(), ...excerpt].join('\n');
  return new RuntimeError({ ...parts, where: `${name}.wgsl:${lineNum}:${linePos}`, why, fix });
}
