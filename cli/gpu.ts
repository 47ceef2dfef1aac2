/** The GPU side of `run` and `sample`: an open device, and a program with its weights on it. */
import type { TensorFile } from '../runtime/checkpoint/source.ts';
import type { Part } from '../runtime/checkpoint/trained.ts';
import { openDevice, type OpenDevice } from '../runtime/device.ts';
import { findAdapter } from '../runtime/node/adapter.ts';
import { openCheckpointFile } from '../runtime/node/checkpoint.ts';
import type { OnCompiled } from '../runtime/pipelines.ts';
import { Program } from '../runtime/program.ts';
import { setFirstValues, type FirstValues, type OnWeights } from '../runtime/weights.ts';
import { progressInTurn } from './progress.ts';
import type { Terminal } from './terminal.ts';

/** Opens the device that `ditc doctor` shows, for the time of `work`. */
export async function withDevice<T>(work: (open: OpenDevice) => Promise<T>): Promise<T> {
  const found = await findAdapter();
  try {
    const open = await openDevice(found.adapter, found.spec);
    try {
      const result = await work(open);
      open.check();
      return result;
    } finally {
      open.close();
    }
  } finally {
    found.close();
  }
}

/** A checkpoint: its path, and which part of it, if it has several. */
type Weights = string | undefined | { readonly path: string | undefined; readonly part: Part | undefined };

/** Opens a checkpoint, for the time of `work`; without a path, `work` gets none. */
export async function withWeights<T>(weights: Weights, work: (file?: TensorFile) => Promise<T>): Promise<T> {
  const { path, part } = typeof weights === 'object' ? weights : { path: weights, part: undefined };
  if (path === undefined) return work();
  const file = await openCheckpointFile(path, part);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

export interface ProgramSetup extends Omit<FirstValues, 'onNote'> {
  readonly entries: readonly string[];
  /** Told as kernels are compiled and weights written, beside what is shown. */
  readonly watch?: { readonly onKernels: OnCompiled; readonly onWeights: OnWeights };
}

/** A program ready to run, with its weights set; the caller closes it. */
export async function startProgram(open: OpenDevice, setup: ProgramSetup, terminal: Terminal): Promise<Program> {
  const label = setup.weights ? 'weights' : 'random weights';
  const notes: string[] = [];
  const values = { ...setup, onNote: (note: string) => void notes.push(note) };
  const fill = (to: Program, bar: OnWeights) => setFirstValues(to, values, bar);
  const program = await fillProgram(open, setup, terminal, label, fill);
  for (const note of notes) terminal.err(`note: ${note}`);
  return program;
}

/** A program whose values `fill` sets, with a bar called `label`; the caller closes it. */
export async function fillProgram(
  open: OpenDevice,
  { artefact, entries, watch }: Pick<ProgramSetup, 'artefact' | 'entries' | 'watch'>,
  terminal: Terminal,
  label: string,
  fill: (program: Program, onProgress: OnWeights) => Promise<void>,
): Promise<Program> {
  const [kernels, values] = progressInTurn(terminal, ['kernels', label]);
  try {
    return await Program.create(open.device, artefact, {
      entries,
      onProgress(compiled) {
        kernels(compiled.done, compiled.total);
        watch?.onKernels(compiled);
      },
      meanwhile: (program) =>
        fill(program, (written) => {
          values(written.done, written.total);
          watch?.onWeights(written);
        }),
    });
  } finally {
    kernels(1, 1);
    values(1, 1);
  }
}

export const RANDOM_WEIGHTS =
  'the weights are random, so the result is noise; give a trained checkpoint with --weights FILE';
