/**
 * An entry taken apart, for tools that look between its kernels: dispatches run when told, by their own kernels or others, and what
 * they read and wrote is read, or replaced. Made by {@link Program.stepper}.
 */
import type { KernelSpec, Resource, TensorSpec } from '../compiler/emit/artefact.ts';
import { compile } from './pipelines.ts';
import { encode as encodeRun, groupOf } from './replay.ts';
import type { Replay, Step } from './replay.ts';
import { timeSteps, type Repeated } from './timing.ts';
import type { DeviceTensors } from './tensors.ts';
import { encode } from './transfer.ts';
import type { Values } from './transfer.ts';

/** What a stepper needs of its program. */
export interface StepperHost {
  readonly device: GPUDevice;
  /** Where resources lie, and what kernels bind for them. */
  readonly tensors: Pick<DeviceTensors, 'locate' | 'bound'>;
  read(spec: TensorSpec, resource: Resource): Promise<Values>;
}

/** Another kernel for a dispatch, that binds what its own does. */
export interface OtherKernel {
  readonly name: string;
  readonly spec: KernelSpec;
  readonly wgsl: string;
  readonly workgroups: Step['grid'];
}

export class Stepper {
  readonly #host: StepperHost;
  readonly #replay: Replay;

  constructor(host: StepperHost, replay: Replay) {
    this.#host = host;
    this.#replay = replay;
  }

  /** Submits the dispatches from `first` up to, but not including, `end`. */
  run(first: number, end: number): void {
    if (first < end) this.#submit({ steps: this.#replay.steps.slice(first, end), copies: [] });
  }

  /** A dispatch as it is, for {@link submit} and {@link time}. */
  step(index: number): Step {
    return this.#replay.steps[index];
  }

  /** A dispatch by another kernel. @throws RuntimeError `bad-kernel` where that does not compile. */
  async stepBy(index: number, { name, spec, wgsl, workgroups }: OtherKernel): Promise<Step> {
    const { device, tensors } = this.#host;
    const compiled = await compile(device, { manifest: { kernels: { [name]: spec } }, wgsl: new Map([[name, wgsl]]) }, [
      name,
    ]);
    const { pipeline, layout } = compiled.get(name)!;
    const bindings = this.#replay.spec.dispatches[index].resources.map((resource) => tensors.bound(resource));
    return { pipeline, group: groupOf(device, name, layout, bindings), grid: workgroups };
  }

  submit(step: Step): void {
    this.#submit({ steps: [step], copies: [] });
  }

  /** Nanoseconds of a run of each step, all in one submit where the device has timestamps. What they replace is replaced as often. */
  time(repeated: readonly Repeated[]): Promise<number[]> {
    return timeSteps(this.#host.device, repeated);
  }

  /** Submits what a run does after its dispatches: state gets its new values. */
  finish(): void {
    this.#submit({ steps: [], copies: this.#replay.copies });
  }

  /** The present value of a resource, once what was submitted is done. @throws RuntimeError `gpu-error`, `device-lost`. */
  read(spec: TensorSpec, resource: Resource): Promise<Values> {
    return this.#host.read(spec, resource);
  }

  write(spec: TensorSpec, resource: Resource, values: Values): void {
    const { buffer, offset } = this.#host.tensors.locate(resource);
    this.#host.device.queue.writeBuffer(buffer, offset, encode(spec, values) as GPUAllowSharedBufferSource);
  }

  /** Sets all bits of a resource: NaN as a float. What a dispatch leaves unwritten is then seen. */
  poison(resource: Resource): void {
    const { buffer, offset, bytes } = this.#host.tensors.locate(resource);
    this.#host.device.queue.writeBuffer(buffer, offset, new Uint8Array(bytes).fill(0xff));
  }

  #submit(part: Pick<Replay, 'steps' | 'copies'>): void {
    const encoder = this.#host.device.createCommandEncoder();
    encodeRun(encoder, part);
    this.#host.device.queue.submit([encoder.finish()]);
  }
}
