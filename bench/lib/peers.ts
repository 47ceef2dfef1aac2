/**
 * Other WebGPU runtimes in this process. jax-js and tfjs are written for pages: they get `navigator.gpu`, the GPU object whose
 * adapter ditc found, and open devices of their own on that adapter. onnxruntime-node brings its own Dawn and picks an
 * adapter itself. A peer that is not installed, or does not start, is reported and left out.
 */
import type * as jaxModule from '@jax-js/jax';
import type * as tfModule from '@tensorflow/tfjs-core';
import type * as ortModule from 'onnxruntime-node';
import { createRequire } from 'node:module';
import type { FoundAdapter } from '../../runtime/node/adapter.ts';

export type Jax = typeof jaxModule;
export type Tf = typeof tfModule;
export type Ort = typeof ortModule;

/** Gives this process what a page has. */
function becomePage(gpu: GPU): void {
  const navigator = { gpu, userAgent: 'Node.js', hardwareConcurrency: 1 };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
}

/** What `start` gives, or nothing: then the reason is told. */
export async function optional<T>(name: string, start: () => Promise<T>): Promise<T | undefined> {
  try {
    return await start();
  } catch (error) {
    console.error(`left out: ${name} (${(error as Error).message.split('\n')[0]})`);
    return undefined;
  }
}

export const startJax = ({ gpu }: FoundAdapter): Promise<Jax | undefined> =>
  optional('jax-js', async () => {
    becomePage(gpu);
    const jax = await import('@jax-js/jax');
    const ready = await jax.init('webgpu');
    if (!ready.includes('webgpu')) throw new Error('it finds no WebGPU device');
    jax.defaultDevice('webgpu');
    return jax;
  });

/** What is used of tfjs's WebGPUBackend: it keeps up to 15 dispatches back before it submits them. */
interface TfBackend {
  readonly queue: GPUQueue;
  readonly commandEncoder: GPUCommandEncoder | null;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

/** tfjs, and the queue of its device. */
export interface StartedTf {
  readonly tf: Tf;
  /** Hands over what tfjs holds back, and waits until it is done. */
  finish(): Promise<void>;
}

export const startTf = ({ gpu }: FoundAdapter): Promise<StartedTf | undefined> =>
  optional('tfjs-webgpu', async () => {
    becomePage(gpu);
    const tf = await import('@tensorflow/tfjs-core');
    // Its gradients are modules whose imports Node resolves for require alone.
    createRequire(import.meta.url)('@tensorflow/tfjs-core/dist/register_all_gradients.js');
    await import('@tensorflow/tfjs-backend-webgpu');
    if (!(await tf.setBackend('webgpu'))) throw new Error('its webgpu backend does not start');
    await tf.ready();
    const backend = tf.backend() as unknown as TfBackend;
    const finish = async () => {
      backend.endComputePassEncoder();
      if (backend.commandEncoder) backend.submitQueue();
      await backend.queue.onSubmittedWorkDone();
    };
    return { tf, finish };
  });

export const startOrt = (): Promise<Ort | undefined> => optional('onnxruntime-node', () => import('onnxruntime-node'));

/** The versions that package.json names. */
export function peerVersions(): Record<string, string> {
  const { dependencies } = createRequire(import.meta.url)('../package.json') as {
    dependencies: Record<string, string>;
  };
  return dependencies;
}
