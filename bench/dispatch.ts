/** What a dispatch costs the CPU: an entry encoded and submitted on Dawn's null backend, which computes nothing. */
import { loadavg } from 'node:os';
import { resolve } from 'node:path';
import { compile, loadModel } from '../cli/model.ts';
import { spread } from '../cli/spread.ts';
import { table } from '../cli/text.ts';
import { openDevice } from '../runtime/device.ts';
import { findAdapter } from '../runtime/node/adapter.ts';
import { Program } from '../runtime/program.ts';
import { footer, machine, options, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/dispatch.ts [MODEL.ts] [options]   µs of CPU a dispatch, of an entry (models/dit-s.ts)

  --entry NAME  (forward)
  --runs N      runs of the entry in a round (200)`;
const { rounds, json, positionals, count, text } = options(HELP, {
  entry: { type: 'string', default: 'forward' },
  runs: { type: 'string', default: '200' },
});
const entry = text('entry')!;
const runs = count('runs');

/** Milliseconds that calls of WebGPU take in a round, by name: what is left is JavaScript of ours. */
class Calls {
  readonly #ms = new Map<string, number>();

  constructor() {
    this.#time(GPUComputePassEncoder.prototype, ['setPipeline', 'setBindGroup', 'dispatchWorkgroups', 'end']);
    this.#time(GPUCommandEncoder.prototype, ['beginComputePass', 'finish']);
    this.#time(GPUDevice.prototype, ['createCommandEncoder']);
    this.#time(GPUQueue.prototype, ['submit', 'onSubmittedWorkDone']);
  }

  #time(prototype: object, names: readonly string[]): void {
    const methods = prototype as Record<string, (...args: unknown[]) => unknown>;
    for (const name of names) {
      const method = methods[name];
      const ms = this.#ms;
      methods[name] = function (...args) {
        const began = performance.now();
        try {
          return method.apply(this, args);
        } finally {
          ms.set(name, (ms.get(name) ?? 0) + performance.now() - began);
        }
      };
    }
  }

  /** Since the last time, most first. */
  take(): [name: string, ms: number][] {
    const taken = [...this.#ms].sort(([, a], [, b]) => b - a);
    this.#ms.clear();
    return taken;
  }
}

const found = await findAdapter({ prefer: 'null' });
const open = await openDevice(found.adapter, found.spec);
const before = loadavg()[0];
const setup = { device: found.spec, entries: [entry], entryOptions: { batch: 1 }, tuning: 'off' };
const { artefact } = compile(loadModel(resolve(positionals[0] ?? 'models/dit-s.ts')), setup);
const program = await Program.create(open.device, artefact);
const { length: dispatches } = artefact.manifest.entries[entry].dispatches;

/** Microseconds that this process has computed: what other programs take of the machine does not count. */
function computed(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Microseconds a dispatch, waiting for the queue left out: what a run costs before its promise is given. */
async function round(): Promise<number> {
  let us = 0;
  for (let i = 0; i < runs; i++) {
    const began = computed();
    const running = program.run(entry);
    us += computed() - began;
    await running;
  }
  await program.sync();
  return us / runs / dispatches;
}

await round();
const times: number[] = [];
for (let i = 0; i < rounds; i++) times.push(await round());
const calls = new Calls();
await round();
const shares = calls.take();
program.close();

const { min, median, max } = spread(times);
console.log(`${artefact.manifest.model} ${entry}: ${dispatches} dispatches a run, ${runs} runs a round`);
console.log(`CPU µs a dispatch: ${[min, median, max].map((us) => us.toFixed(2)).join(' / ')} (min / median / max)`);
console.log('\nin a round more, whose calls were timed by the wall clock:');
const cells = shares.map(([name, ms]) => [name, ((1e3 * ms) / runs / dispatches).toFixed(2)]);
console.log(table([['call', 'µs a dispatch'], ...cells], new Set([1])).join('\n'));
const load = [before, loadavg()[0]] as const;
console.log(footer({ load }, open.spec));
writeJson(json, { machine: machine(open.spec), entry, dispatches, load, microseconds: times, calls: shares });
open.close();
found.close();
