/** The worker's side of decode-pool.ts: pictures in, bytes out. */
import { parentPort } from 'node:worker_threads';
import { RuntimeError } from '../../error.ts';
import { decodeImage } from './decode.ts';
import type { Answer, Task } from './decode-pool.ts';

parentPort!.on('message', async ({ id, path, shape }: Task) => {
  try {
    const bytes = await decodeImage(path, shape);
    // Small buffers share one allocation of Node's, which cannot be handed over.
    const whole = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
    parentPort!.postMessage({ id, bytes: whole } satisfies Answer, [whole.buffer as ArrayBuffer]);
  } catch (error) {
    parentPort!.postMessage({ id, failed: describe(error) } satisfies Answer);
  }
});

function describe(error: unknown): Exclude<Answer['failed'], undefined> {
  if (error instanceof RuntimeError) {
    const { code, what, where, why, fix } = error;
    return { code, what, where, why, fix };
  }
  const { code, message } = error as NodeJS.ErrnoException;
  return { code: 'io', what: 'an image cannot be read', why: `${message} (${code ?? 'unknown'})` };
}
