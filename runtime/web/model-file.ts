/**
 * What `ditc build --target web` writes for a page to load (library/web/). `model.json` is read first: with the adapter at hand it
 * decides which variant runs, and says how many bytes that takes before the first of them is fetched.
 */
import type { DataRecord } from '../data/dataset.ts';
import type { Manifest, TensorSpec } from '../../compiler/emit/artefact.ts';

/** The format that this runtime reads. */
export const FORMAT = 1;

/** A file beside `model.json`, named by the SHA-256 of what is in it. */
export interface StoredFile {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Of one that is compressed (zlib), for no server does it: the bytes that it becomes. */
  readonly unpacked?: number;
}

/** A tensor at a byte of all chunks in a row, whole words long. */
export interface StoredTensor extends TensorSpec {
  readonly offset: number;
}

/** Tensors one behind the other, in the order in which kernels read them first, cut into chunks. */
export interface StoredTensors {
  readonly chunks: readonly StoredFile[];
  readonly tensors: readonly StoredTensor[];
}

/** The model as compiled for one class of devices. */
export interface Variant {
  readonly name: string;
  /** A {@link VariantFile}. */
  readonly code: StoredFile;
  /** Whether its kernels are for GPUs alone: a software one compiles them for minutes. */
  readonly hardware: boolean;
  /** What its kernels need of a device, of what not every one has. */
  readonly features: readonly string[];
  /** The size of subgroups that its kernels count on. */
  readonly subgroup?: number;
  /** Limits that must be raised above WebGPU's defaults. */
  readonly limits: Readonly<Record<string, number>>;
  /** Which of the sets of weights it takes; none where they are drawn from a seed. */
  readonly weights?: string;
}

export interface ModelFile {
  readonly format: number;
  readonly model: string;
  /** The best one first; the last runs on any device. */
  readonly variants: readonly Variant[];
  readonly weights: Readonly<Record<string, StoredTensors>>;
  /** Entries whose kernels are compiled when they are first asked for. */
  readonly later?: readonly string[];
  /** Where samples are pictures: the values of black and of white. None: they are latents. */
  readonly picture?: { readonly range: readonly [black: number, white: number] };
  /** The folder of a model that is trained, with its data. */
  readonly trainer?: string;
  /** Of a model that is trained: on what. */
  readonly training?: StoredTraining;
}

/** All files that it names, of all variants. */
export const filesOf = ({ variants, weights, training }: ModelFile): StoredFile[] => [
  ...variants.map(({ code }) => code),
  ...Object.values(weights).flatMap(({ chunks }) => chunks),
  ...(training ? [...training.images, ...training.labels] : []),
];

/** A data set, and what a checkpoint says of a training on it. */
export interface StoredTraining {
  /** Bytes of all examples: pixels, or f32 values. */
  readonly images: readonly StoredFile[];
  readonly content: 'pixels' | 'latents';
  /** i32 of each example. */
  readonly labels: readonly StoredFile[];
  /** What of a checkpoint's record does not change from step to step: cli/train/record.ts. */
  readonly record: {
    readonly format: 1;
    readonly model: string;
    readonly config: Readonly<Record<string, unknown>>;
    readonly settings: { readonly seed: number; readonly flip: boolean; readonly batch: number };
    readonly data: DataRecord;
  };
}

/** An artefact as JSON: numbers of dense data as they are. */
export interface PackedArtefact {
  readonly manifest: Manifest;
  readonly wgsl: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, { readonly dtype: 'f32' | 'i32' | 'u32'; readonly base64: string }>>;
}

/** A small model of the kinds of kernels that the variant has, and what it computes in float64. */
export interface SelfTestFile {
  readonly artefact: PackedArtefact;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  expected: Readonly<Record<string, readonly number[]>>;
  /** Largest difference, of the largest value of each output, that rounding explains. */
  readonly tolerance: number;
}

export interface VariantFile {
  readonly artefact: PackedArtefact;
  readonly selfTest: SelfTestFile;
}
