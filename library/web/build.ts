/**
 * `ditc build --target web`: a folder for any web server. Each variant is the model compiled for a class of devices; the page's
 * `load` (runtime/web/) chooses one before it fetches a weight.
 */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { sha256 } from '../../compiler/emit/digest.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import { isHardware, PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import {
  FORMAT,
  type ModelFile,
  type StoredFile,
  type StoredTraining,
  type Variant,
  type VariantFile,
} from '../../runtime/web/model-file.ts';
import type { Dataset } from '../../runtime/data/dataset.ts';
import { bundled } from './bundle.ts';
import { ChunkWriter } from './chunks.ts';
import { packed } from './pack.ts';
import { page } from './page.ts';
import { selfTestOf } from './self-test.ts';
import { variantsOf, type WebVariant } from './variants.ts';
import { webWeights } from './weights.ts';

export interface WebOptions<Kept> {
  readonly name: string;
  readonly dtype: Precision;
  /** Weights to come with it; drawn from a seed where there are none. The caller closes it. */
  readonly checkpoint?: TensorFile;
  /** Compiles the model for a device. */
  readonly compile: (device: DeviceSpec, dtype: Precision) => Artefact;
  /** Entries whose kernels a page compiles when they are first asked for. */
  readonly later?: readonly string[];
  /** The samplers that there are entries for. */
  readonly samplers?: readonly string[];
  /** Where samples are pictures. */
  readonly picture?: ModelFile['picture'];
  /** Takes a file of weights until all are there, and gives what stands for it. */
  readonly keep: (bytes: Uint8Array) => Kept;
  readonly onNote?: (note: string) => void;
}

export interface WebFiles<Kept> {
  /** By their paths; `model.json`, which makes the folder whole, first. */
  readonly files: ReadonlyMap<string, string | Kept>;
  readonly model: ModelFile;
}

/** What a page trains besides. */
export interface TrainerOptions {
  /** The same model with its training entries, without a checkpoint. */
  readonly model: Omit<WebOptions<unknown>, 'keep' | 'checkpoint'>;
  /** Pixels or latents, as `openData` opens them. */
  readonly data: Dataset;
  readonly record: StoredTraining['record'];
}

/** Where in the folder it is. */
const TRAINER = 'train';
const MODEL = 'model.json';

/**
 * All files of a build, with a page and what it trains besides. No more of the weights and examples than one file of them is in memory, but
 * for what `keep` keeps there.
 */
export async function webFiles<Kept>(options: WebOptions<Kept>, trainer?: TrainerOptions): Promise<WebFiles<Kept>> {
  const { files, model } = await modelFiles(options);
  const trained = trainer && (await trainerFiles(trainer, options.keep));
  const whole: ModelFile = { ...model, ...(trained && { trainer: `${TRAINER}/` }) };
  const beside: [string, string][] = [...page(), ['runtime.js', await bundled('runtime')]];
  if (trained) beside.push(['training.js', await bundled('training')]);
  const below = [...(trained ?? [])].map(([name, content]) => [`${TRAINER}/${name}`, content] as const);
  const all = new Map<string, string | Kept>([[MODEL, textOf(whole)], ...beside, ...files, ...below]);
  return { files: all, model: whole };
}

/** What is trained, with its data. */
async function trainerFiles<Kept>(
  { model: options, data, record }: TrainerOptions,
  keep: WebOptions<Kept>['keep'],
): Promise<WebFiles<Kept>['files']> {
  const { files, model } = await modelFiles({ ...options, keep });
  const writer = () => new ChunkWriter(keep, { folder: 'data', compress: true });
  const [images, labels] = [writer(), writer()];
  for (let i = 0; i < data.count; i++) images.add(bytesOf(await data.read(i, false)));
  labels.add(bytesOf(data.labels));
  const training: StoredTraining = {
    ...{ images: images.done(), labels: labels.done(), record },
    content: data.content === 'pixels' ? 'pixels' : 'latents',
  };
  const text = textOf({ ...model, training });
  return new Map<string, string | Kept>([[MODEL, text], ...files, ...images.files, ...labels.files]);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => new Uint8Array(buffer, byteOffset, byteLength);

const textOf = (model: ModelFile): string => `${JSON.stringify(model)}\n`;

/** Each variant's code, and the weights. */
async function modelFiles<Kept>(options: WebOptions<Kept>): Promise<WebFiles<Kept>> {
  const { name, dtype, checkpoint, compile, later, samplers, picture, keep, onNote } = options;
  const files = new Map<string, string | Kept>();
  const weights: Record<string, ModelFile['weights'][string]> = {};
  const variants: Variant[] = [];
  for (const variant of variantsOf(dtype)) {
    const compiled = compile(variant.device, variant.dtype);
    const artefact = samplers?.length ? { ...compiled, manifest: { ...compiled.manifest, samplers } } : compiled;
    const code = codeOf(variant, artefact, checkpoint !== undefined);
    files.set(code.stored.file, code.text);
    variants.push(describe(variant, artefact, code.stored, checkpoint && variant.dtype));
    if (!checkpoint || variant.dtype in weights) continue;
    const { stored, files: chunks } = await webWeights(
      artefact,
      checkpoint,
      keep,
      Object.keys(weights).length ? undefined : onNote,
    );
    weights[variant.dtype] = stored;
    for (const [file, kept] of chunks) files.set(file, kept);
  }
  const told = { ...(later?.length && { later }), ...(picture && { picture }) };
  return { files, model: { format: FORMAT, model: name, variants, weights, ...told } };
}

/** A variant's kernels, manifest and self-test in one file. First values of parameters come with the weights, where these do. */
function codeOf(variant: WebVariant, artefact: Artefact, hasWeights: boolean): { stored: StoredFile; text: string } {
  const params = new Set(hasWeights ? artefact.manifest.params.map((spec) => `init.${spec.name}`) : []);
  const file: VariantFile = {
    artefact: packed(artefact, (tensor) => params.has(tensor)),
    selfTest: selfTestOf(variant),
  };
  const text = JSON.stringify(file);
  const digest = sha256(text);
  const stored = {
    file: `code/${variant.name}-${digest.slice(0, 16)}.json`,
    bytes: Buffer.byteLength(text),
    sha256: digest,
  };
  return { stored, text };
}

/** What a device must have for it. */
function describe({ name, device }: WebVariant, { manifest }: Artefact, code: StoredFile, weights?: string): Variant {
  const kernels = Object.values(manifest.kernels);
  const features = [...new Set(kernels.flatMap((kernel) => kernel.features))].sort();
  const subgroup = kernels.find((kernel) => kernel.subgroup !== undefined)?.subgroup;
  return { name, code, hardware: isHardware(device), features, subgroup, limits: raised(device), weights };
}

/** Limits of a device that not every one has. */
const raised = ({ limits }: DeviceSpec): Record<string, number> =>
  Object.fromEntries(Object.entries(limits).filter(([name, value]) => value > PORTABLE.limits[name]));
