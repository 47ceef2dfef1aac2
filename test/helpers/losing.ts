/** Devices that are lost at a chosen moment. */
import { findAdapter } from '../../runtime/node/adapter.ts';

/** Has each device that is opened during `work` lost at its submit of that number, as far as there are numbers. */
export async function losing<T>(at: readonly number[], work: () => Promise<T>): Promise<T> {
  // Dawn's classes are global once it is loaded.
  (await findAdapter()).close();
  const { requestDevice } = GPUAdapter.prototype;
  const { submit } = GPUQueue.prototype;
  const devices: GPUDevice[] = [];
  let submits = 0;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await requestDevice.apply(this, args);
    devices.push(device);
    submits = 0;
    return device;
  };
  GPUQueue.prototype.submit = function (...args) {
    submit.apply(this, args);
    if (++submits === at[devices.length - 1]) devices.at(-1)!.destroy();
    return undefined;
  };
  try {
    return await work();
  } finally {
    GPUAdapter.prototype.requestDevice = requestDevice;
    GPUQueue.prototype.submit = submit;
  }
}
