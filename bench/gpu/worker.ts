/** One workload in a process of its own: its milliseconds as JSON on stdout, or whether its kernels are right. */
import { verifyCompiled } from '../../cli/verify/run.ts';
import type { Terminal } from '../../cli/terminal.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import { Program, type OpenDevice } from '../../runtime/index.ts';
import { initialise } from '../../runtime/weights.ts';
import { values } from '../lib/check.ts';
import { compileWorkload, type CompiledWorkload, type Size, type Workload } from './workloads.ts';

export interface Work extends Workload {
  readonly dtype: Precision;
  readonly size: Size;
}

/** What one process measured. */
export interface Timed {
  readonly device: string;
  readonly dispatches: number;
  /** Of a run, one for each round. */
  readonly ms: readonly number[];
}

/** Work that a round waits for, so that the wait costs little beside it. */
const ROUND_MS = 200;

export async function time(open: OpenDevice, work: Work, rounds: number): Promise<Timed> {
  const { artefact, start, timed } = compileWorkload(work, { ...work, device: open.spec });
  const program = await Program.create(open.device, artefact);
  try {
    await initialise(program, artefact, 1);
    for (const [name, data] of inputs(artefact)) program.write(name, data);
    if (start) await program.run(start);
    const runs = async (count: number) => {
      const began = performance.now();
      for (let i = 0; i < count; i++) await program.run(timed);
      await program.sync();
      return (performance.now() - began) / count;
    };
    await runs(2);
    const count = Math.max(1, Math.round(ROUND_MS / (await runs(3))));
    const ms: number[] = [];
    for (let round = 0; round < rounds; round++) ms.push(await runs(work.kind === 'sample' ? 1 : count));
    return { device: open.spec.description ?? open.spec.name, dispatches: dispatchesOf(artefact, timed), ms };
  } finally {
    program.close();
  }
}

const dispatchesOf = ({ manifest }: CompiledWorkload['artefact'], entry: string): number =>
  manifest.entries[entry].dispatches.length;

/** Values for all inputs: times in the middle of the process, classes all over the table. */
function inputs({ manifest }: CompiledWorkload['artefact']): Map<string, Float32Array | Int32Array | Uint32Array> {
  const specs = Object.values(manifest.entries).flatMap((entry) => entry.inputs);
  return new Map(
    specs.map(({ name, shape, dtype }): [string, Float32Array | Int32Array | Uint32Array] => {
      const length = shape.reduce((n, size) => n * size, 1);
      if (dtype === 'u32') return [name, new Uint32Array(length)];
      if (dtype === 'i32') return [name, Int32Array.from({ length }, (_, i) => (i * 37) % 1000)];
      const drawn = values(length, 1, 1);
      return [name, name === 't' ? drawn.map((x) => 500 + 400 * x) : drawn];
    }),
  );
}

/** Every kernel against the reference, as `ditc verify` does: the names of those that differ. */
export async function verify(open: OpenDevice, work: Work, terminal: Terminal): Promise<readonly string[]> {
  const { artefact, entries } = compileWorkload(work, { ...work, device: open.spec });
  const { verdicts } = await verifyCompiled(
    { artefact, entries },
    open,
    { path: 'bench', options: {}, given: new Map() },
    terminal,
  );
  return verdicts.filter(({ agrees }) => !agrees).map(({ dispatch }) => dispatch.kernel);
}
