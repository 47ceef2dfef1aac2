/** The network that pictures are compared by, on a device: batches of pictures in, features out. */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { DitcError } from '../../compiler/ir/index.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Program } from '../../runtime/program.ts';
import { startProgram } from '../gpu.ts';
import { compileArtefact, type LoadedModel } from '../model.ts';
import type { Terminal } from '../terminal.ts';
import type { PictureSet } from './pictures.ts';

export const ENTRY = 'features';

/** What a network may give, of which `pool` must be there: features, features by place, and logits of classes. */
export const OUTPUTS = ['pool', 'spatial', 'logits'] as const;
export type Output = (typeof OUTPUTS)[number];

/** Of one batch, by output: [n,d], row-major. */
export type Batch = Readonly<Partial<Record<Output, Float32Array>>>;

export class Network {
  readonly #program: Program;
  readonly widths: Readonly<Partial<Record<Output, number>>>;

  private constructor(program: Program, { manifest }: Artefact) {
    this.#program = program;
    const outputs = manifest.entries[ENTRY].outputs.filter(({ name }) => OUTPUTS.includes(name as Output));
    this.widths = Object.fromEntries(outputs.map(({ name, shape }) => [name, shape[1]]));
  }

  /** For pictures of one size; the caller closes it. @throws DitcError `entry` for a model that gives no features. */
  static async open(
    open: OpenDevice,
    loaded: LoadedModel,
    { weights, batch, size }: { weights: TensorFile; batch: number; size: PictureSet['size'] },
    terminal: Terminal,
  ): Promise<Network> {
    checkEntry(loaded);
    const entryOptions = { batch, height: size[0], width: size[1] };
    const artefact = compileArtefact(loaded, { device: open.spec, entries: [ENTRY], entryOptions });
    checkShapes(loaded, artefact, [batch, 3, ...size]);
    const program = await startProgram(open, { artefact, entries: [ENTRY], weights, seed: 0 }, terminal);
    return new Network(program, artefact);
  }

  /** Features of all pictures, a batch at a time. */
  async *featuresOf(pictures: PictureSet): AsyncGenerator<Batch> {
    const [{ name, shape }] = this.#program.manifest.entries[ENTRY].inputs;
    const [batch, ...rest] = shape;
    const each = rest.reduce((a, b) => a * b);
    for (let first = 0; first < pictures.count; first += batch) {
      const count = Math.min(batch, pictures.count - first);
      const values = new Float32Array(batch * each);
      for (let i = 0; i < count; i++) values.set(await pictures.read(first + i), i * each);
      this.#program.write(name, values);
      await this.#program.run(ENTRY);
      const read = Object.entries(this.widths).map(async ([output, width]) => {
        const found = (await this.#program.readOutput(ENTRY, output)) as Float32Array;
        return [output, found.slice(0, count * width)] as const;
      });
      yield Object.fromEntries(await Promise.all(read));
    }
  }

  close(): void {
    this.#program.close();
  }
}

const WANTED = 'an entry features(x [N,3,H,W], 0 to 255) with an output pool [N,d] (docs/eval.md)';

function checkEntry({ model, source }: LoadedModel): void {
  if (model.entries[ENTRY]) return;
  const why = `its entries are ${Object.keys(model.entries).join(', ')}`;
  throw new DitcError({ code: 'entry', where: source, what: 'it gives no features', why, fix: `give it ${WANTED}` });
}

function checkShapes({ source }: LoadedModel, { manifest }: Artefact, input: readonly number[]): void {
  const { inputs, outputs } = manifest.entries[ENTRY];
  const pool = outputs.find(({ name }) => name === 'pool');
  const flat = outputs.every(({ name, shape }) => !OUTPUTS.includes(name as Output) || shape.length === 2);
  if (inputs.length === 1 && inputs[0].shape.join() === input.join() && pool && flat) return;
  const shown = (specs: typeof inputs) => specs.map(({ name, shape }) => `${name} [${shape}]`).join(', ');
  const what = `${ENTRY} takes ${shown(inputs) || 'nothing'} and gives ${shown(outputs)}`;
  const why = `pictures are [${input}]; the options height and width say how large`;
  throw new DitcError({ code: 'entry', where: source, what, why, fix: `give it ${WANTED}` });
}
