/** Values on their way to and from the device: conversion to the GPU's types, streaming in, reading back, in chunks of a few MiB. */
import type { TensorSpec } from '../compiler/emit/artefact.ts';
import { countOf, widthOf } from './buffers.ts';
import { decodeF32 } from './checkpoint/dtype.ts';
import { encodeValues } from './checkpoint/encode.ts';
import { RuntimeError } from './error.ts';

/** A tensor's elements, row-major: f32 for f32 and f16 tensors, i32 for i32, u32 for u32 and bool. */
export type Values = Float32Array | Int32Array | Uint32Array;
/** A tensor's elements, whole or in pieces one after the other. */
export type Chunks = AsyncIterable<Values> | Iterable<Values> | Values;

/** Elements uploaded at a time: 4 MiB. Even, for f16; a multiple of 4, for Philox. */
export const CHUNK = 2 ** 20;
/** Bytes of uploads queued before waiting: the driver keeps its own copy of each until it is done. Few waits: Firefox has ten a second. */
const MAX_PENDING_BYTES = 16 * 2 ** 20;

/** Values in a tensor's GPU form. f16 is padded to whole words. @throws RuntimeError `mismatch` for another type of array. */
export function encode({ name, dtype }: TensorSpec, values: Values): Uint8Array | Values {
  if (dtype === 'f16' && values instanceof Float32Array) {
    const bytes = encodeValues('f16', values, name);
    if (bytes.length % 4 === 0) return bytes;
    const whole = new Uint8Array(bytes.length + 2);
    whole.set(bytes);
    return whole;
  }
  const type = dtype === 'i32' ? Int32Array : dtype === 'f32' || dtype === 'f16' ? Float32Array : Uint32Array;
  if (values instanceof type) return values;
  throw new RuntimeError({
    code: 'mismatch',
    what: `${name} is ${dtype}`,
    why: `it was given as ${(values as unknown)?.constructor?.name ?? typeof values}`,
    fix: `pass a ${type.name}`,
  });
}

/** The inverse of {@link encode}, over bytes that begin at a word. */
export function decode(spec: TensorSpec, bytes: Uint8Array): Values {
  const count = countOf(spec);
  if (spec.dtype === 'f16') return decodeF32('f16', bytes).slice(0, count);
  const type = spec.dtype === 'f32' ? Float32Array : spec.dtype === 'i32' ? Int32Array : Uint32Array;
  return new type(bytes.buffer as ArrayBuffer, bytes.byteOffset, count);
}

/** The error for values that are not as many as the tensor's elements. */
export function wrongLength(spec: TensorSpec, given: string): RuntimeError {
  const why = `[${spec.shape.join(', ')}] ${spec.dtype} is ${countOf(spec)} values, ${given}`;
  return new RuntimeError({ code: 'mismatch', what: `${spec.name} has another size`, why, fix: 'check its shape' });
}

function joined(head: Values, tail: Values): Values {
  const out = new Float32Array(head.length + tail.length);
  out.set(head);
  out.set(tail, head.length);
  return out;
}

/** Writes chunks one behind the other into a buffer from `offset` on, holding back when too much is queued on the device. */
export class Uploader {
  #pending = 0;

  constructor(private readonly queue: GPUQueue) {}

  /** `before`: what is to be done before each write, for others use the queue while chunks come in. */
  async stream(spec: TensorSpec, buffer: GPUBuffer, offset: number, chunks: Chunks, before = () => {}): Promise<void> {
    const count = countOf(spec);
    const width = widthOf(spec.dtype);
    let at = 0;
    let rest: Values | undefined;
    for await (const chunk of ArrayBuffer.isView(chunks) ? [chunks] : chunks) {
      let values = rest ? joined(rest, chunk) : chunk;
      rest = undefined;
      if (at + values.length > count) throw wrongLength(spec, `at least ${at + values.length} were given`);
      // Writes begin at whole words, so an odd f16 waits for its partner (a copy: the giver may reuse the chunk).
      if (width === 2 && values.length % 2 === 1 && at + values.length < count) {
        rest = values.slice(-1);
        values = values.subarray(0, -1);
      }
      for (let from = 0; from < values.length; from += CHUNK) {
        const part = values.subarray(from, from + CHUNK);
        before();
        await this.#write(buffer, offset + (at + from) * width, encode(spec, part));
      }
      at += values.length;
    }
    if (at + (rest?.length ?? 0) !== count) throw wrongLength(spec, `${at + (rest?.length ?? 0)} were given`);
  }

  async #write(buffer: GPUBuffer, offset: number, data: Uint8Array | Values): Promise<void> {
    this.queue.writeBuffer(buffer, offset, data as GPUAllowSharedBufferSource);
    this.#pending += data.byteLength;
    if (this.#pending < MAX_PENDING_BYTES) return;
    this.#pending = 0;
    // Writes are only carried out with the next submission.
    this.queue.submit([]);
    // Losing the device rejects it; whoever asked for the upload finds out by the device's own event.
    await this.queue.onSubmittedWorkDone().catch(() => undefined);
  }
}

/** Largest staging buffer of a read; larger tensors take several, filled by one submission. */
const STAGING_BYTES = 256 * 2 ** 20;

/**
 * The first `bytes` (a multiple of 4) of a buffer from `offset` on, as they are once all submitted work and the commands in
 * `encoder` are done. Rejects with what WebGPU gives when the device is lost.
 */
export async function download(
  device: GPUDevice,
  buffer: GPUBuffer,
  offset: number,
  bytes: number,
  encoder = device.createCommandEncoder(),
): Promise<Uint8Array> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const step = Math.min(STAGING_BYTES, Math.floor(device.limits.maxBufferSize / 4) * 4);
  const staging: GPUBuffer[] = [];
  for (let at = 0; at < bytes; at += step) {
    const part = device.createBuffer({ label: 'staging', size: Math.min(step, bytes - at), usage });
    encoder.copyBufferToBuffer(buffer, offset + at, part, 0, part.size);
    staging.push(part);
  }
  try {
    device.queue.submit([encoder.finish()]);
    const out = new Uint8Array(bytes);
    await Promise.all(
      staging.map(async (part, i) => {
        await part.mapAsync(GPUMapMode.READ);
        out.set(new Uint8Array(part.getMappedRange()), i * step);
        part.unmap();
      }),
    );
    return out;
  } finally {
    for (const part of staging) part.destroy();
  }
}
