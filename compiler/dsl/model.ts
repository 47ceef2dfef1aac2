/** What a model file exports, and the context its entries are traced in. */
import {
  checkName,
  DitcError,
  formatType,
  isInteger,
  sizeOf,
  type Attrs,
  type DType,
  type Graph,
  type Node,
  type Shape,
  valueRule,
} from '../ir/index.ts';
import {
  argument,
  calling,
  dtype,
  flag,
  init,
  methodsTake,
  options,
  optional,
  resize,
  rest,
  shape,
  tensor,
  text,
  whole,
} from './arguments.ts';
import type { CheckpointLayout } from './checkpoint-layout.ts';
import { xavierUniform, zeros, type Init } from './init.ts';
import { isCount } from './count.ts';
import { linear } from './functions.ts';
import { checkedPlaceholders } from './loops.ts';
import { outputsOf } from './outputs.ts';
import { misuse, Tensor } from './tensor.ts';
import { currentPlace, Trace, withTrace, type DeclaredParam, type Resize } from './trace.ts';

/** Parameters under a name prefix: `p.at('blocks', 3).linear('attn.qkv', …)` declares `blocks.3.attn.qkv.weight`. */
export class Scope {
  private readonly trace: Trace;
  readonly path: string;

  constructor(trace: Trace, path = '') {
    this.trace = trace;
    this.path = path;
  }

  /** A scope within this one. */
  at(...names: (string | number)[]): Scope {
    return new Scope(this.trace, [this.path, ...names].filter((part) => part !== '').join('.'));
  }

  /**
   * A named weight, f32; it starts as zeros unless told. Asking twice for one name gives the same tensor. `frozen`: training leaves it as it is. `resize`: what of a checkpoint's
   * values is kept where they are of another size (`--on-mismatch fit`).
   */
  param(name: string, shape: Shape, init: Init = zeros, options: { frozen?: boolean; resize?: Resize } = {}): Tensor {
    const full = this.at(name).path;
    const node = declare(this.trace, this.trace.params, 'param', full, shape, 'f32', init);
    const { frozen, resize } = options;
    if (frozen || resize) this.trace.params.set(full, { node, init, frozen, resize });
    return new Tensor(frozen ? node : this.#readAs(full, node));
  }

  /** What the entry reads for a parameter. */
  #readAs(name: string, node: Node): Node {
    const { adapted, adapt } = this.trace;
    if (!adapted.has(name)) adapted.set(name, adapt?.(name, node) ?? node);
    return adapted.get(name)!;
  }

  /** x·Wᵀ + b with `name.weight` [out, in] (Xavier-uniform unless told) and `name.bias` [out] (zeros unless told). */
  linear(name: string, x: Tensor, out: number, options: { init?: Init; bias?: boolean; biasInit?: Init } = {}): Tensor {
    const scope = this.at(name);
    if (!x.rank) throw misuse('linear: x has no axis to multiply', 'it is of rank 0', 'reshape it, to [1] at least');
    const fanIn = x.shape[x.rank - 1];
    const weight = scope.param('weight', [out, fanIn], options.init ?? xavierUniform(fanIn, out));
    const bias = (options.bias ?? true) ? scope.param('bias', [out], options.biasInit ?? zeros) : undefined;
    const result = linear(x, weight, bias);
    // A layer's output goes by the layer's name until the user binds another.
    result.node.name ??= name
      .replace(/\.\d+$/, '')
      .split('.')
      .pop();
    return result;
  }
}

methodsTake(Scope, {
  at: [rest(argument('names', 'a name or a number', (n) => typeof n === 'string' || Number.isSafeInteger(n)))],
  param: [text('name'), shape('shape'), optional(init('init')), options('options', [flag('frozen'), resize('resize')])],
  linear: [
    text('name'),
    tensor('x'),
    whole('out', 1),
    options('options', [init('init'), flag('bias'), init('biasInit')]),
  ],
});

function declare(
  trace: Trace,
  table: Map<string, DeclaredParam>,
  op: 'param' | 'state',
  name: string,
  shape: Shape,
  dtype: DType,
  init: Init,
  more: Attrs = {},
) {
  const node = leaf(trace, op, name, { dtype, shape: [...shape], ...more });
  checkInit(name, node, init);
  if (!table.has(name)) table.set(name, { node, init });
  return node;
}

/** Throws unless values of one's own fill what they are for, and are values of its dtype. */
function checkInit(name: string, { type }: Node, init: Init): void {
  if (init.kind !== 'data') return;
  const { length } = init.data;
  if (length !== sizeOf(type.shape)) {
    const why = `${length} values, and ${name} is ${formatType(type)}, of ${sizeOf(type.shape)}`;
    throw misuse('fixed: the values do not fill the shape', why, 'give as many values as it has elements');
  }
  const wrong = init.data.find((value) => valueRule(value, type.dtype) !== undefined);
  if (wrong !== undefined)
    throw misuse(`fixed: a value must be ${valueRule(wrong, type.dtype)}`, `one is ${wrong}`, 'give other values');
}

const KINDS = { input: 'an input', param: 'a parameter', state: 'a state' } as const;

/** What is found by its name: one thing in all of an entry. */
function leaf(trace: Trace, op: keyof typeof KINDS, name: string, attrs: Attrs): Node {
  const where = currentPlace();
  checkName(op, name, where);
  const node = trace.builder.apply(op, [], { name, ...attrs });
  const known = trace.leaves.get(name) ?? node;
  trace.leaves.set(name, known);
  if (known === node) return node;
  const fix = 'give one of them another name';
  const [one, other] = [known, node].map((n) => n.op as keyof typeof KINDS);
  if (one !== other)
    throw new DitcError({ code: 'name', where, what: `${name} is ${KINDS[one]} and ${KINDS[other]}`, fix });
  const types = [known, node].map(
    ({ type, attrs: { count } }) => formatType(type) + (count ? `, of ${String(count)}` : ''),
  );
  throw declaredTwice(op, name, types);
}

function declaredTwice(op: keyof typeof KINDS, name: string, ways: readonly string[]): DitcError {
  const [code, what] = [op === 'input' ? 'name' : 'param', `${op} ${name} is declared twice, differently`];
  const fix = 'give one of them another name';
  return new DitcError({ code, where: currentPlace(), what, why: ways.join(' and '), fix });
}

/** Options an entry is built with: `batch` and whatever the command line passes on (steps, sampler, cfg, …). */
export type EntryOptions = Readonly<Record<string, unknown>> & { readonly batch: number };

/** A declared parameter, as an optimiser sees it. */
export interface Parameter {
  readonly name: string;
  readonly value: Tensor;
  /** Whether training leaves it as it is. */
  readonly frozen: boolean;
}

/** The context an entry function gets. */
export class Entry {
  /** What the entry is built with, by name: the model's `options`, and what the command line gave instead. */
  readonly options: EntryOptions;
  /** The outermost scope of parameters. */
  readonly params: Scope;
  private readonly trace: Trace;

  /** `read` takes the names of the options that are read. */
  constructor(trace: Trace, options: EntryOptions, read = new Set<string>()) {
    this.trace = trace;
    this.options = new Proxy(options, {
      get: (from, name) => (read.add(String(name)), Reflect.get(from, name) as unknown),
    });
    this.params = new Scope(trace);
  }

  /** The size that inputs give their first axis: `--batch`. */
  get batch(): number {
    return this.options.batch;
  }

  /** An argument given for each run, f32 unless told. Of integers that are `classes`, only 0 to `classes` − 1 are taken. */
  input(name: string, shape: Shape, dtype: DType = 'f32', { classes }: { classes?: number } = {}): Tensor {
    const { inputs, classes: counts } = this.trace;
    const node = leaf(this.trace, 'input', name, { dtype, shape: [...shape] });
    if (inputs.includes(node) && counts.get(name) !== classes)
      throw declaredTwice(
        'input',
        name,
        [counts.get(name), classes].map((n) => `${n ?? 'any number of'} classes`),
      );
    if (classes !== undefined && !isInteger(dtype))
      throw misuse('input: classes are whole numbers', `${name} is ${dtype}`, "make it 'i32', or leave classes out");
    if (classes !== undefined) counts.set(name, classes);
    if (!inputs.includes(node)) inputs.push(node);
    return new Tensor(node);
  }

  /** A tensor the device keeps between runs, f32 and zeros unless told; entries of a model share state by name. */
  state(name: string, shape: Shape, dtype: DType = 'f32', init: Init = zeros): Tensor {
    return new Tensor(declare(this.trace, this.trace.states, 'state', name, shape, dtype, init));
  }

  /**
   * State that counts a loop's runs: i32[], from 0 to `count` − 1 in any order. It tells the compiler that the entry which
   * updates it is the body of a loop; what depends on nothing else that the loop changes is computed once, before it.
   */
  counter(name: string, count: number): Tensor {
    return new Tensor(declare(this.trace, this.trace.states, 'state', name, [], 'i32', zeros, { count }));
  }

  /**
   * What parameters are read as from here on, but for frozen ones: `as` gets each once, with its name, and gives itself or a value of its
   * type made of it. `parameters()` and `update` have the parameters themselves.
   */
  adapt(as: (name: string, value: Tensor) => Tensor): void {
    this.trace.adapt = (name, node) => {
      const { node: made } = calling(() => as(name, new Tensor(node)));
      const [is, was] = [made, node].map(({ type }) => formatType(type));
      if (is === was) return made;
      const what = `adapt: ${name} is ${was}, and would be read as ${is}`;
      throw new DitcError({ code: 'shape', where: currentPlace(), what, fix: 'give a value of its type' });
    };
  }

  /** All parameters declared so far, in order: of each its `name`, its `value` (a tensor, as `gradients` and `update` take) and whether it is `frozen`. */
  parameters(): Parameter[] {
    const declared = [...this.trace.params];
    return declared.map(([name, { node, frozen = false }]) => ({ name, value: new Tensor(node), frozen }));
  }

  /** What a state (or parameter) holds after the run. Reads in this run see the old value. */
  update(target: Tensor, value: Tensor): void {
    const name = String(target.node.attrs.name);
    if (target.node.op !== 'state' && target.node.op !== 'param') {
      const why = `it is ${target.node.name ?? target.node.op}, which the entry computes or is given`;
      throw updateError('update: the target is not state or a parameter', why, 'declare it with e.state(…)');
    }
    const [to, from] = [target, value].map(({ node }) => formatType(node.type));
    if (to !== from)
      throw updateError(`update: ${name} is ${to}, its new value is ${from}`, undefined, 'reshape or cast it', 'shape');
    const { updates, loops } = this.trace;
    const inLoop = `update: ${name} is updated in the body of a loop`;
    if (loops.length) throw updateError(inLoop, undefined, 'carry its value, and update it after the loop');
    if (updates.has(name))
      throw updateError(`update: ${name} is updated twice`, 'a run gives it one new value', 'join the two into one');
    if (value.node.inputs.length) value.node.name ??= `next_${name}`;
    updates.set(name, { state: target.node, node: value.node });
  }
}

methodsTake(Entry, {
  input: [text('name'), shape('shape'), optional(dtype('dtype')), options('options', [whole('classes', 1)])],
  state: [text('name'), shape('shape'), optional(dtype('dtype')), optional(init('init'))],
  counter: [text('name'), argument('count', 'a whole number from 1 to 2147483647: of the values it takes', isCount)],
  adapt: [argument('as', 'a function of a name and a tensor', (as) => typeof as === 'function')],
  parameters: [],
  update: [tensor('target'), tensor('value')],
});

const updateError = (what: string, why: string | undefined, fix: string, code = 'update'): DitcError =>
  new DitcError({ code, where: currentPlace(), what, why, fix });

/** Computes an entry's outputs, by name; what only updates state may return nothing. */
export type EntryFunction = (entry: Entry) => Record<string, Tensor> | void;

/** What a model file exports: its entries, and what commands and programs should know of it. */
export interface Model {
  /** The sizes it is made with, as manifests and checkpoints record them. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `forward`, `sampleStep`, … each traced into one graph. */
  readonly entries: Readonly<Record<string, EntryFunction>>;
  /** Entries that are compiled only when they are asked for by name. */
  readonly onDemand?: readonly string[];
  /** Defaults of the options that entries read. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Of options that are one of a few words, the words. */
  readonly choices?: Readonly<Record<string, readonly string[]>>;
  /** Other names that checkpoints may have for a parameter; tensors found by one may differ in axes of size 1. */
  readonly aliases?: (name: string) => readonly string[];
  /** Other layouts of checkpoints, by the name that `ditc convert --to` takes. They are read without being asked for. */
  readonly layouts?: Readonly<Record<string, CheckpointLayout>>;
  /** Set when the samples are pictures already: the values of black and of white. Unset: latents, for a VAE to decode. */
  readonly picture?: { readonly range: readonly [black: number, white: number] };
}

/** What a model file exports by default. */
export const defineModel = (model: Model): Model => model;

/** The entries that are compiled unless others are asked for. */
export const defaultEntries = ({ entries, onDemand = [] }: Model): string[] =>
  Object.keys(entries).filter((name) => !onDemand.includes(name));

export interface TracedEntry {
  readonly graph: Graph;
  /** Of inputs that are classes, how many there are, by name. */
  readonly classes?: ReadonlyMap<string, number>;
  readonly params: readonly DeclaredParam[];
  readonly states: readonly DeclaredParam[];
}

/** Runs an entry function and returns its graph; `read` takes the names of the options that it reads. */
export function traceEntry(model: Model, name: string, options: EntryOptions, read?: Set<string>): TracedEntry {
  const build = Object.hasOwn(model.entries, name) ? model.entries[name] : undefined;
  if (!build) {
    const names = Object.keys(model.entries).join(', ');
    throw new DitcError({ code: 'entry', what: `the model has no entry ${name}`, fix: `choose one of ${names}` });
  }
  checkName('entry', name);
  const trace = new Trace();
  const graph = withTrace(trace, (): Graph => {
    const outputs = outputsOf(name, build(new Entry(trace, { ...model.options, ...options }, read)), trace);
    const updates = [...trace.updates.values()];
    const graph = { name, inputs: trace.inputs, outputs, updates };
    if (outputs.length || updates.length) return checkedPlaceholders(graph, trace);
    const fix = 'return what it computes, as { y: tensor }, or update a state';
    const what = `entry ${name} gives nothing: it returns no tensor`;
    throw new DitcError({ code: 'entry', where: currentPlace(), what, fix });
  });
  const { classes, params, states } = trace;
  return { graph, classes, params: [...params.values()], states: [...states.values()] };
}

/** The names of all options that entries of a model (all, unless told) read, given these; what the options do not suit reads some of its own. */
export function optionsRead(
  model: Model,
  options: EntryOptions,
  entries: readonly string[] = Object.keys(model.entries),
): ReadonlySet<string> {
  const read = new Set<string>();
  for (const name of entries) {
    try {
      traceEntry(model, name, options, read);
    } catch (error) {
      if (!(error instanceof DitcError)) throw error;
    }
  }
  return read;
}
