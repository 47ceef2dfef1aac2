/**
 * Samples on the way, or an autoencoder's reconstructions: pictures of the moving average of the weights, from a program of its own beside the training. It is
 * made once and its weights are set anew each time, so memory stays as it is.
 */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Dataset } from '../../runtime/data/dataset.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Program } from '../../runtime/program.ts';
import { initialise } from '../../runtime/weights.ts';
import { checkClasses } from '../classes.ts';
import { fillProgram } from '../gpu.ts';
import type { LoadedModel } from '../model.ts';
import { encodeGrid, toPictures, type Picture } from '../pictures.ts';
import { compileSampler } from '../sampler-batch.ts';
import { drawSamples, SAMPLING_ENTRIES } from '../../runtime/sample.ts';
import type { Terminal } from '../terminal.ts';
import { readAverage } from '../../runtime/train.ts';
import { reconstructed, RECONSTRUCTION } from './reconstructions.ts';

export interface PreviewRequest {
  /** Steps between samples; 0 for none. Undefined: as often as is usual, where the model makes pictures. */
  readonly every?: number;
  readonly classes?: readonly number[];
  /** Reverse steps; the model's own unless given. */
  readonly steps?: number;
}

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

const USUAL_INTERVAL = 1000;
/** The first classes of a model with more. */
const USUAL_PICTURES = 10;

/** What to draw of a model; undefined when nothing is. @throws DitcError when samples are asked for and cannot be made. */
export function previewOf(
  loaded: LoadedModel,
  request: PreviewRequest,
  { seed, classes }: { seed: number; classes?: number },
): Preview | undefined {
  const { every = USUAL_INTERVAL } = request;
  if (!every) return undefined;
  const { model, source } = loaded;
  const { picture } = model;
  const samples = SAMPLING_ENTRIES.every((entry) => Object.hasOwn(model.entries, entry));
  if (samples && picture) return sampled(loaded, { ...request, every }, { seed, known: classes }, picture.range);
  const asked = request.classes !== undefined || request.steps !== undefined;
  if (!samples && picture && !asked && Object.hasOwn(model.entries, RECONSTRUCTION))
    return reconstructed(loaded, every, picture.range);
  if (request.every === undefined && !asked) return undefined;
  const why = samples ? 'it makes latents, which a VAE decodes' : `it has no entries ${SAMPLING_ENTRIES.join(', ')}`;
  const fix = 'leave the sampling options out, and sample from OUT/weights.safetensors later';
  throw new DitcError({ code: 'latents', where: source, what: 'no pictures can be drawn on the way', why, fix });
}

/** Samples of classes, always from the same noise. */
function sampled(
  loaded: LoadedModel,
  request: PreviewRequest & { every: number },
  { seed, known }: { seed: number; known?: number },
  range: readonly [number, number],
): Preview {
  const { model, name } = loaded;
  const { every } = request;
  const usual = Array.from({ length: USUAL_PICTURES }, (_, i) => i % (known ?? 1)).sort((a, b) => a - b);
  const classes = request.classes ?? usual;
  checkClasses(classes, known, name);
  const settings = { ...model.options, ...(request.steps !== undefined && { steps: request.steps }) };
  const cfg = Number(model.options?.cfg ?? 1);
  return {
    every,
    entries: SAMPLING_ENTRIES,
    compile: (device) => compileSampler(loaded, device, settings, classes.length),
    async draw(program, _data, onStep) {
      const pictures: Picture[] = [];
      for await (const { first, shape, values } of drawSamples(program, { classes, seed, cfg, onStep }))
        pictures.push(...toPictures(values, shape, range, { first }));
      return { pictures };
    },
  };
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
