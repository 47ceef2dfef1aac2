/**
 * Samples on the way: pictures of the moving average of the weights, from a program of its own beside the training. It is
 * made once and its weights are set anew each time, so memory stays as it is.
 */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import type { DeviceSpec } from '../../compiler/schedule/device.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Program } from '../../runtime/program.ts';
import { initialise } from '../../runtime/weights.ts';
import { checkClasses } from '../classes.ts';
import { fillProgram } from '../gpu.ts';
import type { LoadedModel } from '../model.ts';
import { encodePng, grid, toPictures, type Picture } from '../pictures.ts';
import { compileSampler } from '../sampler-batch.ts';
import { sample, SAMPLING_ENTRIES } from '../sampler.ts';
import type { Terminal } from '../terminal.ts';
import { readAverage } from './entries.ts';

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
  readonly classes: readonly number[];
  readonly seed: number;
  readonly cfg: number;
  /** The values of black and white. */
  readonly range: readonly [number, number];
  compile(device: DeviceSpec): Artefact;
}

const USUAL_INTERVAL = 1000;
/** The first classes of a model with more. */
const USUAL_PICTURES = 10;

/** What to draw of a model; undefined when nothing is. @throws DitcError when samples are asked for and cannot be made. */
export function previewOf(loaded: LoadedModel, request: PreviewRequest, seed: number): Preview | undefined {
  const { every = USUAL_INTERVAL } = request;
  if (!every) return undefined;
  const { model, name, source } = loaded;
  const samples = SAMPLING_ENTRIES.every((entry) => Object.hasOwn(model.entries, entry));
  if (!samples || !model.picture) {
    if (request.every === undefined && request.classes === undefined) return undefined;
    const why = samples ? 'it makes latents, which a VAE decodes' : `it has no entries ${SAMPLING_ENTRIES.join(', ')}`;
    const fix = 'leave the sampling options out, and sample from OUT/weights.safetensors later';
    throw new DitcError({ code: 'latents', where: source, what: 'no pictures can be drawn on the way', why, fix });
  }
  const { numClasses } = model.config;
  const known = typeof numClasses === 'number' ? numClasses : 1;
  const classes = request.classes ?? Array.from({ length: USUAL_PICTURES }, (_, i) => i % known).sort((a, b) => a - b);
  checkClasses(classes, numClasses, name);
  const settings = { ...model.options, ...(request.steps !== undefined && { steps: request.steps }) };
  return {
    every,
    classes,
    seed,
    cfg: Number(model.options?.cfg ?? 1),
    range: model.picture.range,
    compile: (device) => compileSampler(loaded, device, settings, classes.length),
  };
}

/** A preview ready to draw. */
export interface OpenPreview {
  readonly every: number;
  /** A PNG of samples with the weights that `training` has now; undefined when `stop` came first, or samples were NaN. */
  draw(training: Program, stop: AbortSignal): Promise<Uint8Array | undefined>;
  close(): void;
}

export async function openPreview(
  open: OpenDevice,
  preview: Preview,
  artefact: Artefact,
  terminal: Terminal,
): Promise<OpenPreview> {
  // The weights come with each drawing.
  const unset = { ...artefact, manifest: { ...artefact.manifest, params: [] } };
  const fill = (program: Program) => initialise(program, unset, preview.seed);
  const setup = { artefact, entries: SAMPLING_ENTRIES };
  const sampler = await fillProgram(open, setup, terminal, 'preparing samples', fill);
  return {
    every: preview.every,
    draw: (training, stop) => draw(training, sampler, preview, stop, terminal),
    close: () => sampler.close(),
  };
}

async function draw(
  training: Program,
  sampler: Program,
  preview: Preview,
  stop: AbortSignal,
  terminal: Terminal,
): Promise<Uint8Array | undefined> {
  for (const { name } of sampler.manifest.params) await sampler.setParam(name, await readAverage(training, name));
  const pictures: Picture[] = [];
  const onStep = () => stop.throwIfAborted();
  try {
    for await (const { first, shape, values } of sample(sampler, { ...preview, onStep })) {
      pictures.push(...toPictures(values, shape, preview.range, first));
    }
  } catch (error) {
    if (stop.aborted) return undefined;
    if (!(error instanceof DitcError) || error.code !== 'not-finite') throw error;
    // Weights of the first steps may well overflow where those of later ones do not.
    terminal.err(`note: ${error.what}; no picture is kept of this step`);
    return undefined;
  }
  return encodePng(grid(pictures, Math.min(pictures.length <= 8 ? 4 : 10, pictures.length)));
}
