/**
 * Run by the tests as a process of its own, since loader, drivers and a clean exit are matters of a whole process:
 * opens the adapter that the environment selects, runs the self-test, closes, and prints one line of JSON.
 *
 * Arguments: `error` provokes errors that nobody catches; `leak` ends without closing anything; `twice` opens two
 * adapters side by side; `rounds` opens and closes many, collecting garbage in between (needs --expose-gc).
 */
import { openDevice } from '../../../runtime/device.ts';
import { RuntimeError } from '../../../runtime/error.ts';
import { findAdapter } from '../../../runtime/node/adapter.ts';
import { selfTest } from '../../../runtime/node/selftest.ts';

const modes = process.argv.slice(2);
// Lavapipe reads its vector width with every shader, so that stays set, with the cache that belongs to it.
const lasting = /^LP_NATIVE_VECTOR_WIDTH$|^MESA_SHADER_CACHE_DIR$/;
const environment = () =>
  JSON.stringify(
    Object.entries(process.env)
      .filter(([name]) => !lasting.test(name))
      .sort(),
  );
const environmentBefore = environment();

const found = await findAdapter();
const open = await openDevice(found.adapter, found.spec, { onError: (error) => errors.push(error.code) });
const errors: string[] = [];
const tests = [await selfTest(open)];

if (modes.includes('twice')) {
  const other = await findAdapter();
  const second = await openDevice(other.adapter, other.spec);
  tests.push(await selfTest(second), await selfTest(open));
  second.close();
  other.close();
}
if (modes.includes('error')) {
  open.device.createBuffer({ size: 2 ** 40, usage: GPUBufferUsage.STORAGE });
  open.device.createShaderModule({ code: 'fn broken( {' });
  await open.device.queue.onSubmittedWorkDone();
  try {
    await openDevice(found.adapter, found.spec);
  } catch (error) {
    errors.push(error instanceof RuntimeError ? error.code : String(error));
  }
}
if (modes.includes('rounds')) {
  for (let round = 0; round < 40; round++) {
    const one = await findAdapter();
    const device = await openDevice(one.adapter, one.spec);
    device.close();
    one.close();
    globalThis.gc!();
  }
}
const environmentKept = environment() === environmentBefore;
console.log(JSON.stringify({ spec: found.spec, why: found.why, tests, errors, environmentKept }));

if (!modes.includes('leak')) {
  open.close();
  found.close();
}
