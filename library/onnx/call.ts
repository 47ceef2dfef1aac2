/** A node of an ONNX graph as an op sees it: its operands, its attributes, and errors that name it. */
import type { Tensor } from '../../compiler/dsl/index.ts';
import { currentPlace } from '../../compiler/dsl/trace.ts';
import { DitcError, formatShape } from '../../compiler/ir/index.ts';
import type { AttributeProto, GraphProto, NodeProto, TensorProto } from '../../runtime/onnx/messages.ts';
import type { Known, Value } from './value.ts';

export type Made = Tensor | Known;
/** Computes the outputs of a node, of which later ones may be left out. */
export type Op = (call: Call) => Made | readonly Made[];
export type Ops = Readonly<Record<string, Op>>;

const decoder = new TextDecoder();

/** More is no network that can be computed. */
const MOST_NUMBERS = 2 ** 20;

export class Call {
  readonly op: string;
  /** Of the set of ops that the node's is from: what it means changed over time. */
  readonly version: number;
  readonly outputs: readonly string[];
  readonly #inputs: readonly (Value | undefined)[];
  readonly #attributes: ReadonlyMap<string, AttributeProto>;
  readonly #read: (tensor: TensorProto) => Known;
  /** Names of attributes and numbers of operands that were looked at, be they there or not. */
  readonly #seen = new Set<string | number>();

  constructor(
    node: NodeProto,
    version: number,
    inputs: readonly (Value | undefined)[],
    read: (tensor: TensorProto) => Known,
  ) {
    this.op = node.opType;
    this.version = version;
    this.outputs = node.output;
    this.#inputs = inputs;
    this.#attributes = new Map(node.attribute.map((attribute) => [attribute.name, attribute]));
    this.#read = read;
  }

  /** Throws at the node. */
  fail(what: string, why?: string, fix = 'export the network with other settings', code = 'unsupported'): DitcError {
    return new DitcError({ code, where: currentPlace(), what: `${this.op}: ${what}`, why, fix });
  }

  /** How many operands are given. */
  get count(): number {
    return this.#inputs.length;
  }

  value(i: number): Value {
    const found = this.maybe(i);
    if (found) return found;
    throw this.fail(`operand ${i + 1} is missing`, undefined, 'the file is damaged: export it again', 'bad-format');
  }

  maybe(i: number): Value | undefined {
    this.#seen.add(i);
    return this.#inputs[i];
  }

  tensor(i = 0): Tensor {
    return this.value(i).tensor();
  }

  optional(i: number): Tensor | undefined {
    return this.maybe(i)?.tensor();
  }

  /** All operands, of which there is one at least. */
  tensors(): Tensor[] {
    this.value(0);
    return this.#inputs.map((_, i) => this.tensor(i));
  }

  /** An operand that an op must know: `what` it is. */
  known(i: number, what: string): Known {
    const found = this.value(i).known?.();
    if (found) return found;
    const fix = 'export the network for fixed sizes, so that it is a constant';
    throw this.fail(`its ${what} is computed as the network runs`, undefined, fix);
  }

  /** Numbers of an operand, or undefined where it is not given. */
  numbers(i: number, what: string): number[] | undefined {
    return this.maybe(i) && Array.from(this.known(i, what).data);
  }

  /** One number of an operand, or undefined where it is not given. */
  number(i: number, what: string): number | undefined {
    const found = this.numbers(i, what);
    if (found && found.length !== 1) throw this.damaged(`its ${what} is ${found.length} numbers`);
    return found?.[0];
  }

  /** What was an attribute before version `since`, and is an operand from then on. */
  numbersSince(since: number, i: number, name: string): number[] | undefined {
    return this.version < since ? this.ints(name) : this.numbers(i, name);
  }

  int(name: string): number | undefined;
  int(name: string, otherwise: number): number;
  int(name: string, otherwise?: number): number | undefined {
    return this.#attribute(name, 'i') ?? otherwise;
  }

  float(name: string): number | undefined;
  float(name: string, otherwise: number): number;
  float(name: string, otherwise?: number): number | undefined {
    return this.#attribute(name, 'f') ?? otherwise;
  }

  text(name: string): string | undefined;
  text(name: string, otherwise: string): string;
  text(name: string, otherwise?: string): string | undefined {
    const found = this.#attribute(name, 's');
    return found ? decoder.decode(found) : otherwise;
  }

  /** One of the words that an attribute may be. */
  choice<T extends string>(name: string, words: readonly [otherwise: T, ...others: T[]]): T {
    const found = this.text(name, words[0]);
    const known = words.find((word) => word === found);
    if (known !== undefined) return known;
    throw this.fail(`its ${name} is ${JSON.stringify(found)}`, `${words.join(', ')} are read`);
  }

  /** A list of whole numbers, `count` of them where that is told. */
  ints(name: string, count?: number): number[] | undefined {
    const found = this.#list(name, 'ints');
    if (found && count !== undefined && found.length !== count)
      throw this.damaged(`${name} is ${formatShape(found)}, not ${count} numbers`);
    return found;
  }

  floats(name: string): number[] | undefined {
    return this.#list(name, 'floats');
  }

  constant(name: string): Known | undefined {
    const found = this.#attribute(name, 't');
    return found && this.#read(found);
  }

  graph(name: string): GraphProto {
    const found = this.#attribute(name, 'g');
    if (found) return found;
    throw this.damaged(`it has no ${name}`);
  }

  /**
   * Throws where the node says more than its op has looked at: what nobody reads would be passed over in silence. `idle` has what changes
   * nothing that is computed.
   */
  checkRead(idle: readonly (string | number)[] = []): void {
    const isRead = (of: string | number) => this.#seen.has(of) || idle.includes(of);
    const other = [...this.#attributes.keys()].find((name) => !isRead(name));
    const more = this.#inputs.findIndex((input, i) => input !== undefined && !isRead(i));
    if (other === undefined && more < 0) return;
    const what = other === undefined ? `operand ${more + 1}` : `attribute ${valueIn(this.#attributes.get(other)!)}`;
    throw this.fail(`its ${what} is not read`, `of version ${this.version}`, 'export the network without it');
  }

  damaged(what: string, why?: string): DitcError {
    return this.fail(what, why, 'the file is damaged: export it again', 'bad-format');
  }

  #attribute<K extends 'i' | 'f' | 's' | 't' | 'g'>(name: string, kind: K): AttributeProto[K] {
    this.#seen.add(name);
    const found = this.#attributes.get(name);
    if (found && found[kind] === undefined) throw this.damaged(`${name} is of another kind`);
    return found?.[kind];
  }

  /** A list that has no elements is not on the wire. */
  #list(name: string, kind: 'ints' | 'floats'): number[] | undefined {
    this.#seen.add(name);
    return this.#attributes.has(name) ? (this.#attributes.get(name)![kind] ?? []) : undefined;
  }

  /** A length of which a table is written out while the network is read: bounded, for files may ask for anything. */
  table(length: number): number {
    if (length <= MOST_NUMBERS) return Math.max(length, 0);
    const fix = 'export the network for smaller sizes';
    throw this.fail(`it would take a table of ${length} numbers`, `${MOST_NUMBERS} are the most`, fix, 'limit');
  }

  /** An axis from the front. */
  axis(axis: number, rank: number): number {
    const at = axis < 0 ? axis + rank : axis;
    if (Number.isInteger(at) && at >= 0 && at < rank) return at;
    throw this.damaged(`there is no axis ${axis}`, `the operand has ${rank}`);
  }
}

/** An attribute in an error. */
export function valueIn({ name, i, f, s, ints, floats }: AttributeProto): string {
  const text = s && JSON.stringify(decoder.decode(s));
  const value = text ?? i ?? f ?? ints ?? floats;
  return value === undefined ? name : `${name} = ${Array.isArray(value) ? formatShape(value) : value}`;
}
