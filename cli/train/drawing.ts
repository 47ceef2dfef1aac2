/**
 * Pictures on the way: drawn with the moving average of the weights, by a program of its own beside the training. It is made
 * once and its weights are set anew each time, so memory stays as it is.
 */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Dataset } from '../../runtime/data/dataset.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Program } from '../../runtime/program.ts';
import { readAverage } from '../../runtime/train.ts';
import { initialise } from '../../runtime/weights.ts';
import { fillProgram } from '../gpu.ts';
import { encodeGrid, type Picture } from '../pictures.ts';
import type { Terminal } from '../terminal.ts';

/** What is drawn, checked against the model. */
export interface Preview {
  readonly every: number;
  /** The entries that draw. */
  readonly entries: readonly string[];
  compile(device: DeviceSpec): Artefact;
  /** Pictures by a program whose weights are set, and, where it matters, how many to a row. `onStep` is called now and then. */
  draw(program: Program, data: Dataset, onStep: () => void): Promise<Drawn>;
}

export interface Drawn {
  readonly pictures: readonly Picture[];
  readonly columns?: number;
}

/** A preview ready to draw. */
export interface OpenPreview {
  readonly every: number;
  /** A PNG made with the weights that `training` has now; undefined when `stop` came first, or samples were NaN. */
  draw(training: Program, stop: AbortSignal): Promise<Uint8Array | undefined>;
  close(): void;
}

export async function openPreview(
  open: OpenDevice,
  preview: Preview,
  { artefact, data, terminal }: { artefact: Artefact; data: Dataset; terminal: Terminal },
): Promise<OpenPreview> {
  // The weights come with each drawing.
  const unset = { ...artefact, manifest: { ...artefact.manifest, params: [] } };
  const fill = (program: Program) => initialise(program, unset, 0);
  const program = await fillProgram(open, { artefact, entries: preview.entries }, terminal, 'preparing samples', fill);
  return {
    every: preview.every,
    async draw(training, stop) {
      for (const { name } of program.manifest.params) await program.setParam(name, await readAverage(training, name));
      try {
        const { pictures, columns } = await preview.draw(program, data, () => stop.throwIfAborted());
        return encodeGrid(pictures, { columns });
      } catch (error) {
        if (stop.aborted) return undefined;
        if (!(error instanceof DitcError) || error.code !== 'not-finite') throw error;
        // Weights of the first steps may well overflow where those of later ones do not.
        terminal.err(`note: ${error.what}; no picture is kept of this step`);
        return undefined;
      }
    },
    close: () => program.close(),
  };
}
