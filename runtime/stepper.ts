/**
 * An entry taken apart, for tools that look between its kernels: dispatches run when told, and what they read and wrote is
 * read, or replaced. Made by {@link Program.stepper}.
 */
import type { Resource, TensorSpec } from '../compiler/emit/artefact.ts';
import { encode as encodeRun } from './replay.ts';
import type { Replay } from './replay.ts';
import { encode } from './transfer.ts';
import type { Values } from './transfer.ts';

/** What a stepper needs of its program. */
export interface StepperHost {
  readonly device: GPUDevice;
  /** The stretch of a buffer where a resource lies, in bytes. */
  locate(resource: Resource): { readonly buffer: GPUBuffer; readonly offset: number; readonly bytes: number };
  read(spec: TensorSpec, resource: Resource): Promise<Values>;
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

  /** Submits what a run does after its dispatches: state gets its new values. */
  finish(): void {
    this.#submit({ steps: [], copies: this.#replay.copies });
  }

  /** The present value of a resource, once what was submitted is done. @throws RuntimeError `gpu-error`, `device-lost`. */
  read(spec: TensorSpec, resource: Resource): Promise<Values> {
    return this.#host.read(spec, resource);
  }

  write(spec: TensorSpec, resource: Resource, values: Values): void {
    const { buffer, offset } = this.#host.locate(resource);
    this.#host.device.queue.writeBuffer(buffer, offset, encode(spec, values) as GPUAllowSharedBufferSource);
  }

  /** Sets all bits of a resource: NaN as a float. What a dispatch leaves unwritten is then seen. */
  poison(resource: Resource): void {
    const { buffer, offset, bytes } = this.#host.locate(resource);
    this.#host.device.queue.writeBuffer(buffer, offset, new Uint8Array(bytes).fill(0xff));
  }

  #submit(part: Pick<Replay, 'steps' | 'copies'>): void {
    const encoder = this.#host.device.createCommandEncoder();
    encodeRun(encoder, part);
    this.#host.device.queue.submit([encoder.finish()]);
  }
}
