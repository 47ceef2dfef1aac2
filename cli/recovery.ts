/** A device that is lost under work is opened anew, once, and the work goes on from what it kept. */
import type { OpenDevice } from '../runtime/device.ts';
import { lossText, throughLoss } from '../runtime/recovery.ts';
import { withDevice } from './gpu.ts';
import type { Terminal } from './terminal.ts';

/** As `withDevice`. Where the device is lost, `resume` says what there is to go on from, for people, and has `work` go on with it. */
export const withLastingDevice = <T>(
  terminal: Pick<Terminal, 'err'>,
  work: (open: OpenDevice) => Promise<T>,
  resume: () => Promise<{ readonly from: string; work(open: OpenDevice): Promise<T> }>,
): Promise<T> =>
  throughLoss(
    () => withDevice(work),
    async (lost) => {
      const again = await resume();
      terminal.err(`note: ${lossText(lost, again.from)}`);
      return withDevice((open) => again.work(open));
    },
  );
