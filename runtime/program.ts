/**
 * A program: an artefact's entries on one device, ready to replay. Everything is allocated, compiled and bound once in
 * {@link Program.create}; after that a run is one encoder, one compute pass, one submit, and nothing is created or read back.
 */
import type { Artefact, Manifest, ParamSpec, Resource, TensorSpec } from '../compiler/emit/artefact.ts';
import { allocate, isAllocated, planMemory } from './buffers.ts';
import type { MemoryPlan, MemoryReport } from './buffers.ts';
import { beside, settled } from './beside.ts';
import { checkDevice } from './check.ts';
import { RuntimeError } from './error.ts';
import { Faults, unreadable } from './faults.ts';
import { Inputs } from './inputs.ts';
import { compile } from './pipelines.ts';
import type { OnCompiled } from './pipelines.ts';
import { entriesIn, turnsOf, withParts, type Turns } from './parts.ts';
import { Preludes } from './preludes.ts';
import { bind, mayOverwrite, validate } from './replay.ts';
import type { Replay } from './replay.ts';
import { Slices } from './slices.ts';
import { Starts } from './starts.ts';
import { Stepper } from './stepper.ts';
import { Submits } from './submits.ts';
import { DeviceTensors, findSpec, unknown, type Named } from './tensors.ts';
import { hasTimestamps, timePasses, type RunTimes } from './timing.ts';
import type { Chunks, Values } from './transfer.ts';

/** How a program is made. */
export interface ProgramOptions {
  /** The entries to be run; default all. States and constants that only others use are not allocated. */
  entries?: readonly string[];
  /** Of these, the ones whose kernels are compiled when {@link Program.ready} asks for them. */
  later?: readonly string[];
  /** Is told how many of the kernels are compiled. */
  onProgress?: OnCompiled;
  /** Gives the program's tensors their values while its kernels compile; entries cannot be run in it. */
  meanwhile?: (program: Program) => Promise<void>;
}

/** An artefact on a device; {@link Program.create} makes it. `RunnableModel` is its face for programs that run models. */
export class Program {
  /** What it runs on; it stays the caller's. */
  readonly device: GPUDevice;
  /** What it was made of. */
  readonly manifest: Manifest;
  /** The entries that can be run. */
  readonly entries: readonly string[];
  /** Bytes allocated, by kind. */
  readonly memory: MemoryReport;
  /** The model's states that are allocated: those that the entries use. All of `manifest.params` are allocated. */
  readonly states: readonly ParamSpec[];

  readonly #tensors: DeviceTensors;
  readonly #replays = new Map<string, Replay>();
  /** Makes kernels of entries, and what they bind. */
  readonly #make: (entries: readonly string[], onProgress?: OnCompiled) => Promise<ReadonlyMap<string, Replay>>;
  readonly #inputs: Inputs;
  readonly #submits: Submits;
  #lastRun: string | undefined;
  readonly #faults = new Faults();
  readonly #unlisten: () => void;
  readonly #preludes: Preludes;
  readonly #starts: Starts;
  #closed = false;

  private constructor(device: GPUDevice, artefact: Artefact, plan: MemoryPlan, buffers: Map<string, GPUBuffer>) {
    const { manifest } = artefact;
    this.#make = async (entries, onProgress) => {
      const names = new Set(entries.flatMap((name) => manifest.entries[name].dispatches.map((d) => d.kernel)));
      const compiled = await compile(device, artefact, [...names], onProgress);
      const copies = new Map([...plan.copies].filter(([name]) => entries.includes(name)));
      const replays = bind(device, manifest, { ...plan, copies }, buffers, compiled);
      for (const [name, replay] of replays) await validate(device, name, replay);
      return replays;
    };
    this.device = device;
    this.manifest = manifest;
    this.entries = [...plan.copies.keys()];
    this.memory = plan.report;
    this.#preludes = new Preludes(manifest, this.entries);
    this.#starts = new Starts(manifest);
    this.#submits = new Submits(device, new Slices(manifest.entries));
    this.#inputs = new Inputs(manifest, this.entries);
    this.states = manifest.states.filter(({ name, scratch }) => !scratch && isAllocated('state', name, plan));
    this.#tensors = new DeviceTensors(device, plan, buffers);
    this.#unlisten = this.#faults.listen(device);
  }

  /**
   * Loads an artefact: checks it against the device, allocates, compiles all pipelines in parallel, binds.
   * @throws RuntimeError `not-found` (entry), `missing-feature`, `limit`, `out-of-memory`, `bad-kernel`, `bad-artefact`; what
   * `meanwhile` throws.
   */
  static async create(device: GPUDevice, artefact: Artefact, options: ProgramOptions = {}): Promise<Program> {
    const { manifest } = artefact;
    const wanted = options.entries ?? Object.keys(manifest.entries);
    for (const name of wanted) {
      if (!Object.hasOwn(manifest.entries, name)) throw unknown('entry', name, Object.keys(manifest.entries));
    }
    const entries = withParts(manifest, wanted);
    const plan = planMemory(manifest, entries);
    checkDevice(device, artefact, entries, plan);
    const buffers = await allocate(device, plan, manifest);
    const program = new Program(device, artefact, plan, buffers);
    try {
      for (const spec of manifest.constants) {
        if (!plan.buffers.has(`constant ${spec.name}`)) continue;
        const values = artefact.data.get(spec.name) ?? new Float32Array();
        program.#put('constant', [spec], spec.name, values);
      }
      const later = new Set(withParts(manifest, options.later ?? []));
      const first = entries.filter((name) => !later.has(name));
      await beside(program.#compile(first, options.onProgress), options.meanwhile?.(program));
      program.#guard();
      return program;
    } catch (error) {
      program.close();
      throw error;
    }
  }

  /** Compiles what of the entries and their preludes was left for later. @throws RuntimeError as {@link Program.create}. */
  async ready(entries: readonly string[], onProgress?: OnCompiled): Promise<void> {
    this.#guard();
    const missing = withParts(this.manifest, entries).filter((name) => !this.#replays.has(name));
    if (missing.length) await this.#compile(missing, onProgress);
    this.#guard();
  }

  async #compile(entries: readonly string[], onProgress?: OnCompiled): Promise<void> {
    for (const [name, replay] of await this.#make(entries, onProgress)) this.#replays.set(name, replay);
  }

  /**
   * Sets an input of the entries; inputs never set are zero. f16 inputs take f32 values, bool inputs u32.
   * @throws RuntimeError `not-found`, `mismatch` for another length or type of array, or `out-of-range` for an index beyond
   * its table and a label that is no class, where no entry takes it; one that does not is refused when it is run.
   */
  write(input: string, data: Values): void {
    this.#put('input', this.#inputs.specs, input, data, () => this.#inputs.written(input, data));
  }

  /** Sets a state. For one too large to be in memory, {@link setState}. @throws as {@link write}. */
  writeState(name: string, data: Values): void {
    this.#put('state', this.states, name, data);
  }

  /**
   * Sets a parameter from values in row-major order (f16: to nearest even), whole or in chunks; a run between these reads what is there.
   * @throws RuntimeError `not-found`, or `mismatch` when the values are too few or too many (the parameter is then
   * partly overwritten).
   */
  async setParam(name: string, chunks: Chunks): Promise<void> {
    await this.#stream('param', name, chunks);
  }

  /** {@link setParam} for a state. */
  async setState(name: string, chunks: Chunks): Promise<void> {
    await this.#stream('state', name, chunks);
  }

  /** Sets a parameter or state to zero; costs nothing where it is zero already. */
  clear(kind: 'param' | 'state', name: string): void {
    this.#guard();
    this.#tensors.clear(kind, this.#specs(kind), name, this.#lastRun !== undefined);
    this.#preludes.changed(kind, name);
  }

  /**
   * Runs an entry, after its prelude if that is due. Its work is submitted before whatever the program is asked next, a long loop piece by piece.
   * The promise resolves as soon as another run may be queued, not when the work is done (see {@link sync}).
   * @throws RuntimeError `not-found`, `closed`, `device-lost`, `gpu-error`; `mismatch` when an input was set to another size;
   * `not-started` when it goes on from state that nothing has begun.
   */
  async run(entry: string): Promise<void> {
    const due = this.#due(entry);
    this.#starts.check(entry);
    this.#submit(due);
    await this.#submits.room(() => this.#check());
  }

  /**
   * Runs an entry with one pass per dispatch and says when each took place, or null where the device has no timestamps (nothing
   * ran then). The passes add gaps: compare dispatches by it, not steps.
   */
  async runProfiled(entry: string): Promise<RunTimes | null> {
    if (!hasTimestamps(this.device)) return null;
    await this.prepare(entry);
    const { steps, copies } = this.#prepare(entry);
    this.#ran(entry);
    const passes = steps.map((step) => [step]);
    return this.#reading(() => timePasses(this.device, passes, copies));
  }

  /** Runs the prelude of an entry, if it is due, and its parts: for one whose own dispatches are then run one by one. */
  async prepare(entry: string): Promise<void> {
    const prelude = this.#preludes.due(entry);
    if (prelude !== undefined) await this.run(prelude);
    const { parts } = turnsOf(this.manifest.entries, entry);
    if (!parts.length) return;
    this.#submit(parts);
    await this.#submits.room(() => this.#check());
  }

  /** An entry to be run dispatch by dispatch. Its inputs are as written so far; other entries must not run meanwhile. */
  stepper(entry: string): Stepper {
    const read = (spec: TensorSpec, resource: Resource) => this.#read(spec, resource);
    const replay = this.#prepare(entry);
    this.#ran(entry);
    return new Stepper({ device: this.device, tensors: this.#tensors, read }, replay);
  }

  /**
   * The value of an output after the entry's last run: f32 for f32 and f16, i32, or u32 for u32 and bool; row-major.
   * @throws RuntimeError `stale` when another entry ran since and may have overwritten it, and as {@link run}.
   */
  async readOutput(entry: string, name: string): Promise<Values> {
    const { outputs } = this.#entry(entry).spec;
    const output = findSpec(`output of ${entry}`, outputs, name);
    if (this.#lastRun !== entry && mayOverwrite(this.manifest, this.entries, entry, output.resource)) {
      const why = this.#lastRun ? `${this.#lastRun} ran last, and entries share their memory` : 'no entry ran yet';
      const fix = `read it right after running ${entry}`;
      throw new RuntimeError({ code: 'stale', what: `output ${name} of ${entry} has no value`, why, fix });
    }
    return this.#read(output, output.resource);
  }

  /** The present value of a state; types as {@link readOutput}. */
  async readState(name: string): Promise<Values> {
    return this.#named('state', name);
  }

  /** The present value of a parameter; types as {@link readOutput}. */
  async readParam(name: string): Promise<Values> {
    return this.#named('param', name);
  }

  /** Waits until all work submitted so far is done. @throws RuntimeError if the device was lost or reported an error. */
  async sync(): Promise<void> {
    this.#guard();
    await settled(this.device.queue.onSubmittedWorkDone());
    await this.#events();
  }

  /** Frees the buffers; the device stays the caller's. Safe to call twice; anything else throws `closed` afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#submits.drop();
    this.#unlisten();
    this.#tensors.destroy();
    this.#replays.clear();
  }

  #entry(name: string): Replay {
    this.#guard();
    const replay = this.#replays.get(name);
    if (!replay) throw unknown('entry', name, this.entries);
    return replay;
  }

  #prepare(name: string): Replay {
    const replay = this.#entry(name);
    this.#inputs.check(name, replay.spec.inputs);
    return replay;
  }

  /** What an entry that was submitted leaves behind. Not before: one that was refused has computed nothing. */
  #ran(name: string): void {
    this.#lastRun = name;
    this.#preludes.ran(name);
    this.#starts.ran(name);
  }

  /** An entry and, before it, its prelude if that is due; each with its parts. */
  #due(entry: string): Turns[] {
    this.#entry(entry);
    return [this.#preludes.due(entry) ?? [], entry].flat().map((name) => turnsOf(this.manifest.entries, name));
  }

  #submit(runs: readonly Turns[]): void {
    const names = runs.flatMap(entriesIn);
    this.#submits.submit(runs, new Map(names.map((name) => [name, this.#prepare(name)])));
    for (const name of names) this.#ran(name);
  }

  #specs(kind: 'param' | 'state'): readonly ParamSpec[] {
    return kind === 'param' ? this.manifest.params : this.states;
  }

  #put(kind: Named, specs: readonly TensorSpec[], name: string, data: Values, check?: () => void): void {
    this.#guard();
    this.#tensors.write(kind, specs, name, data, check);
    this.#changed(kind, name);
  }

  async #stream(kind: 'param' | 'state', name: string, chunks: Chunks): Promise<void> {
    this.#guard();
    findSpec(kind, this.#specs(kind), name);
    this.#changed(kind, name);
    try {
      await this.#tensors.stream(kind, this.#specs(kind), name, chunks, () => this.#submits.finish());
    } finally {
      // An entry may have run while the chunks came in.
      this.#preludes.changed(kind, name);
    }
    this.#guard();
  }

  /** A tensor is given other values from outside. */
  #changed(kind: Named, name: string): void {
    this.#preludes.changed(kind, name);
    if (kind === 'state') this.#starts.set(name);
  }

  async #named(kind: 'param' | 'state', name: string): Promise<Values> {
    this.#guard();
    return this.#read(findSpec(kind, this.#specs(kind), name), { kind, name });
  }

  async #read(spec: TensorSpec, resource: Resource): Promise<Values> {
    this.#guard();
    return this.#reading(() => this.#tensors.read(spec, resource));
  }

  async #reading<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      await this.#events();
      throw unreadable(cause);
    }
  }

  /** Lets the device's pending events arrive, then throws what they brought. */
  async #events(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    this.#guard();
  }

  #guard(): void {
    this.#check();
    this.#submits.finish();
  }
  #check(): void {
    if (this.#closed) throw new RuntimeError({ code: 'closed', what: 'the program is closed', fix: 'create it again' });
    const failure = this.#faults.take();
    if (failure) throw failure;
  }
}
