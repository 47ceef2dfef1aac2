/**
 * The artefact: what `ditc build` writes and the runtime loads. Types only, so that the runtime needs nothing else of the
 * compiler. Outside scripts read manifest.json: extend it, don't rename.
 */
import type { SubgroupMatrixShape } from '../device.ts';
import type { DType } from '../ir/types.ts';

export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** An input. Of whole numbers that choose rows of a table, the least and the end of those that are rows. */
export interface InputSpec extends TensorSpec {
  readonly range?: readonly [least: number, end: number];
  /** Of classes, how many there are: `range` is then 0 to this, exclusive, or less. */
  readonly classes?: number;
}

/** How a parameter or state starts when no checkpoint gives it; `file` is tensor `init.<name>` of constants.safetensors. */
export type InitSpec =
  | { readonly kind: 'zeros' | 'ones' | 'file' }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'uniform'; readonly bound: number };

export interface ParamSpec extends TensorSpec {
  readonly init: InitSpec;
  /** Other names that checkpoints may have for it; tensors found by one may differ in axes of size 1. */
  readonly aliases?: readonly string[];
  /** By layout of checkpoints, how it is stored: parts along the first axis, each by the names of its equal copies. */
  readonly layouts?: Readonly<Record<string, readonly (readonly string[])[]>>;
  /** What is kept of a checkpoint's values of another size: rows by their number (the `last` as the last), or a grid, resampled. */
  readonly resize?: { readonly kind: 'rows'; readonly last?: number } | { readonly kind: 'grid' };
  /** Of a state that counts the runs of a loop: it is from 0 to this, exclusive, when the loop's body is run. */
  readonly count?: number;
  /** Of a state that the compiler made for values of its own (tables, turns of a loop): each run that reads it has filled it before. */
  readonly scratch?: boolean;
}

/**
 * Where a kernel's buffer lives. Offsets and sizes are in bytes. `lead`: so many bytes before it are bound with it, for the binding to
 * start where the device lets bindings start; what lies side by side (parameters of a pack, parts of a value) may start anywhere.
 */
export type Resource =
  | { readonly kind: 'pack' | 'state' | 'bundle' | 'input' | 'constant'; readonly name: string }
  | { readonly kind: 'param'; readonly name: string; readonly lead?: number }
  | {
      readonly kind: 'arena';
      readonly arena: number;
      readonly offset: number;
      readonly size: number;
      readonly lead?: number;
    };

export interface Dispatch {
  readonly kernel: string;
  readonly workgroups: readonly [number, number, number];
  readonly macs: number;
  /** Multiply-accumulates that its plan does for them, where these are more: tiles that the result fills in part. */
  readonly plannedMacs?: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** The user's name of what it computes, and its type, as `f32[1,256,1152]`. */
  readonly value: string;
  readonly type?: string;
  readonly ops: readonly string[];
  readonly source: readonly string[];
  /** One per binding of the kernel, in order. */
  readonly resources: readonly Resource[];
}

export interface MemorySpec {
  readonly weightBytes: number;
  readonly stateBytes: number;
  readonly activationPeakBytes: number;
  readonly activationLowerBoundBytes: number;
  /** Bytes of each arena; arenas are separate buffers, so that a dispatch never reads the one it writes. */
  readonly arenas: readonly number[];
  /** Of the dispatches' multiply-accumulates, those done a second time so that this is all the memory it takes; none when absent. */
  readonly recomputedMacs?: number;
}

export interface EntrySpec {
  readonly inputs: readonly InputSpec[];
  readonly outputs: readonly (TensorSpec & { readonly resource: Resource })[];
  /** Of all turns of its loops, too. */
  readonly macs: number;
  readonly paramCount: number;
  readonly dispatches: readonly Dispatch[];
  /** After the dispatches: new values of state (and parameters) that no dispatch could write in place, copied. */
  readonly updates: readonly { readonly to: Resource; readonly from: Resource; readonly bytes: number }[];
  /** The state and parameters that a run changes; `anew` where the value hangs on no state. */
  readonly changes: readonly { readonly kind: 'param' | 'state'; readonly name: string; readonly anew?: true }[];
  /**
   * Entries that run before its dispatches each time that it runs, so many times each in a row: the bodies of its loops, and what they begin
   * with. They may have parts themselves.
   */
  readonly parts?: readonly { readonly entry: string; readonly times: number }[];
  /** The entry that computes before a loop what the loop would repeat: runs first, and whenever what it reads has changed. */
  readonly prelude?: string;
  /** States that it goes on from, with the entries that begin them: one of these runs first, or the state is set. */
  readonly startedBy?: Readonly<Record<string, readonly string[]>>;
  readonly memory: MemorySpec;
}

/** Parameters that lie one after the other in one buffer, so that merged linears read them as one weight. */
export interface PackSpec {
  readonly name: string;
  readonly params: readonly string[];
}

/** States that lie in one buffer, each from a multiple of `alignment` bytes on, so that a kernel binds all of them at once. */
export interface BundleSpec {
  readonly name: string;
  readonly states: readonly string[];
  readonly alignment: number;
}

export interface KernelSpec {
  readonly file: string;
  readonly bindings: readonly {
    readonly name: string;
    readonly access: 'read' | 'read_write';
    readonly bytes: number;
  }[];
  readonly plan: Readonly<Record<string, unknown>>;
  /** Device features the shader enables. */
  readonly features: readonly string[];
  /** Lanes that work as one subgroup: the device's subgroups must have at least as many. Absent: the shader uses none. */
  readonly subgroup?: number;
  /** The shapes that it multiplies on matrix units, which the device must have. */
  readonly matrix?: readonly SubgroupMatrixShape[];
  /** Of a contraction of f16, which it adds up in f32. Absent: what it multiplies is f32. */
  readonly multiplies?: 'f16';
}

/** manifest.json (docs/artefact.md). */
export interface Manifest {
  /** Of the manifest itself. */
  readonly format: 1;
  /** The model's name: its file's, without the ending. */
  readonly model: string;
  /** The model file, from its package's folder. */
  readonly source: string;
  /** Name of the DeviceSpec it was compiled for. */
  readonly device: string;
  /** What the entries were built with: batch, and the model's options. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Samplers that it can draw by besides the one of `options`, by entries `sampleStart_NAME` and `sampleStep_NAME` (all but letters and digits as `_`). */
  readonly samplers?: readonly string[];
  readonly entries: Readonly<Record<string, EntrySpec>>;
  readonly kernels: Readonly<Record<string, KernelSpec>>;
  readonly params: readonly ParamSpec[];
  /** Parameters of the model's other entries, which these do without: a checkpoint may hold them. */
  readonly otherParams?: readonly Pick<ParamSpec, 'name' | 'aliases' | 'layouts'>[];
  /** By layout of checkpoints, what a `config.json` beside one must say where it says anything of it. */
  readonly layouts?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly states: readonly ParamSpec[];
  /** Each parameter is in at most one pack, and then lives in it only. */
  readonly packs?: readonly PackSpec[];
  readonly bundles?: readonly BundleSpec[];
  /** Dense constants of the model file: tensor `<name>` of constants.safetensors. */
  readonly constants: readonly TensorSpec[];
  /** As written: the SHA-256 of every other file of the folder, by its path in it. */
  readonly files?: Readonly<Record<string, string>>;
  /** As written, last: the SHA-256 of the manifest's JSON (as JSON.stringify writes it) without this. */
  readonly digest?: string;
}

/** An artefact in memory. */
export interface Artefact {
  readonly manifest: Manifest;
  /** WGSL text by kernel name. */
  readonly wgsl: ReadonlyMap<string, string>;
  /** Dense data by tensor name: constants, and `init.<param>`. */
  readonly data: ReadonlyMap<string, Float32Array | Int32Array | Uint32Array>;
}
