/** `load`: from an artefact, in a folder or in memory, to a model that runs on the device that `ditc doctor` shows. */
import { fileURLToPath } from 'node:url';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { givenTensors, type GivenWeights } from '../checkpoint/given.ts';
import type { TensorFile } from '../checkpoint/source.ts';
import type { Part } from '../checkpoint/trained.ts';
import { openDevice, type OpenDevice } from '../device.ts';
import { RuntimeError } from '../error.ts';
import type { Started } from '../lasting.ts';
import { RunnableModel } from '../model.ts';
import { checkCount, checkOptions, type OptionNames } from '../needs.ts';
import { Program } from '../program.ts';
import type { AnySignature, Signature } from '../signature.ts';
import { setFirstValues, type OnMismatch } from '../weights.ts';
import { findAdapter, type AdapterChoice } from './adapter.ts';
import { readArtefact } from './artefact.ts';
import { openCheckpointFile } from './checkpoint.ts';

/** How far loading is: kernels compile while weights are read. */
export interface LoadProgress {
  readonly phase: 'kernels' | 'weights';
  readonly done: number;
  readonly total: number;
}

/** How a model is loaded; an option that is none of these is refused. */
export interface LoadOptions {
  /** A checkpoint: .safetensors, PyTorch .pt, an index of shards, or the folder of one; or arrays by parameter name. Without, weights are drawn from `seed`. */
  readonly weights?: string | URL | GivenWeights;
  /** Of a checkpoint with both: the moving average where there is one, unless told. */
  readonly part?: Part;
  /** Weights that do not fit the model are refused; or what fits is taken, and the rest drawn from `seed`. */
  readonly onMismatch?: OnMismatch;
  /** Of weights that are drawn; 0 unless told. */
  readonly seed?: number;
  /** The entries to be run; all unless told. What only others need is neither compiled nor allocated. */
  readonly entries?: readonly string[];
  /** What to run on: an open device, which stays the caller's, or a choice as `DITC_ADAPTER` takes it. */
  readonly device?: OpenDevice | AdapterChoice;
  /** Is told how far it is: of kernels, and of weights, side by side. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Is told what was chosen or passed over in a checkpoint, and of a device that was lost and opened anew. */
  readonly onNote?: (note: string) => void;
}

const OPTIONS: OptionNames<LoadOptions> = {
  weights: true,
  part: true,
  onMismatch: true,
  seed: true,
  entries: true,
  device: true,
  onProgress: true,
  onNote: true,
};

/**
 * Loads an artefact: a folder that `ditc build` wrote, or what `compile` of `ditc/compiler` gives. Dispose of the model when
 * done with it: it keeps the device, and Node with it.
 * @throws RuntimeError, each with its fix: `not-found`, `bad-artefact`, `no-adapter`, `missing-feature`, `limit`,
 * `out-of-memory`, `mismatch` (weights), `io`, ….
 */
export async function load<S extends Signature = AnySignature>(
  from: string | URL | Artefact,
  options: LoadOptions = {},
): Promise<RunnableModel<S>> {
  checkOptions('load', options, OPTIONS);
  checkCount('seed', options.seed ?? 0, 0);
  const artefact = isPath(from) ? await readArtefact(pathOf(from)) : from;
  if (!artefact?.manifest) throw noArtefact(from);
  const start = () => started(artefact, options);
  // A device that is the caller's cannot be opened anew for it.
  const again = typeof options.device === 'object' ? undefined : { start, onNote: options.onNote };
  return new RunnableModel<S>(await start(), artefact, again);
}

async function started(artefact: Artefact, options: LoadOptions): Promise<Started> {
  const [open, release] = await deviceFor(options.device);
  try {
    const { entries, onProgress } = options;
    const program = await Program.create(open.device, artefact, {
      entries,
      onProgress: ({ done, total }) => onProgress?.({ phase: 'kernels', done, total }),
      meanwhile: (program) => fill(program, artefact, options),
    });
    return { program, release };
  } catch (error) {
    release();
    throw error;
  }
}

const isPath = (from: unknown): from is string | URL => typeof from === 'string' || from instanceof URL;

function pathOf(from: string | URL): string {
  if (typeof from === 'string') return from;
  if (from.protocol === 'file:') return fileURLToPath(from);
  throw new RuntimeError({ code: 'bad-argument', what: `${from.href} is no file`, fix: 'give a path or a file: URL' });
}

const noArtefact = (from: unknown): RuntimeError =>
  new RuntimeError({
    code: 'bad-argument',
    where: 'load',
    what: `what to load is ${from === undefined ? 'missing' : 'no artefact'}`,
    fix: 'give a folder that ditc build wrote, or what compile of ditc/compiler gives',
  });

/** An open device, and what is to be done when the model is done with it. */
async function deviceFor(device: LoadOptions['device']): Promise<[open: OpenDevice, release: () => void]> {
  if (typeof device === 'object') return [device, () => {}];
  const open = await openGpu(device);
  return [open, () => open.close()];
}

/** Opens the device that models are to share: `load(…, { device })`. The caller closes it. */
export async function openGpu(prefer?: AdapterChoice): Promise<OpenDevice> {
  const found = await findAdapter(prefer && { prefer });
  try {
    return await openDevice(found.adapter, found.spec);
  } finally {
    found.close();
  }
}

async function fill(program: Program, artefact: Artefact, options: LoadOptions): Promise<void> {
  const { weights, part, onMismatch, seed = 0, onProgress, onNote } = options;
  const open = async (from: NonNullable<typeof weights>): Promise<TensorFile> =>
    isPath(from) ? openCheckpointFile(pathOf(from), part) : givenTensors(from, artefact.manifest.params);
  const file = weights === undefined ? undefined : await open(weights);
  try {
    await setFirstValues(program, { artefact, weights: file, part, onMismatch, seed, onNote }, ({ done, total }) => {
      onProgress?.({ phase: 'weights', done, total });
    });
  } finally {
    await file?.close();
  }
}
