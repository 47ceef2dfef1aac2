/** What a program starts from: first values from a seed, or a checkpoint's. A model of any size passes through in chunks. */
import type { Artefact, Manifest, ParamSpec, TensorSpec } from '../compiler/emit/artefact.ts';
import { countOf } from './buffers.ts';
import { asModel } from './checkpoint/layout.ts';
import { fitParameters, type Fit } from './checkpoint/fit.ts';
import { matchParameters } from './checkpoint/match.ts';
import type { MatchOptions, ParameterSpec } from './checkpoint/match.ts';
import type { TensorFile } from './checkpoint/source.ts';
import { trainedWeights, type Part } from './checkpoint/trained.ts';
import { RuntimeError } from './error.ts';
import { FiniteWatch } from './finite-watch.ts';
import type { Program } from './program.ts';
import { fillNormal, fillUniform, keyOf } from './random.ts';
import { CHUNK, type Chunks, type Values } from './transfer.ts';

/** How far {@link initialise} or {@link loadParams} is, in elements. */
export type OnWeights = (progress: { readonly name: string; readonly done: number; readonly total: number }) => void;

/**
 * Gives every parameter and every state of the program its first value. `seed` is an integer in [0, 2^53). A value depends
 * on the seed and the tensor's name and size only.
 * @throws RuntimeError `bad-artefact` when a fixed initial value is missing from the artefact's data.
 */
export async function initialise(
  program: Program,
  artefact: Artefact,
  seed: number,
  onProgress?: OnWeights,
): Promise<void> {
  const tensors = [
    ...artefact.manifest.params.map((spec) => ['param', spec] as const),
    ...program.states.map((spec) => ['state', spec] as const),
  ];
  const total = tensors.reduce((sum, [, spec]) => sum + countOf(spec), 0);
  let done = 0;
  for (const [kind, spec] of tensors) {
    const { name } = spec;
    if (spec.init.kind === 'zeros') program.clear(kind, name);
    else if (kind === 'param') await program.setParam(name, firstValues(artefact, spec, seed));
    else await program.setState(name, firstValues(artefact, spec, seed));
    done += countOf(spec);
    onProgress?.({ name, done, total });
  }
}

/** A tensor's first values in chunks. A chunk is only valid until the next one is asked for. */
function* firstValues(artefact: Artefact, spec: ParamSpec, seed: number): Iterable<Values> {
  const { init, name } = spec;
  if (init.kind === 'file') {
    const values = artefact.data.get(`init.${name}`);
    if (values) return yield values;
    const what = `the first value of ${name} is missing`;
    const fix = 'build the model again with ditc build';
    throw new RuntimeError({ code: 'bad-artefact', what, why: `the data has no tensor init.${name}`, fix });
  }
  const key = keyOf(seed, name);
  const count = countOf(spec);
  const chunk = new Float32Array(Math.min(CHUNK, count));
  for (let at = 0; at < count; at += CHUNK) {
    const part = chunk.subarray(0, Math.min(CHUNK, count - at));
    if (init.kind === 'normal') fillNormal(part, key, at, init.std);
    else if (init.kind === 'uniform') fillUniform(part, key, at, init.bound);
    else part.fill(init.kind === 'ones' ? 1 : 0);
    yield spec.dtype === 'f32' || spec.dtype === 'f16' ? part : encodeIntegers(spec, part);
  }
}

/** Whole numbers in the type that an integer tensor takes. */
const encodeIntegers = ({ dtype }: TensorSpec, values: Float32Array | Int32Array): Values =>
  dtype === 'i32' ? Int32Array.from(values) : Uint32Array.from(values);

export interface LoadOptions extends MatchOptions {
  readonly onProgress?: OnWeights;
  /** Told what the user should know of the file. */
  readonly onNote?: (note: string) => void;
  /** Parameters that the model computes have their values, which stay where the file has none. */
  readonly computed?: boolean;
  /** What to do with infinite or NaN weights: an error unless `note`. */
  readonly nonFinite?: 'refuse' | 'note';
  /** What fits is taken, and the rest keeps the values that it has. */
  readonly fit?: boolean;
}

/** The values that a parameter has, with those of the file over them. */
async function* readOver(
  own: OwnValues,
  name: string,
  read: (own: Float32Array) => Promise<Float32Array>,
): AsyncGenerator<Float32Array> {
  yield await read((await own(name)) as Float32Array);
}

/** The values that a parameter has already. */
type OwnValues = (name: string) => Promise<Values>;

/** All parameters from the file, each whole. @throws as `matchParameters`. */
function wholeParameters(file: TensorFile, specs: readonly ParameterSpec[], options: MatchOptions): Fit {
  const { tensors, notes } = matchParameters(file, specs, options);
  return { found: tensors.map((info) => info && { info }), notes };
}

/**
 * Each parameter's values, in the order of `order` (of the manifest unless told), by name from a checkpoint, streaming; none of one that
 * the file may lack and does. They are only valid until the next parameter's are asked for.
 * @throws RuntimeError `mismatch` (before any is given) unless names and shapes agree; `not-finite`, at the end; what reading throws.
 */
export async function* parametersOf(
  { params, otherParams, layouts }: Manifest,
  given: TensorFile,
  options: LoadOptions & { readonly order?: readonly ParamSpec[]; readonly own?: OwnValues } = {},
): AsyncGenerator<readonly [ParamSpec, Chunks | undefined]> {
  const { order = params, own } = options;
  const { file, notes: read } = await asModel(given, params, layouts);
  read.forEach((note) => options.onNote?.(note));
  const specs = params.map((spec) => ({ ...spec, computed: options.computed && spec.init.kind === 'file' }));
  const { found, notes } = options.fit
    ? fitParameters(file, specs)
    : wholeParameters(file, specs, { others: otherParams, ...options });
  notes.forEach((note) => options.onNote?.(note));
  const watch = new FiniteWatch();
  const places = new Map(params.map(({ name }, i) => [name, found[i]]));
  for (const spec of order) {
    const { info, read } = places.get(spec.name) ?? {};
    if (!info) yield [spec, undefined];
    else if (spec.dtype !== 'f32' && spec.dtype !== 'f16')
      yield [spec, encodeIntegers(spec, await file.readI32(info.name))];
    else {
      const over = read && own && readOver(own, spec.name, read);
      yield [spec, watch.through(spec, info.name, over ?? file.readF32Chunks(info.name, CHUNK))];
    }
  }
  const odd = watch.error(file.name);
  if (!odd) return;
  if (options.nonFinite !== 'note') throw odd;
  options.onNote?.(`${odd.where}: ${odd.what}: ${odd.why}`);
}

/** Sets all parameters from a checkpoint by name, streaming. @throws as {@link parametersOf}. */
export async function loadParams(program: Program, given: TensorFile, options: LoadOptions = {}): Promise<void> {
  const { params } = program.manifest;
  const total = params.reduce((sum, spec) => sum + countOf(spec), 0);
  const own = (name: string) => program.readParam(name);
  let done = 0;
  for await (const [spec, values] of parametersOf(program.manifest, given, { ...options, own })) {
    if (values) await program.setParam(spec.name, values);
    done += countOf(spec);
    options.onProgress?.({ name: spec.name, done, total });
  }
}

/** What a program starts from: parameters from a checkpoint, or drawn from the seed, and the states' first values. */
export interface FirstValues {
  readonly artefact: Artefact;
  readonly weights?: TensorFile;
  readonly seed: number;
  /** Which weights of a training's checkpoint: the moving average where there is one, unless told. */
  readonly part?: Part;
  readonly onNote?: LoadOptions['onNote'];
  readonly nonFinite?: LoadOptions['nonFinite'];
  /** What to do with weights that do not fit the model: refuse them, or take what fits and draw the rest from the seed. */
  readonly onMismatch?: OnMismatch;
}

export type OnMismatch = 'refuse' | 'fit';

/** Sets all parameters and states to what they start from. @throws as {@link initialise} and {@link loadParams}. */
export async function setFirstValues(
  program: Program,
  { artefact, weights, seed, part, onNote, nonFinite, onMismatch }: FirstValues,
  onProgress: OnWeights = () => {},
): Promise<void> {
  if (!weights) return initialise(program, artefact, seed, onProgress);
  const { file, note } = trainedWeights(weights, part);
  if (note !== undefined) onNote?.(note);
  const fit = onMismatch === 'fit';
  if (fit) {
    await initialise(program, artefact, seed);
    return loadParams(program, file, { onProgress, onNote, nonFinite, computed: true, fit });
  }
  // Parameters come from the file; the states still need their first values, and what the model computes may have no other.
  const params = artefact.manifest.params.filter(({ init }) => init.kind === 'file');
  await initialise(program, { ...artefact, manifest: { ...artefact.manifest, params } }, seed);
  await loadParams(program, file, { onProgress, onNote, nonFinite, computed: true });
}
