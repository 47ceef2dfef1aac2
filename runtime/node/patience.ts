/**
 * Waiting that leaves the cores to the kernels. While a promise of Dawn's is open, its Node binding asks for news in every turn
 * of the event loop, and so keeps a core busy: on a GPU nobody minds, but lavapipe and SwiftShader compute on those cores (a
 * product on two cores with other work took up to four times as long). Here each such turn sleeps, for a twentieth of the wait
 * so far and at most a millisecond: what is awaited comes hardly later, and timers and input are still served.
 */

const SHARE = 1 / 20;
const LONGEST_MS = 1;

let open = 0;
let since = 0;
/** A turn is due. One at a time: what opens before it finds nothing open is its too. */
let turning = false;
let patient = false;
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Makes all waiting for Dawn in this process patient, from now on. */
export function bePatient(): void {
  if (patient) return;
  patient = true;
  hook(GPUQueue.prototype, 'onSubmittedWorkDone');
  hook(GPUBuffer.prototype, 'mapAsync');
  hook(GPUDevice.prototype, 'createComputePipelineAsync');
}

function hook<Name extends string>(prototype: Record<Name, (...args: never[]) => Promise<unknown>>, name: Name): void {
  const original = prototype[name] as (...args: unknown[]) => Promise<unknown>;
  const waiting = function (this: unknown, ...args: unknown[]) {
    const promise = original.apply(this, args);
    if (open++ === 0) since = performance.now();
    if (!turning) takeTurn();
    const closed = () => void open--;
    promise.then(closed, closed);
    return promise;
  };
  prototype[name] = waiting as (typeof prototype)[Name];
}

function takeTurn(): void {
  turning = true;
  setImmediate(turn).unref();
}

function turn(): void {
  turning = false;
  if (open === 0) return;
  Atomics.wait(nobody, 0, 0, Math.min(LONGEST_MS, SHARE * (performance.now() - since)));
  takeTurn();
}
