/**
 * What goes wrong on a device outside any call: errors that no error scope caught, and its loss. The OpenDevice and all
 * programs on it listen at once; what one of them has told, the others keep to themselves.
 */
import { RuntimeError } from './error.ts';

/** By WebGPU's own object for it, which all who listen are given. */
const told = new WeakSet<object>();

const originOf = (error: RuntimeError): object =>
  typeof error.cause === 'object' && error.cause !== null ? error.cause : error;
const isUntold = (error: RuntimeError | undefined): error is RuntimeError =>
  error !== undefined && !told.has(originOf(error));

/** Keeps what one listener heard until it can tell. The `cause` of an error is WebGPU's object. */
export class Faults {
  #error: RuntimeError | undefined;
  #loss: RuntimeError | undefined;

  /** Hears of a device until it is told not to: its loss is heard of in any case. */
  listen(device: GPUDevice): () => void {
    const onError = (event: GPUUncapturedErrorEvent): void => {
      event.preventDefault(); // Dawn and browsers would also print it.
      this.add(reported(event.error));
    };
    device.addEventListener('uncapturederror', onError);
    void device.lost.then((cause) => this.add(lost(cause)));
    return () => device.removeEventListener('uncapturederror', onError);
  }

  /** Of several errors only the first is kept: the others mostly follow from it. */
  add(error: RuntimeError): void {
    if (error.code === 'device-lost') this.#loss = error;
    else if (!isUntold(this.#error)) this.#error = error;
  }

  /** What is to be told now: an error once, a loss each time, for a lost device stays lost. */
  take(): RuntimeError | undefined {
    return this.takeUntold() ?? this.#loss;
  }

  /** What nobody was told yet. */
  takeUntold(): RuntimeError | undefined {
    const error = [this.#error, this.#loss].find(isUntold);
    this.#error = undefined;
    if (error) told.add(originOf(error));
    return error;
  }
}

function lost(cause: GPUDeviceLostInfo): RuntimeError {
  const why = cause.message.trim() || `reason: ${cause.reason}`;
  const fix = 'open a new device; if a kernel ran too long or memory ran out, build with a smaller --batch';
  return new RuntimeError({ code: 'device-lost', what: 'the device was lost', why, fix, cause });
}

function reported(cause: GPUError): RuntimeError {
  const fix = 'this is a bug in ditc or the driver: please report it with this text';
  const why = cause.message.trim();
  return new RuntimeError({ code: 'gpu-error', what: 'the device reports an error', why, fix, cause });
}

export function unreadable(cause: unknown): RuntimeError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new RuntimeError({ code: 'gpu-error', what: 'reading from the device failed', why, cause });
}
