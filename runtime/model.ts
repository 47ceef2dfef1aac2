/**
 * A model ready to run: the face of a {@link Program} for programs that use one. Names are checked, values converted, and runs
 * that are asked for at once take place one after the other.
 */
/// <reference types="@webgpu/types" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
import type { Artefact, EntrySpec, Manifest, ParamSpec, TensorSpec } from '../compiler/emit/artefact.ts';
import { checkCounters } from './counters.ts';
import { START } from './data/order.ts';
import { quote, RuntimeError } from './error.ts';
import { checkOptions, type OptionNames } from './needs.ts';
import type { Program } from './program.ts';
import { LastingProgram, type Again, type Started } from './lasting.ts';
import { isLoss } from './recovery.ts';
import { AllSamples, sampleJob, type SampleOptions } from './sample.ts';
import type { AnySignature, Given, InputsOf, NameIn, OutputsOf, Signature } from './signature.ts';
import { tensorOf, typeText, valuesOf, type Tensor } from './tensor.ts';
import { checkTraining, readAverage, takeSteps } from './train.ts';
import type { TrainingPlace, TrainOptions, TrainResult } from './train.ts';
import { checkRange, shown } from './values.ts';

/** How a run is made. */
export interface RunOptions<Output extends string = string> {
  /** The outputs to be read back; all of them unless told. Where none is, the run is only queued. */
  readonly outputs?: readonly Output[];
}

const RUN_OPTIONS: OptionNames<RunOptions> = { outputs: true };

/** A model on a device, as `load` gives it. Its errors are `RuntimeError`s; once disposed of, everything throws `closed`. */
export class RunnableModel<S extends Signature = AnySignature> {
  /** What the build says of it: entries, shapes, costs. */
  readonly manifest: Manifest;
  readonly #lasting: LastingProgram;
  #last: Promise<unknown> = Promise.resolve();
  /** Done once all is freed; undefined while it is in use. */
  #disposed: Promise<void> | undefined;
  /** How far training is. */
  #place: TrainingPlace | undefined;
  /** How far it was when values were last kept. */
  #keptPlace: TrainingPlace | undefined;

  /** `started` was opened for it, and is closed with it; where its device is lost, `again` opens another. */
  constructor(started: Started, artefact: Artefact, again?: Again) {
    this.#lasting = new LastingProgram(started, again);
    this.manifest = artefact.manifest;
  }

  /** What it runs on, for what this face does not offer: another one once a device was lost. */
  get program(): Program {
    return this.#lasting.program;
  }

  /** The entries that can be run, with their inputs and outputs. */
  get entries(): Readonly<Record<string, EntrySpec>> {
    return Object.fromEntries(this.program.entries.map((name) => [name, this.manifest.entries[name]]));
  }

  /**
   * Runs an entry: all of its inputs by name in, its outputs by name out. What it keeps in states (and does to weights) is
   * there for the next run, of whichever entry.
   * @throws RuntimeError `not-found` for an unknown name; `mismatch` for an input that is missing or of another size or type;
   * `out-of-range` for an index beyond its table, or a label that is no class; `bad-argument` for options that are none.
   */
  run<
    E extends NameIn<S['entries']>,
    O extends NameIn<OutputsOf<S['entries'][E]>> = NameIn<OutputsOf<S['entries'][E]>>,
  >(
    entry: E,
    inputs: InputsOf<S['entries'][E]>,
    options: RunOptions<O> = {},
  ): Promise<Pick<OutputsOf<S['entries'][E]>, O>> {
    return this.#exclusively(async () => {
      checkOptions('run', options, RUN_OPTIONS);
      const spec = this.#entry(entry);
      const values = inputValues(entry, spec, inputs as Readonly<Record<string, unknown>>);
      const wanted = wantedOutputs(entry, spec, options.outputs);
      for (const [name, data] of values) this.program.write(name, data);
      await this.program.ready([entry]);
      await checkCounters(this.program, entry);
      if (spec.changes.length) this.#lasting.changed();
      await this.program.run(entry);
      const read = wanted.map(
        async (output) => [output.name, tensorOf(output, await this.program.readOutput(entry, output.name))] as const,
      );
      return Object.fromEntries(await Promise.all(read)) as Pick<OutputsOf<S['entries'][E]>, O>;
    });
  }

  /** The present value of a state. */
  async state<K extends NameIn<S['states']>>(name: K): Promise<S['states'][K]> {
    const spec = find('state', this.program.states, name);
    return this.#reading(async () => tensorOf(spec, await this.program.readState(name)) as S['states'][K]);
  }

  /** Gives a state another value. */
  async setState<K extends NameIn<S['states']>>(name: K, value: Given<S['states'][K]>): Promise<void> {
    const values = valuesOf(find('state', this.program.states, name), value, `state ${name}`);
    return this.#exclusively(() => {
      this.#lasting.changed();
      return this.program.setState(name, values);
    });
  }

  /** The present value of a weight. */
  async param<K extends NameIn<S['params']>>(name: K): Promise<S['params'][K]> {
    const spec = find('weight', this.manifest.params, name);
    return this.#reading(async () => tensorOf(spec, await this.program.readParam(name)) as S['params'][K]);
  }

  /** Gives a weight another value. */
  async setParam<K extends NameIn<S['params']>>(name: K, value: Given<S['params'][K]>): Promise<void> {
    const values = valuesOf(find('weight', this.manifest.params, name), value, `weight ${name}`);
    return this.#exclusively(() => {
      this.#lasting.changed();
      return this.program.setParam(name, values);
    });
  }

  /**
   * Draws pictures, or latents, of classes: a batch at a time, all steps of each on the device. They depend on the seed and
   * their place in the list.
   * @throws RuntimeError `entry` where it was built without sampling entries; the signal's reason once that is aborted.
   */
  async sample(options: SampleOptions): Promise<Tensor<'f32'>> {
    const job = sampleJob(this.program, options);
    return this.#exclusively(() => {
      const samples = new AllSamples(this.program, job);
      const draw = async () => {
        await this.program.ready(job.entries!);
        return samples.draw(this.program);
      };
      const resume = () => {
        this.#goBack();
        return { from: fromPicture(samples.done), work: draw };
      };
      return this.#lasting.through(draw, resume);
    });
  }

  /**
   * Trains on examples. The first time it begins with the weights as they are (`trainStart`); later calls go on where the one
   * before ended, in the order of the data too.
   * @throws RuntimeError `entry` where it was built without training entries; `mismatch`, `labels` for other data; `not-finite`.
   */
  train(options: TrainOptions): Promise<TrainResult> {
    return this.#exclusively(async () => {
      checkTraining(this.program, options);
      if (options.keepEvery) await this.#keep();
      const began = this.#place?.step ?? 0;
      const told = { ...options, onStep: onceEach(options.onStep) };
      const work = () => this.#takeSteps(began, told);
      const resume = () => {
        return { from: fromStep(this.#goBack()?.step), work };
      };
      try {
        return await this.#lasting.through(work, resume);
      } catch (error) {
        // A later call opens another device, with the values that are kept.
        if (isLoss(error) && this.#lasting.isKept) this.#goBack();
        throw error;
      } finally {
        if ((this.#keptPlace?.step ?? 0) !== (this.#place?.step ?? 0)) this.#lasting.changed();
      }
    });
  }

  /** How far training is; undefined before its first step. */
  get trainingPlace(): TrainingPlace | undefined {
    return this.#place;
  }

  /** Reads weights and states where training is: between two calls of `train`. */
  readTraining<T>(read: (program: Program, place?: TrainingPlace) => Promise<T>): Promise<T> {
    return this.#reading(() => read(this.program, this.#place));
  }

  /**
   * Gives all weights and states other values by `set`, those of a training that is at `place`: `train` goes on from there. Where that fails,
   * it goes on from where it was; where those values are lost with their device, from the last that were kept.
   */
  resumeTraining(place: TrainingPlace, set: (program: Program) => Promise<void>): Promise<void> {
    return this.#exclusively(async () => {
      const from = `and training goes on from step ${place.step}, which is read again`;
      try {
        await this.#lasting.replace(set, () => this.#keep(), from);
      } catch (error) {
        if (this.#lasting.isKept) this.#goBack();
        throw error;
      }
      this.#place = this.#keptPlace = place;
    });
  }

  /** Where values are those that were kept. */
  #goBack(): TrainingPlace | undefined {
    return (this.#place = this.#keptPlace);
  }

  /** Has the values kept as they are, unless they are. */
  async #keep(): Promise<void> {
    if (this.#lasting.isKept && this.#keptPlace?.step === this.#place?.step) return;
    await this.#lasting.keep();
    this.#keptPlace = this.#place;
  }

  async #takeSteps(began: number, options: TrainOptions): Promise<TrainResult> {
    if (!this.#place) await this.program.run('trainStart');
    this.#place ??= { step: 0, position: START };
    const reached = (place: TrainingPlace) => void (this.#place = place);
    return takeSteps(this.program, { from: this.#place, began, reached, keep: () => this.#keep() }, options);
  }

  /** All weights by name, as `load` takes them: of a model that averages them in training, the averages. */
  async weights(): Promise<Readonly<Record<string, Tensor>>> {
    const read = async (spec: ParamSpec) => tensorOf(spec, await readAverage(this.program, spec.name));
    return this.#reading(async () => {
      const all: Record<string, Tensor> = {};
      for (const spec of this.manifest.params) all[spec.name] = await read(spec);
      return all;
    });
  }

  /** Frees what it holds on the device, once what runs has ended. Anything asked of it later is refused. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#last.then(() => {
      this.#lasting.close();
    });
    return this.#disposed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** Reads what is there; where the device is lost, what was kept, if nothing changed since. */
  #reading<T>(read: () => Promise<T>): Promise<T> {
    const resume = () => {
      this.#goBack();
      return { from: 'with the values that were kept', work: read };
    };
    return this.#exclusively(() => this.#lasting.through(read, resume));
  }

  /** Does `work` when all that was asked for before has ended: nothing else touches the program meanwhile. */
  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    if (this.#disposed) {
      const what = `${this.manifest.model} is disposed of`;
      throw new RuntimeError({ code: 'closed', what, fix: 'load it again' });
    }
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  #entry(name: string): EntrySpec {
    if (this.program.entries.includes(name)) return this.manifest.entries[name];
    throw unknown('entry', name, this.program.entries);
  }
}

/** Steps that are taken again are not told again. */
function onceEach(onStep: TrainOptions['onStep']): TrainOptions['onStep'] {
  let last = 0;
  return (measured) => {
    if (measured.step > last) onStep?.(measured);
    last = Math.max(last, measured.step);
  };
}

const fromPicture = (done: number): string =>
  done ? `and sampling goes on from picture ${done}, the first that is not there` : 'and sampling begins anew';

const fromStep = (step: number | undefined): string =>
  step ? `and training goes on from step ${step}, the last that was kept` : 'and training begins anew';

/** The inputs' values by name. */
function inputValues(entry: string, { inputs }: EntrySpec, given: Readonly<Record<string, unknown>>) {
  const stranger = Object.keys(given ?? {}).find((name) => !inputs.some((spec) => spec.name === name));
  if (stranger !== undefined)
    throw unknown(
      `input of ${entry}`,
      stranger,
      inputs.map(({ name }) => name),
    );
  const missing = inputs.filter(({ name }) => given?.[name] === undefined);
  if (missing.length) {
    const what = `${entry} needs ${missing.length === 1 ? 'one more input' : `${missing.length} more inputs`}`;
    const why = missing.map((spec) => `${spec.name} ${typeText(spec)}`).join(', ');
    const fix = `give ${entry} { ${inputs.map(({ name }) => name).join(', ')} }`;
    throw new RuntimeError({ code: 'mismatch', what, why, fix });
  }
  return inputs.map((spec) => {
    const values = valuesOf(spec, given[spec.name], `input ${spec.name} of ${entry}`);
    checkRange(spec, values, entry);
    return [spec.name, values] as const;
  });
}

function wantedOutputs(entry: string, { outputs }: EntrySpec, names?: readonly string[]): readonly TensorSpec[] {
  if (names !== undefined && !Array.isArray(names)) {
    const fix = `give a list of names: [${outputs.map(({ name }) => `'${name}'`).join(', ')}], or some of them`;
    throw new RuntimeError({ code: 'bad-argument', where: 'run', what: `outputs is ${shown(names)}`, fix });
  }
  return names?.map((name) => find(`output of ${entry}`, outputs, name)) ?? outputs;
}

function find<T extends TensorSpec | ParamSpec>(kind: string, specs: readonly T[], name: string): T {
  const spec = specs.find((candidate) => candidate.name === name);
  if (spec) return spec;
  throw unknown(
    kind,
    name,
    specs.map((candidate) => candidate.name),
  );
}

/** As many names as a message shows. */
const SHOWN = 12;

function unknown(kind: string, name: string, known: readonly string[]): RuntimeError {
  const list = known.slice(0, SHOWN).join(', ') + (known.length > SHOWN ? `, … (${known.length})` : '');
  const why = known.length ? `there are ${list}` : 'it has none';
  return new RuntimeError({
    code: 'not-found',
    what: `there is no ${kind} called ${quote(name)}`,
    why,
    fix: 'correct the name',
  });
}
