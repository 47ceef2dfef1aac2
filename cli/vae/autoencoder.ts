/** An autoencoder as the commands know it: two entries, their shapes, its scaling factor, and where its weights are. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { traceEntry } from '../../compiler/dsl/model.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { guard } from '../../compiler/frontend/index.ts';
import { DitcError, printGraph } from '../../compiler/ir/index.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import type { ImageShape } from '../../runtime/data/fit.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Program } from '../../runtime/program.ts';
import { UsageError } from '../errors.ts';
import { startProgram } from '../gpu.ts';
import { compileArtefact, loadModel, type LoadedModel } from '../model.ts';
import type { Terminal } from '../terminal.ts';

export type Direction = 'encode' | 'decode';

export interface Autoencoder {
  readonly loaded: LoadedModel;
  /** [C,H,W] of a picture. */
  readonly picture: ImageShape;
  /** [L,h,w] of a latent; its moments are [2L,h,w]. */
  readonly latent: ImageShape;
  /** What latents are multiplied with for the model that is trained on them. */
  readonly scale: number;
  /** A digest of what encoding computes. */
  readonly computation: string;
}

/** @throws DitcError `entry` unless the file's model encodes pictures and decodes latents. */
export function loadAutoencoder(path: string, terminal?: Terminal): Autoencoder {
  if (/\.(safetensors|pt|ckpt|bin)$/i.test(path)) {
    const fix = 'give the model file, such as models/vae-f8.ts, and these weights with --weights or --vae-weights';
    throw new UsageError({ what: `--vae is ${path}`, why: 'these are weights, which do not say what to compute', fix });
  }
  const loaded = loadModel(path, terminal);
  const encode = shapesOf(loaded, 'encode');
  const decode = shapesOf(loaded, 'decode');
  const [L, h, w] = decode.input;
  const fits = encode.output.join() === [2 * L, h, w].join() && decode.output.length === 3;
  if (!fits) throw notOne(loaded, `encode gives [N,${encode.output}] and decode takes [N,${decode.input}]`);
  const { scalingFactor } = loaded.model.config;
  const scale = typeof scalingFactor === 'number' ? scalingFactor : 1;
  const computation = createHash('sha256').update(encode.text).digest('hex').slice(0, 16);
  return { loaded, picture: encode.input as unknown as ImageShape, latent: [L, h, w], scale, computation };
}

const NEEDED = 'give it encode(image [N,C,H,W]) → moments [N,2L,h,w] and decode(latents [N,L,h,w]) → image';

const notOne = ({ source }: LoadedModel, why: string): DitcError =>
  new DitcError({ code: 'entry', where: source, what: 'the model is no autoencoder', why, fix: NEEDED });

/** Of one picture in and out, and the entry's graph as text. */
function shapesOf(loaded: LoadedModel, entry: Direction) {
  const { model } = loaded;
  if (!Object.hasOwn(model.entries, entry)) throw notOne(loaded, `it has no entry ${entry}`);
  const { graph } = guard(loaded, () => traceEntry(model, entry, { batch: 1 }));
  const [input, ...more] = graph.inputs;
  const [output] = graph.outputs;
  if (!input || more.length || !output || input.type.shape.length !== 4 || output.node.type.shape.length !== 4)
    throw notOne(loaded, `${entry} does not have one input and one output of four axes`);
  return {
    input: input.type.shape.slice(1),
    output: output.node.type.shape.slice(1),
    text: printGraph(graph, { locations: false }),
  };
}

/** The weights' file: as given, else the one beside the model file that is called as it. */
export function weightsOf(vae: Autoencoder, path: string, given: string | undefined, option: string): string {
  const beside = path.replace(/\.[cm]?[jt]s$/, '.safetensors');
  if (given !== undefined) return given;
  if (existsSync(beside)) return beside;
  const why = `there is no ${beside} beside it`;
  throw new UsageError({ what: `${vae.loaded.name} has no weights`, why, fix: `give ${option} FILE` });
}

/** Pictures at once, unless told; fewer when the device cannot hold so many. */
const DEFAULT_BATCH = 8;

/** Steady: an item comes out the same whatever the batch, also where an encoding goes on that was broken off. */
function compileFor(
  loaded: LoadedModel,
  device: DeviceSpec,
  entry: Direction,
  count: number,
  given?: number,
): Artefact {
  let batch = given ?? Math.min(DEFAULT_BATCH, count);
  for (;;) {
    try {
      return compileArtefact(loaded, {
        device: { ...device, steady: true },
        entries: [entry],
        entryOptions: { batch },
      });
    } catch (error) {
      const tooLarge = error instanceof DitcError && error.code === 'limit';
      if (!tooLarge || given !== undefined || batch === 1) throw error;
      batch = Math.ceil(batch / 2);
    }
  }
}

export interface CoderSetup {
  readonly weights: TensorFile;
  /** Items in all: no batch is larger. */
  readonly count: number;
  readonly batch?: number;
  readonly part?: Part;
  /** What to do with weights that are infinite or NaN: an error unless `note`. */
  readonly nonFinite?: 'refuse' | 'note';
}

/** One direction of an autoencoder on a device. */
export class Coder {
  private constructor(
    private readonly program: Program,
    private readonly entry: Direction,
  ) {}

  /** The caller closes it. @throws RuntimeError `mismatch` with the names when tensors are missing in the weights. */
  static async open(
    open: OpenDevice,
    { loaded }: Autoencoder,
    entry: Direction,
    { weights, count, batch, part, nonFinite }: CoderSetup,
    terminal: Terminal,
  ): Promise<Coder> {
    const artefact = compileFor(loaded, open.spec, entry, count, batch);
    const program = await startProgram(
      open,
      { artefact, entries: [entry], weights, seed: 0, part, nonFinite },
      terminal,
    );
    return new Coder(program, entry);
  }

  /** Items that are computed at once. */
  get batch(): number {
    return this.#spec.inputs[0].shape[0];
  }

  get #spec() {
    return this.program.manifest.entries[this.entry];
  }

  /** Up to `batch` items, one after the other, in as many out. */
  async apply(items: Float32Array): Promise<Float32Array> {
    const [input] = this.#spec.inputs;
    const [output] = this.#spec.outputs;
    const [each, made] = [input, output].map(({ shape }) => shape.slice(1).reduce((a, b) => a * b));
    const whole = items.length === this.batch * each ? items : new Float32Array(this.batch * each);
    if (whole !== items) whole.set(items);
    this.program.write(input.name, whole);
    await this.program.run(this.entry);
    const out = (await this.program.readOutput(this.entry, output.name)) as Float32Array;
    return out.subarray(0, (items.length / each) * made);
  }

  close(): void {
    this.program.close();
  }
}
