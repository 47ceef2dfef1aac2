/** A device that is lost under work is opened anew, once, and the work goes on from what it kept. */
import type { OpenDevice } from '../runtime/device.ts';
import { withDevice } from './gpu.ts';
import type { Terminal } from './terminal.ts';

/**
 * As `withDevice`. Where the device is lost, `resume` says what there is to go on from, for people, and has `work` go on with it:
 * the driver stopped a kernel, was updated or crashed. A second loss is one too many: then it is the work.
 */
export async function withLastingDevice<T>(
  terminal: Pick<Terminal, 'err'>,
  work: (open: OpenDevice) => Promise<T>,
  resume: () => Promise<{ readonly from: string; work(open: OpenDevice): Promise<T> }>,
): Promise<T> {
  try {
    return await withDevice(work);
  } catch (error) {
    if (!isLoss(error)) throw error;
    const again = await resume();
    const why = error.why ? ` (${error.why.split('\n')[0]})` : '';
    terminal.err(`note: ${error.what}${why}: it is opened anew, ${again.from}`);
    return withDevice((open) => again.work(open));
  }
}

/** The runtime's error, or what a command made of it. */
const isLoss = (error: unknown): error is { readonly what: string; readonly why?: string } =>
  error instanceof Error && 'code' in error && error.code === 'device-lost' && 'what' in error;
