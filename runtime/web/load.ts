/** `load` of a page: from the URL of a folder that `ditc build --target web` wrote to a model that runs there. */
import { openDevice, specFromAdapter, isSoftware, type OpenDevice } from '../device.ts';
import { RuntimeError } from '../error.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { unlessAborted } from '../beside.ts';
import type { Again, Started } from '../lasting.ts';
import { RunnableModel } from '../model.ts';
import { checkCount, checkOptions, type OptionNames } from '../needs.ts';
import { Program } from '../program.ts';
import { initialise } from '../weights.ts';
import { unpacked } from './artefact.ts';
import { fitting } from './choose.ts';
import { download, downloadJson, type Downloads } from './download.ts';
import { loadError, noAdapter, noWebGpu } from './error.ts';
import {
  FORMAT,
  type ModelFile,
  type StoredFile,
  type StoredTensors,
  type Variant,
  type VariantFile,
} from './model-file.ts';
import { page } from './page.ts';
import { wrongValues } from './self-test.ts';
import { openStore } from './store.ts';
import { ChunkReader } from './tensors.ts';

/** How far loading is. All bytes are known before the first one comes in; kernels are compiled meanwhile. */
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

/** How a model is loaded; an option that is none of these is refused. */
export interface LoadOptions {
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Ends loading at once: the promise is rejected with the signal's reason, and nothing is left on the GPU. */
  readonly signal?: AbortSignal;
  /** The entries to be run; all unless told. */
  readonly entries?: readonly string[];
  /** This variant and no other; the best that the GPU runs unless told. */
  readonly variant?: string;
  /** Of weights that the build did not come with; 0 unless told. */
  readonly seed?: number;
  /** Seconds without a byte after which a connection is taken for broken, and begun again where it was; 30 unless told. */
  readonly patience?: number;
  /** Is told which variant was chosen and why not a better one, what is not kept for the next visit, and of a GPU that was lost. */
  readonly onNote?: (note: string) => void;
}

const PATIENCE = 30;

const OPTIONS: OptionNames<LoadOptions> = {
  onProgress: true,
  signal: true,
  entries: true,
  variant: true,
  seed: true,
  patience: true,
  onNote: true,
};

/** A model in a page, and what a visitor may want to know of it. */
export class PageModel extends RunnableModel {
  #found: Found;

  constructor(found: Found, again: () => Promise<Found>, onNote: Again['onNote']) {
    const start = async () => (this.#found = await again());
    super(found, found.artefact, { start, onNote });
    this.#found = found;
  }

  /** The variant that runs. */
  get variant(): string {
    return this.#found.variant;
  }

  /** The GPU's name, as far as the browser tells it. */
  get adapter(): string {
    return this.#found.adapter;
  }

  /** Which variant was chosen and why not a better one, in sentences. */
  get notes(): readonly string[] {
    return this.#found.notes;
  }

  /** The kernels by name. */
  get wgsl(): ReadonlyMap<string, string> {
    return this.#found.artefact.wgsl;
  }

  /** Bytes that it takes on the GPU. */
  get bytes(): number {
    return this.program.memory.total;
  }
}

/** A variant that runs. */
interface Found extends Started {
  readonly artefact: Artefact;
  readonly variant: string;
  readonly adapter: string;
  readonly notes: readonly string[];
}

/**
 * Loads the model in the folder at `from`, of which `model.json` is a file. Where its GPU is lost later, it is loaded again, from the cache.
 * @throws RuntimeError `no-webgpu`, `no-adapter`, `limit`, `network`, `damaged`, `wrong-values`, each with its fix; the signal's reason.
 */
export async function load(from: string | URL, options: LoadOptions = {}): Promise<PageModel> {
  checkOptions('load', options, OPTIONS);
  checkCount('seed', options.seed ?? 0, 0);
  checkCount('patience', options.patience ?? PATIENCE, 1);
  options.signal?.throwIfAborted();
  const base = new URL(`${String(from).replace(/\/?$/, '/')}`, page.location?.href);
  const { onNote } = options;
  const again = { ...options, onProgress: undefined, signal: undefined, onNote: undefined };
  return new PageModel(await find(base, options), () => find(base, again), onNote);
}

async function find(base: URL, options: LoadOptions): Promise<Found> {
  const { signal } = options;
  const gpu = page.navigator?.gpu;
  if (!gpu) throw noWebGpu();
  const patience = options.patience ?? PATIENCE;
  const model = checked(await downloadJson('model.json', { base, signal, patience }), base);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw noAdapter();
  const { chosen, passedOver } = fitting(asked(model, options.variant), adapter);
  const open = await openDevice(
    adapter,
    specFromAdapter(adapter, isSoftware(adapter.info) ? 'software' : 'hardware', 'safe'),
  );
  try {
    signal?.throwIfAborted();
    // What is under way when it is aborted ends by itself: its device is gone.
    return await unlessAborted(new Loading(model, open, base, options, passedOver).first(chosen), signal);
  } catch (error) {
    open.close();
    throw error;
  }
}

function checked(file: unknown, base: URL): ModelFile {
  const model = file as ModelFile;
  if (model?.format === FORMAT && Array.isArray(model.variants)) return model;
  const fix = 'build it again with ditc build --target web, and upload the whole folder';
  throw loadError({ code: 'damaged', where: base.href, what: 'model.json is of another version or kind', fix });
}

function asked({ variants }: ModelFile, name?: string): readonly Variant[] {
  if (name === undefined) return variants;
  const found = variants.filter((variant) => variant.name === name);
  if (found.length) return found;
  const fix = `choose one of ${variants.map((variant) => variant.name).join(', ')}`;
  throw new RuntimeError({ code: 'bad-argument', where: 'load', what: `there is no variant ${name}`, fix });
}

class Loading {
  #done = { bytes: 0, totalBytes: 0, uploaded: 0, totalUploaded: 0, kernels: 0, totalKernels: 0 };

  constructor(
    private readonly model: ModelFile,
    private readonly open: OpenDevice,
    private readonly base: URL,
    private readonly options: LoadOptions,
    passedOver: readonly string[],
  ) {
    for (const reason of passedOver) this.#note(reason);
  }

  readonly #notes: string[] = [];

  #note(note: string): void {
    this.#notes.push(note);
    this.options.onNote?.(note);
  }

  /** The first of the variants that computes what it should. */
  async first(variants: readonly Variant[]): Promise<Found> {
    const { model, open } = this;
    const wrong: string[] = [];
    for (const variant of variants) {
      const weights = variant.weights === undefined ? undefined : model.weights[variant.weights];
      const downloads = await this.#downloads(variant, weights);
      const { artefact, selfTest } = JSON.parse(
        new TextDecoder().decode(await download(variant.code, downloads)),
      ) as VariantFile;
      const failure = await wrongValues(open.device, selfTest);
      if (failure !== undefined) {
        wrong.push(`${variant.name}: ${failure}`);
        this.#note(`${variant.name} is passed over on ${open.spec.name} in ${agent()}: ${failure}`);
        continue;
      }
      this.#note(`${model.model} runs as ${variant.name} on ${open.spec.name}`);
      const whole = unpacked(artefact);
      const program = await this.#program(whole, weights, downloads);
      const found = { variant: variant.name, adapter: open.spec.name, notes: this.#notes, artefact: whole };
      return { ...found, program, release: () => open.close() };
    }
    const fix = 'update the GPU’s driver; please report it with this text';
    const what = `${open.spec.name} computes wrong values in ${agent()}`;
    throw loadError({ code: 'wrong-values', what, why: wrong.join('; '), fix });
  }

  async #downloads({ code }: Variant, weights?: StoredTensors): Promise<Downloads> {
    const { base, model, options } = this;
    const chunks = weights?.chunks ?? [];
    const files = [code, ...chunks];
    this.#done = { ...this.#done, bytes: 0, totalBytes: sizeOf(files), totalUploaded: sizeOf(chunks) };
    const onBytes = (bytes: number) => this.#tell('download', { bytes: this.#done.bytes + bytes });
    const store = await openStore(files, { base, model }, (note) => this.#note(note));
    return { base, signal: options.signal, patience: options.patience ?? PATIENCE, onBytes, store };
  }

  async #program(artefact: ReturnType<typeof unpacked>, weights: StoredTensors | undefined, downloads: Downloads) {
    const { open, options } = this;
    const program = await Program.create(open.device, artefact, {
      entries: options.entries,
      later: this.model.later?.filter((name) => !options.entries?.includes(name)),
      onProgress: ({ done, total }) => this.#tell('compile', { kernels: done, totalKernels: total }),
      meanwhile: async (program) => {
        const params = weights ? [] : artefact.manifest.params;
        await initialise(program, { ...artefact, manifest: { ...artefact.manifest, params } }, options.seed ?? 0);
        if (weights) await this.#fill(program, weights, downloads);
      },
    });
    options.signal?.throwIfAborted();
    this.#tell('ready', {});
    return program;
  }

  /** Chunk by chunk, each fetched while the one before goes to the GPU. */
  async #fill(program: Program, { chunks, tensors }: StoredTensors, downloads: Downloads): Promise<void> {
    const onUsed = (bytes: number) => this.#tell('upload', { uploaded: this.#done.uploaded + bytes });
    const reader = new ChunkReader(ahead(chunks.map((chunk) => () => download(chunk, downloads))), onUsed);
    for (const tensor of tensors) await program.setParam(tensor.name, reader.values(tensor));
  }

  /** Nothing, once it is aborted; what goes on then ends by that. */
  #tell(phase: LoadProgress['phase'], now: Partial<LoadProgress>): void {
    this.options.signal?.throwIfAborted();
    this.#done = { ...this.#done, ...now };
    this.options.onProgress?.({ phase, ...this.#done });
  }
}

const sizeOf = (files: readonly StoredFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);

/** What the tasks give, in order, the next one under way while this one is used. */
async function* ahead<T>(tasks: readonly (() => Promise<T>)[]): AsyncGenerator<T> {
  let next = tasks[0]?.();
  for (let i = 0; next; i++) {
    const value = await next;
    next = tasks[i + 1]?.();
    next?.catch(() => {}); // Thrown when it is this one's turn.
    yield value;
  }
}

const agent = (): string => page.navigator?.userAgent ?? 'this browser';
