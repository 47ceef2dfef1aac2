/** A program's tensors on its device, by name: written whole or streamed in, cleared, read back. Where each lies is the plan's. */
import type { Resource, TensorSpec } from '../compiler/emit/artefact.ts';
import { boundOf, bytesOf, countOf, padded, placeOf, type MemoryPlan } from './buffers.ts';
import type { Place } from './copies.ts';
import { quote, RuntimeError } from './error.ts';
import type { Stretch } from './replay.ts';
import { decode, download, encode, Uploader, wrongLength, type Chunks, type Values } from './transfer.ts';

/** What is found by its name. */
export type Named = Exclude<Resource['kind'], 'arena' | 'pack'>;

export class DeviceTensors {
  readonly #device: GPUDevice;
  readonly #plan: MemoryPlan;
  readonly #buffers: ReadonlyMap<string, GPUBuffer>;
  readonly #uploader: Uploader;
  /** Those that are no longer zero from their allocation. */
  readonly #touched = new Set<string>();

  constructor(device: GPUDevice, plan: MemoryPlan, buffers: ReadonlyMap<string, GPUBuffer>) {
    this.#device = device;
    this.#plan = plan;
    this.#buffers = buffers;
    this.#uploader = new Uploader(device.queue);
  }

  /** Where a resource lies. */
  locate(resource: Resource): Stretch {
    return this.#stretch(placeOf(resource, this.#plan));
  }

  /** What a kernel binds for it. */
  bound(resource: Resource): Stretch {
    return this.#stretch(boundOf(resource, this.#plan));
  }

  #stretch({ key, offset, bytes }: Place): Stretch {
    return { buffer: this.#buffers.get(key)!, offset, bytes };
  }

  /** @throws RuntimeError `not-found`, `mismatch` for another length or type of array; what `check` throws. */
  write(kind: Named, specs: readonly TensorSpec[], name: string, data: Values, check = () => {}): void {
    const spec = findSpec(kind, specs, name);
    const { buffer, offset } = this.locate({ kind, name });
    const values = encode(spec, data);
    if (!specs.some((s) => s.name === name && countOf(s) === data.length))
      throw wrongLength(spec, `${data.length} were given`);
    check();
    this.#touched.add(`${kind} ${name}`);
    this.#device.queue.writeBuffer(buffer, offset, values as GPUAllowSharedBufferSource);
  }

  /** Writes values that come in chunks, each after `before`. @throws as {@link write}, when a part of the tensor may be overwritten. */
  async stream(
    kind: Named,
    specs: readonly TensorSpec[],
    name: string,
    chunks: Chunks,
    before?: () => void,
  ): Promise<void> {
    const spec = findSpec(kind, specs, name);
    const { buffer, offset } = this.locate({ kind, name });
    this.#touched.add(`${kind} ${name}`);
    await this.#uploader.stream(spec, buffer, offset, chunks, before);
  }

  /** Sets a tensor to zero; costs nothing where nothing was written, unless it `mayHaveRun`. */
  clear(kind: Named, specs: readonly TensorSpec[], name: string, mayHaveRun: boolean): void {
    findSpec(kind, specs, name);
    if (!mayHaveRun && !this.#touched.has(`${kind} ${name}`)) return;
    const { buffer, offset, bytes } = this.locate({ kind, name });
    const encoder = this.#device.createCommandEncoder();
    encoder.clearBuffer(buffer, offset, bytes);
    this.#device.queue.submit([encoder.finish()]);
  }

  /** The present value. Rejects with what WebGPU gives when the device is lost. */
  async read(spec: TensorSpec, resource: Resource): Promise<Values> {
    if (countOf(spec) === 0) return decode(spec, new Uint8Array());
    const { buffer, offset } = this.locate(resource);
    return decode(spec, await download(this.#device, buffer, offset, padded(bytesOf(spec))));
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) buffer.destroy();
  }
}

/** The tensor of a name. @throws RuntimeError `not-found`. */
export function findSpec<T extends TensorSpec>(kind: string, specs: readonly T[], name: string): T {
  const spec = specs.find((s) => s.name === name);
  if (spec) return spec;
  throw unknown(kind, name, [...new Set(specs.map((s) => s.name))]);
}

export function unknown(kind: string, name: string, known: readonly string[]): RuntimeError {
  const why = known.length > 0 ? `known are ${known.join(', ')}` : 'there are none';
  return new RuntimeError({ code: 'not-found', what: `unknown ${kind} ${quote(name)}`, why });
}
