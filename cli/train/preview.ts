/** What a training draws on the way: samples of a model that makes pictures, reconstructions of an autoencoder, or nothing. */
import { DitcError } from '../../compiler/ir/error.ts';
import { writeTold } from '../../runtime/data/told.ts';
import { drawSamples, SAMPLING_ENTRIES } from '../../runtime/sample.ts';
import type { Values } from '../../runtime/transfer.ts';
import { checkClasses } from '../classes.ts';
import type { LoadedModel } from '../model.ts';
import { toPictures, type Picture } from '../pictures.ts';
import { compileSampler } from '../sampler-batch.ts';
import type { Preview } from './drawing.ts';
import { reconstructed, RECONSTRUCTION } from './reconstructions.ts';

export interface PreviewRequest {
  /** Steps between samples; 0 for none. Undefined: as often as is usual, where the model makes pictures. */
  readonly every?: number;
  readonly classes?: readonly number[];
  /** Reverse steps; the model's own unless given. */
  readonly steps?: number;
  /** As of the training. */
  readonly tuning?: string;
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
    compile: (device) => compileSampler(loaded, device, settings, classes.length, { tuning: request.tuning }),
    async draw(program, { told, count }, onStep) {
      const pictures: Picture[] = [];
      // The first examples' texts, or whatever else there is to be told.
      const given: Record<string, Values> = {};
      for (const place of told ? classes.keys() : [])
        writeTold(given, classes.length, place, await told!.read(place % count));
      for await (const { first, shape, values } of drawSamples(program, { classes, seed, cfg, given, onStep }))
        pictures.push(...toPictures(values, shape, range, { first }));
      return { pictures };
    },
  };
}
