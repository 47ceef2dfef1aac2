/** How far loading is. All bytes are known before the first one comes in. */
export interface LoadProgress {
  /** What is told of: they go on side by side. */
  readonly phase: 'download' | 'upload' | 'compile' | 'ready';
  readonly bytes: number;
  readonly totalBytes: number;
  /** Bytes of weights that are on the GPU. */
  readonly uploaded: number;
  readonly totalUploaded: number;
  readonly kernels: number;
  readonly totalKernels: number;
}

export interface LoadOptions {
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Ends loading: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** The entries to be run; all unless told. */
  readonly entries?: readonly string[];
  /** This variant and no other; the best that the GPU runs unless told. */
  readonly variant?: string;
  /** Of weights that the build did not come with. */
  readonly seed?: number;
  /** Seconds without a byte after which a connection is begun again; 30 unless told. */
  readonly patience?: number;
  /** Is told which variant was chosen and why not a better one, what is not kept for the next visit, and of a GPU that was lost. */
  readonly onNote?: (note: string) => void;
}

export type Numbers = ArrayLike<number> | readonly unknown[];

export interface Tensor {
  readonly data: Float32Array | Int32Array | Uint32Array;
  readonly shape: readonly number[];
  readonly dtype: string;
}

/** Pictures [n, channels, height, width], the first of which is the `first` of all that are drawn. */
export type Look = () => Promise<Tensor & { readonly data: Float32Array; readonly first: number }>;

export interface SampleOptions {
  /** The class of each picture. */
  readonly classes: ArrayLike<number>;
  /** Of what the model is told of pictures besides, by the input's name: a row for each. */
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
  /** What pictures are drawn from instead of noise of the seed: f32 [n, channels, height, width]. */
  readonly noise?: ArrayLike<number>;
  /** The same seed gives the same pictures. */
  readonly seed?: number;
  /** Strength of guidance. */
  readonly cfg?: number;
  /** How many steps each picture takes, up to what it was built for; the model's own number unless told. */
  readonly steps?: number;
  /** One of `samplers` of the manifest; the model's own unless told. */
  readonly sampler?: string;
  /** Called after each step; `look`, called at once, reads what the pictures of this batch are expected to become. */
  readonly onStep?: (done: number, total: number, look?: Look) => void;
  readonly signal?: AbortSignal;
}

export interface TrainOptions {
  readonly data: {
    readonly images: Uint8Array | Float32Array;
    readonly labels?: ArrayLike<number>;
    readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
  };
  readonly steps: number;
  readonly seed?: number;
  readonly flip?: boolean;
  readonly every?: number;
  /** Steps from one copy of all values to the next, from which training goes on where the GPU is lost. */
  readonly keepEvery?: number;
  readonly onStep?: (measured: Readonly<Record<string, number>>) => void;
  readonly signal?: AbortSignal;
}

export interface Model {
  readonly manifest: {
    readonly model: string;
    readonly options?: Readonly<Record<string, unknown>>;
    readonly samplers?: readonly string[];
    readonly entries: object;
  };
  /** The variant that runs, and on which GPU as far as the browser tells it. */
  readonly variant: string;
  readonly adapter: string;
  /** Which variant was chosen and why not a better one, in sentences. */
  readonly notes: readonly string[];
  /** The kernels (WGSL) by name. */
  readonly wgsl: ReadonlyMap<string, string>;
  /** Bytes that it takes on the GPU. */
  readonly bytes: number;
  run(
    entry: string,
    inputs: Readonly<Record<string, Numbers | Tensor>>,
    options?: { outputs?: readonly string[] },
  ): Promise<Record<string, Tensor>>;
  /** Pictures or latents, [n, channels, height, width]. */
  sample(options: SampleOptions): Promise<Tensor>;
  train(options: TrainOptions): Promise<{ readonly step: number; readonly last?: Readonly<Record<string, number>> }>;
  state(name: string): Promise<Tensor>;
  param(name: string): Promise<Tensor>;
  weights(): Promise<Readonly<Record<string, Tensor>>>;
  /** Frees the GPU. */
  dispose(): Promise<void>;
}

/** Has `code`, `what`, `why` and `fix`; its message is all of them. */
export class RuntimeError extends Error {
  readonly code: string;
  readonly what: string;
  readonly where?: string;
  readonly why?: string;
  readonly fix?: string;
}

/** Loads the model of this folder. */
export function load(options?: LoadOptions): Promise<Model>;
/** Loads the model of another folder that ditc build --target web wrote. */
export function loadFrom(folder: string | URL, options?: LoadOptions): Promise<Model>;

export interface TrainerOptions extends LoadOptions {
  /** Is told of the data's bytes as they come in. */
  readonly onData?: (bytes: number, totalBytes: number) => void;
}

/** What this folder trains, with its data. */
export interface Trainer {
  readonly model: Model;
  /** Steps done. */
  readonly step: number;
  /** Takes steps, from where it is. */
  train(
    options: Omit<TrainOptions, 'data' | 'seed' | 'flip'>,
  ): Promise<{ readonly step: number; readonly last?: Readonly<Record<string, number>> }>;
  /** Where it is, as the parts of a file: `ditc train --resume` goes on from it. */
  checkpoint(): Promise<Uint8Array<ArrayBuffer>[]>;
  /** Goes on from a checkpoint of a page or of `ditc train`. */
  restore(name: string, bytes: Uint8Array): Promise<void>;
}

/** Loads what this folder trains, where the build came with data. */
export function openTrainer(options?: TrainerOptions): Promise<Trainer>;
