/** Loaded into a `ditc` process before its code (node --import): writes when it got where, to the file that BENCH_STARTUP names. */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const found = {};
/** Milliseconds since the process started. */
const first = (name) => (found[name] ??= performance.now());

const { globals } = createRequire(import.meta.url)('webgpu');
watch(globals.GPUAdapter, 'requestDevice', (result) => (first('adapter'), result.then(() => first('device'))));
watch(globals.GPUDevice, 'createComputePipelineAsync', (result) => {
  first('kernels');
  void result.then(() => (found.pipelines = performance.now()));
});
watch(globals.GPUQueue, 'writeBuffer', () => {
  if ('encoded' in found) return;
  first('uploads');
  found.uploaded = performance.now();
});
watch(globals.GPUComputePassEncoder, 'dispatchWorkgroups', () => first('encoded'));
watch(globals.GPUQueue, 'submit', () => 'encoded' in found && first('dispatch'));

/** Tells `see` what each call of a method returned. */
function watch({ prototype }, method, see) {
  const original = prototype[method];
  prototype[method] = function (...args) {
    const result = original.apply(this, args);
    see(result);
    return result;
  };
}

process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  for (const { name, startTime, duration } of performance.getEntriesByType('measure'))
    found[name] = { at: startTime, ms: duration + (found[name]?.ms ?? 0) };
  writeFileSync(
    process.env.BENCH_STARTUP,
    JSON.stringify({ ...found, end: performance.now(), cpu: (user + system) / 1000 }),
  );
});
