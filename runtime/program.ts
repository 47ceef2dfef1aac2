/**
 * A program: an artefact's entries on one device, ready to replay. Everything is allocated, compiled and bound once in
 * {@link Program.create}; after that a run is one encoder, one compute pass, one submit, and nothing is created or read back.
 */
import type { Artefact, EntrySpec, Manifest, ParamSpec, Resource } from '../compiler/emit/artefact.ts';
import type { TensorSpec } from '../compiler/emit/artefact.ts';
import { allocate, bytesOf, checkDevice, countOf, padded, placeOf, planMemory } from './buffers.ts';
import type { MemoryPlan, MemoryReport } from './buffers.ts';
import { quote, RuntimeError } from './error.ts';
import { decode, download, encode, Uploader, wrongLength } from './weights.ts';
import type { Chunks, Values } from './weights.ts';

export interface ProgramOptions {
  /** The entries to be run; default all. States and constants that only others use are not allocated. */
  entries?: readonly string[];
  /** Called as each pipeline is ready. */
  onProgress?: (progress: { readonly stage: 'pipelines'; readonly done: number; readonly total: number }) => void;
}

interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
}

interface Replay {
  readonly spec: EntrySpec;
  readonly steps: readonly Step[];
  readonly copies: readonly [from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number][];
}

interface Compiled {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Runs queued before {@link Program.run} waits: keeps the device busy, and the queue from growing without end. */
const MAX_IN_FLIGHT = 4;
/** WebGPU's limit on the queries of a set; a dispatch takes two. */
const MAX_QUERIES = 4096;

export class Program {
  readonly device: GPUDevice;
  readonly manifest: Manifest;
  /** The entries that can be run. */
  readonly entries: readonly string[];
  /** Bytes allocated, by kind. */
  readonly memory: MemoryReport;
  /** The states allocated: those that the entries use. All of `manifest.params` are allocated. */
  readonly states: readonly ParamSpec[];

  readonly #plan: MemoryPlan;
  readonly #buffers: ReadonlyMap<string, GPUBuffer>;
  readonly #replays = new Map<string, Replay>();
  readonly #inputLengths = new Map<string, number>();
  readonly #touched = new Set<GPUBuffer>();
  readonly #inFlight: Promise<unknown>[] = [];
  readonly #uploader: Uploader;
  #lastRun: string | undefined;
  #failure: RuntimeError | undefined;
  #closed = false;

  private constructor(device: GPUDevice, manifest: Manifest, plan: MemoryPlan, buffers: Map<string, GPUBuffer>) {
    this.device = device;
    this.manifest = manifest;
    this.entries = [...plan.copies.keys()];
    this.memory = plan.report;
    this.states = manifest.states.filter((spec) => plan.buffers.has(`state ${spec.name}`));
    this.#plan = plan;
    this.#buffers = buffers;
    this.#uploader = new Uploader(device.queue);
    device.addEventListener('uncapturederror', this.#onError);
    void device.lost.then(({ message, reason }) => {
      const why = message.trim() || `reason: ${reason}`;
      const fix = 'open a new device; if a kernel ran too long or memory ran out, build with a smaller --batch';
      this.#failure = new RuntimeError({ code: 'device-lost', what: 'the device was lost', why, fix });
    });
  }

  /**
   * Loads an artefact: checks it against the device, allocates, compiles all pipelines in parallel, binds.
   * @throws RuntimeError `not-found` (entry), `missing-feature`, `limit`, `out-of-memory`, `bad-kernel`, `bad-artefact`.
   */
  static async create(device: GPUDevice, artefact: Artefact, options: ProgramOptions = {}): Promise<Program> {
    const { manifest } = artefact;
    const entries = [...new Set(options.entries ?? Object.keys(manifest.entries))];
    for (const name of entries) {
      if (!Object.hasOwn(manifest.entries, name)) throw unknown('entry', name, Object.keys(manifest.entries));
    }
    const plan = planMemory(manifest, entries);
    checkDevice(device, artefact, entries, plan);
    const buffers = await allocate(device, plan, manifest);
    const program = new Program(device, manifest, plan, buffers);
    try {
      for (const spec of manifest.constants) {
        if (!plan.buffers.has(`constant ${spec.name}`)) continue;
        const values = artefact.data.get(spec.name) ?? new Float32Array();
        program.#put('constant', [spec], spec.name, values);
      }
      const names = new Set(entries.flatMap((name) => manifest.entries[name].dispatches.map((d) => d.kernel)));
      program.#bind(await compile(device, artefact, [...names], options.onProgress));
      for (const name of entries) await program.#validate(name);
      program.#guard();
      return program;
    } catch (error) {
      program.close();
      throw error;
    }
  }

  /**
   * Sets an input of the entries; inputs never set are zero. f16 inputs take f32 values, bool inputs u32.
   * @throws RuntimeError `not-found`, or `mismatch` for another length or type of array.
   */
  write(input: string, data: Values): void {
    const all = this.entries.flatMap((entry) => this.manifest.entries[entry].inputs);
    this.#put('input', all, input, data);
    this.#inputLengths.set(input, data.length);
  }

  /** Sets a state. For one too large to be in memory, {@link setState}. @throws as {@link write}. */
  writeState(name: string, data: Values): void {
    this.#put('state', this.states, name, data);
  }

  /**
   * Sets a parameter from values in row-major order, whole or in chunks of any size. f16 is rounded to nearest even.
   * @throws RuntimeError `not-found`, or `mismatch` when the values are too few or too many (the parameter is then
   * partly overwritten).
   */
  async setParam(name: string, chunks: Chunks): Promise<void> {
    await this.#stream('param', this.manifest.params, name, chunks);
  }

  /** {@link setParam} for a state. */
  async setState(name: string, chunks: Chunks): Promise<void> {
    await this.#stream('state', this.states, name, chunks);
  }

  /** Sets a parameter or state to zero; costs nothing where it is zero already. */
  clear(kind: 'param' | 'state', name: string): void {
    const [, buffer] = this.#find(kind, kind === 'param' ? this.manifest.params : this.states, name);
    if (this.#lastRun === undefined && !this.#touched.has(buffer)) return;
    const encoder = this.device.createCommandEncoder();
    encoder.clearBuffer(buffer);
    this.device.queue.submit([encoder.finish()]);
  }

  /**
   * Runs an entry. The work is submitted at once; the promise resolves as soon as another run may be queued, not when the
   * work is done (see {@link sync}).
   * @throws RuntimeError `not-found`, `closed`, `device-lost`, `gpu-error`; `mismatch` when an input was set to another size.
   */
  async run(entry: string): Promise<void> {
    const replay = this.#prepare(entry);
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encodeSteps(pass, replay.steps);
    pass.end();
    for (const copy of replay.copies) encoder.copyBufferToBuffer(...copy);
    this.device.queue.submit([encoder.finish()]);
    this.#inFlight.push(settled(this.device.queue.onSubmittedWorkDone()));
    if (this.#inFlight.length > MAX_IN_FLIGHT) await this.#inFlight.shift();
    this.#guard();
  }

  /**
   * Runs an entry with one pass per dispatch and returns the nanoseconds of each, or null where the device has no
   * timestamps (nothing ran then). The passes add gaps: compare dispatches by it, not steps.
   */
  async runProfiled(entry: string): Promise<number[] | null> {
    if (!this.device.features.has('timestamp-query')) return null;
    const { steps, copies } = this.#prepare(entry);
    const total = steps.length * 2;
    if (total === 0) return [];
    const sets: GPUQuerySet[] = [];
    for (let at = 0; at < total; at += MAX_QUERIES)
      sets.push(this.device.createQuerySet({ type: 'timestamp', count: Math.min(MAX_QUERIES, total - at) }));
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    const resolved = this.device.createBuffer({ size: total * 8, usage });
    const encoder = this.device.createCommandEncoder();
    steps.forEach((step, i) => {
      const [querySet, first] = [sets[Math.floor((2 * i) / MAX_QUERIES)], (2 * i) % MAX_QUERIES];
      const writes = { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
      const pass = encoder.beginComputePass({ timestampWrites: writes });
      encodeSteps(pass, [step]);
      pass.end();
    });
    for (const copy of copies) encoder.copyBufferToBuffer(...copy);
    sets.forEach((set, i) => encoder.resolveQuerySet(set, 0, set.count, resolved, i * MAX_QUERIES * 8));
    try {
      const times = new BigUint64Array((await this.#download(resolved, 0, total * 8, encoder)).buffer as ArrayBuffer);
      // Some drivers' clocks step back now and then.
      return steps.map((_, i) => Math.max(0, Number(times[2 * i + 1] - times[2 * i])));
    } finally {
      resolved.destroy();
      for (const set of sets) set.destroy();
    }
  }

  /**
   * The value of an output after the entry's last run: f32 for f32 and f16, i32, or u32 for u32 and bool; row-major.
   * @throws RuntimeError `stale` when another entry ran since and may have overwritten it, and as {@link run}.
   */
  async readOutput(entry: string, name: string): Promise<Values> {
    const { outputs } = this.#entry(entry).spec;
    const output = outputs.find((o) => o.name === name);
    if (!output)
      throw unknown(
        `output of ${entry}`,
        name,
        outputs.map((o) => o.name),
      );
    if (output.resource.kind === 'arena' && this.#lastRun !== entry) {
      const why = this.#lastRun ? `${this.#lastRun} ran last, and entries share their memory` : 'no entry ran yet';
      const fix = `read it right after running ${entry}`;
      throw new RuntimeError({ code: 'stale', what: `output ${name} of ${entry} has no value`, why, fix });
    }
    return this.#read(output, output.resource);
  }

  /** The present value of a state; types as {@link readOutput}. */
  async readState(name: string): Promise<Values> {
    return this.#read(this.#find('state', this.states, name)[0], { kind: 'state', name });
  }

  /** The present value of a parameter; types as {@link readOutput}. */
  async readParam(name: string): Promise<Values> {
    return this.#read(this.#find('param', this.manifest.params, name)[0], { kind: 'param', name });
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
    this.device.removeEventListener('uncapturederror', this.#onError);
    for (const buffer of this.#buffers.values()) buffer.destroy();
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
    for (const spec of replay.spec.inputs) {
      const given = this.#inputLengths.get(spec.name);
      if (given !== undefined && given !== countOf(spec)) throw wrongLength(spec, `${given} were written`);
    }
    this.#lastRun = name;
    return replay;
  }

  #find(kind: Resource['kind'], specs: readonly TensorSpec[], name: string): [TensorSpec, GPUBuffer] {
    this.#guard();
    const spec = specs.find((s) => s.name === name);
    if (!spec) throw unknown(kind, name, [...new Set(specs.map((s) => s.name))]);
    return [spec, this.#buffers.get(`${kind} ${name}`)!];
  }

  #put(kind: Resource['kind'], specs: readonly TensorSpec[], name: string, data: Values): void {
    const [spec, buffer] = this.#find(kind, specs, name);
    const values = encode(spec, data);
    if (!specs.some((s) => s.name === name && countOf(s) === data.length))
      throw wrongLength(spec, `${data.length} were given`);
    this.#touched.add(buffer);
    this.device.queue.writeBuffer(buffer, 0, values as GPUAllowSharedBufferSource);
  }

  async #stream(kind: Resource['kind'], specs: readonly TensorSpec[], name: string, chunks: Chunks): Promise<void> {
    const [spec, buffer] = this.#find(kind, specs, name);
    this.#touched.add(buffer);
    await this.#uploader.stream(spec, buffer, chunks);
    this.#guard();
  }

  async #read(spec: TensorSpec, resource: Resource): Promise<Values> {
    this.#guard();
    if (countOf(spec) === 0) return decode(spec, new Uint8Array());
    const { key, offset } = placeOf(resource, this.#plan.buffers);
    return decode(spec, await this.#download(this.#buffers.get(key)!, offset, padded(bytesOf(spec))));
  }

  async #download(buffer: GPUBuffer, offset: number, bytes: number, encoder?: GPUCommandEncoder): Promise<Uint8Array> {
    try {
      return await download(this.device, buffer, offset, bytes, encoder);
    } catch (cause) {
      await this.#events();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new RuntimeError({ code: 'gpu-error', what: 'reading from the device failed', why, cause });
    }
  }

  /** Builds what a run replays: pipelines and bind groups in order, equal bind groups once. */
  #bind(compiled: ReadonlyMap<string, Compiled>): void {
    const groups = new Map<string, GPUBindGroup>();
    const buffer = (key: string) => this.#buffers.get(key)!;
    for (const [entry, copies] of this.#plan.copies) {
      const spec = this.manifest.entries[entry];
      const steps = spec.dispatches.map(({ kernel, resources, workgroups }): Step => {
        const { pipeline, layout } = compiled.get(kernel)!;
        const places = resources.map((resource) => placeOf(resource, this.#plan.buffers));
        const key = JSON.stringify([layout.label, places]);
        let group = groups.get(key);
        if (!group) {
          const entries = places.map(({ key, offset, bytes }, binding) => {
            return { binding, resource: { buffer: buffer(key), offset, size: bytes } };
          });
          group = this.device.createBindGroup({ label: kernel, layout, entries });
          groups.set(key, group);
        }
        return { pipeline, group, grid: workgroups };
      });
      const moved = copies.map(({ from, to }): Replay['copies'][number] => {
        return [buffer(from.key), from.offset, buffer(to.key), to.offset, to.bytes];
      });
      this.#replays.set(entry, { spec, steps, copies: moved });
    }
  }

  /** Encodes an entry without submitting it, so that a dispatch WebGPU forbids is found here and by name. */
  async #validate(name: string): Promise<void> {
    const { steps, copies, spec } = this.#replays.get(name)!;
    const attempt = async (some: readonly Step[], moved: Replay['copies']) => {
      this.device.pushErrorScope('validation');
      const encoder = this.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      encodeSteps(pass, some);
      pass.end();
      for (const copy of moved) encoder.copyBufferToBuffer(...copy);
      encoder.finish();
      return (await this.device.popErrorScope())?.message.trim();
    };
    const error = await attempt(steps, copies);
    if (error === undefined) return;
    for (const [i, step] of steps.entries()) {
      const why = await attempt([step], []);
      const { value, kernel, source } = spec.dispatches[i];
      const what = `${name}: dispatch ${i}, ${value} (kernel ${kernel}), is invalid`;
      if (why !== undefined) throw new RuntimeError({ code: 'bad-artefact', where: source[0], what, why });
    }
    throw new RuntimeError({ code: 'bad-artefact', what: `${name}: its state updates are invalid`, why: error });
  }

  readonly #onError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault(); // Dawn and browsers would also print it.
    const fix = 'this is a bug in ditc or the driver: please report it with this text';
    const why = event.error.message.trim();
    this.#failure ??= new RuntimeError({ code: 'gpu-error', what: 'the device reports an error', why, fix });
  };

  /** Lets the device's pending events arrive, then throws what they brought. */
  async #events(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    this.#guard();
  }

  #guard(): void {
    const failure = this.#failure;
    if (this.#closed) throw new RuntimeError({ code: 'closed', what: 'the program is closed', fix: 'create it again' });
    if (failure?.code !== 'device-lost') this.#failure = undefined;
    if (failure) throw failure;
  }
}

/** A promise's end, however it ends: losing the device rejects what was under way, and is reported once elsewhere. */
const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch(() => undefined);

function unknown(kind: string, name: string, known: readonly string[]): RuntimeError {
  const why = known.length > 0 ? `known are ${known.join(', ')}` : 'there are none';
  return new RuntimeError({ code: 'not-found', what: `unknown ${kind} ${quote(name)}`, why });
}

function encodeSteps(pass: GPUComputePassEncoder, steps: readonly Step[]): void {
  let pipeline: GPUComputePipeline | undefined;
  let group: GPUBindGroup | undefined;
  for (const step of steps) {
    if (step.pipeline !== pipeline) pass.setPipeline((pipeline = step.pipeline));
    if (step.group !== group) pass.setBindGroup(0, (group = step.group));
    pass.dispatchWorkgroups(step.grid[0], step.grid[1], step.grid[2]);
  }
}

/**
 * All pipelines, compiled side by side. Kernels of the same access signature share a layout.
 * @throws RuntimeError `bad-kernel` for the first (in order) that does not compile, once all have ended.
 */
async function compile(
  device: GPUDevice,
  { manifest, wgsl }: Artefact,
  names: readonly string[],
  onProgress: ProgramOptions['onProgress'],
): Promise<Map<string, Compiled>> {
  const layouts = new Map<string, GPUBindGroupLayout>();
  const compiled = new Map<string, Compiled>();
  const one = async (name: string) => {
    const types = manifest.kernels[name].bindings.map(({ access }): GPUBufferBindingType => {
      return access === 'read' ? 'read-only-storage' : 'storage';
    });
    const label = types.join(' ');
    const layout = layouts.get(label) ?? device.createBindGroupLayout({ label, entries: types.map(layoutEntry) });
    layouts.set(label, layout);
    const code = wgsl.get(name)!;
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: name, code });
    const invalid = device.popErrorScope();
    const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const pipeline = device.createComputePipelineAsync({ label: name, layout: pipelineLayout, compute: { module } });
    const [made, error] = await Promise.allSettled([pipeline, invalid]);
    if (made.status === 'rejected' || (error.status === 'fulfilled' && error.value)) {
      const reason: unknown = made.status === 'rejected' ? made.reason : undefined;
      throw await badKernel(name, code, module, reason);
    }
    compiled.set(name, { pipeline: made.value, layout });
    onProgress?.({ stage: 'pipelines', done: compiled.size, total: names.length });
  };
  const results = await Promise.allSettled(names.map(one));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return compiled;
}

const layoutEntry = (type: GPUBufferBindingType, binding: number): GPUBindGroupLayoutEntry => {
  return { binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } };
};

/** Why a kernel does not compile, with the lines around the place. */
async function badKernel(name: string, code: string, module: GPUShaderModule, reason: unknown): Promise<RuntimeError> {
  const { messages } = await module.getCompilationInfo();
  const found = messages.find(({ type }) => type === 'error');
  const parts = { code: 'bad-kernel', what: `kernel ${name} does not compile`, cause: reason };
  const fix = 'this is a bug in ditc: please report it with this text';
  if (!found) {
    const why = reason instanceof Error ? reason.message.trim() : String(reason);
    return new RuntimeError({ ...parts, why, fix });
  }
  const { lineNum, linePos, message } = found;
  const excerpt = code.split('\n').flatMap((line, i) => {
    if (Math.abs(i + 1 - lineNum) > 3) return [];
    const marker = i + 1 === lineNum ? [' '.repeat(Math.max(0, linePos - 1) + 7) + '^'] : [];
    return [`${String(i + 1).padStart(5)}  ${line}`, ...marker];
  });
  const why = [message.trim(), ...excerpt].join('\n');
  return new RuntimeError({ ...parts, where: `${name}.wgsl:${lineNum}:${linePos}`, why, fix });
}
