/** An ONNX network written into a trace: node by node, as many as the wanted values need. */
import { bind, currentPlace, setPlace } from '../../compiler/dsl/trace.ts';
import { Tensor } from '../../compiler/dsl/index.ts';
import { DitcError } from '../../compiler/ir/index.ts';
import type {
  FunctionProto,
  GraphProto,
  NodeProto,
  OperatorSetProto,
  TensorProto,
} from '../../runtime/onnx/messages.ts';
import { Call, type Made } from './call.ts';
import { callFunction } from './functions.ts';
import { IDLE } from './idle.ts';
import { neededFor } from './needed.ts';
import { ops } from './ops/index.ts';
import { folded, knownValue, tensorValue, type Known, type Value, type Values } from './value.ts';

/** The sets of ops that are known: what ONNX 1.23 has. Later ones may mean something else by the same name. */
const NEWEST = 28;
const OLDEST = 7;

/** Graphs within graphs, and functions within functions. */
const MOST_DEPTH = 32;

export interface Network {
  /** What the file is called in errors. */
  readonly where: string;
  readonly opsets: readonly OperatorSetProto[];
  readonly functions: readonly FunctionProto[];
  /** The numbers of a tensor of the file. */
  read(tensor: TensorProto): Known;
}

export class Writer {
  readonly #network: Network;
  readonly #depth: number;
  readonly #version: number;

  constructor(network: Network, depth = 0) {
    this.#network = network;
    this.#depth = depth;
    this.#version = versionOf(network);
    if (depth <= MOST_DEPTH) return;
    const what = `its graphs lie more than ${MOST_DEPTH} deep within each other`;
    throw new DitcError({ code: 'unsupported', where: currentPlace() ?? network.where, what, fix: 'export it anew' });
  }

  /** Adds to `values` what the nodes make that the wanted ones need. @throws DitcError at the node. */
  write(nodes: readonly NodeProto[], values: Values, wanted: readonly string[]): void {
    const needed = neededFor(nodes, wanted);
    this.#checkOps(needed);
    for (const node of needed) {
      setPlace(placeOf(this.#network.where, node), undefined);
      const made = this.#made(node, values);
      node.output.forEach((name, i) => {
        if (name && made[i]) values.set(name, named(node, made[i]));
      });
    }
  }

  /** All ops that are not known at once, at the first node that has one. */
  #checkOps(nodes: readonly NodeProto[]): void {
    const unknown = nodes.filter((node) => !this.#isKnown(node));
    if (!unknown.length) return;
    const [first, ...others] = new Set(unknown.map(({ domain, opType }) => (domain ? `${domain}.${opType}` : opType)));
    throw new DitcError({
      code: 'unsupported',
      where: placeOf(this.#network.where, unknown[0]),
      what: `the op ${first} is not known`,
      why: others.length ? `nor are ${others.join(', ')}` : undefined,
      fix: 'docs/onnx.md lists those that are: write it by them, or take an output before it',
    });
  }

  #isKnown(node: NodeProto): boolean {
    return (
      this.#function(node) !== undefined ||
      (isStandard(node.domain) && (node.opType === 'If' || Object.hasOwn(ops, node.opType)))
    );
  }

  #function(node: NodeProto): FunctionProto | undefined {
    return this.#network.functions.find(({ name, domain }) => name === node.opType && domain === node.domain);
  }

  #made(node: NodeProto, values: Values): Value[] {
    const inputs = node.input.map((name) => (name ? this.#found(name, values) : undefined));
    const called = this.#function(node);
    if (called) return callFunction(called, node, inputs, (...body) => this.#within(called).write(...body));
    const call = new Call(node, this.#version, inputs, (tensor) => this.#network.read(tensor));
    if (node.opType === 'If') return this.#branch(call, values);
    const compute = () => {
      const made = [ops[node.opType](call)].flat() as Made[];
      call.checkRead(IDLE[node.opType]);
      return made;
    };
    const given = inputs.filter((value) => value !== undefined);
    const isOwn = given.length > 0 && given.every(({ folds }) => folds);
    return (isOwn ? foldedMade(compute) : undefined) ?? compute().map(asValue);
  }

  /** The body of a function is of ops of its own versions. */
  #within({ opsetImport }: FunctionProto): Writer {
    return new Writer({ ...this.#network, opsets: opsetImport }, this.#depth + 1);
  }

  #found(name: string, values: Values): Value {
    const found = values.get(name);
    if (found) return found;
    const what = `the value ${name} is not computed before it`;
    const fix =
      'an output of a node that ditc leaves out (masks, running statistics), or a damaged file: export it again';
    throw new DitcError({ code: 'bad-format', where: currentPlace(), what, fix });
  }

  /** A branch that is chosen when the network is read. */
  #branch(call: Call, values: Values): Value[] {
    const graph = call.graph(call.number(0, 'condition') ? 'then_branch' : 'else_branch');
    call.checkRead(IDLE.If);
    const inner: Values = new Map(values);
    const wanted = graph.output.map(({ name }) => name);
    this.#readConstants(graph, inner);
    new Writer(this.#network, this.#depth + 1).write(graph.node, inner, wanted);
    return wanted.map((name) => this.#found(name, inner));
  }

  #readConstants(graph: GraphProto, values: Values): void {
    for (const tensor of graph.initializer) values.set(tensor.name, knownValue(this.#network.read(tensor)));
  }
}

const isStandard = (domain: string): boolean => domain === '' || domain === 'ai.onnx';

function versionOf({ opsets, where }: Network): number {
  const version = opsets.find(({ domain }) => isStandard(domain))?.version;
  if (version !== undefined && version >= OLDEST && version <= NEWEST) return version;
  const what = version === undefined ? 'it has no ops of ONNX’s own' : `its ops are of version ${version}`;
  const why = `those of ${OLDEST} to ${NEWEST} are read`;
  throw new DitcError({ code: 'unsupported', where, what, why, fix: 'export it with opset_version=18' });
}

/** `file: op name`, on one line. */
function placeOf(where: string, { opType, name, output }: NodeProto): string {
  return `${where}: ${opType} ${name || output.find(Boolean) || ''}`.replace(/[\u0000-\u001f]+/g, ' ').trim();
}

/** Known numbers of what is computed from known numbers alone; what an op gives as numbers is so already. */
function foldedMade(compute: () => Made[]): Value[] | undefined {
  let direct: Value[] | undefined;
  const found = folded(() => {
    const made = compute();
    if (made.some((one) => !(one instanceof Tensor))) direct = made.map(asValue);
    return direct ? [] : (made as Tensor[]);
  });
  return direct ?? found?.map(knownValue);
}

const asValue = (made: Made): Value => (made instanceof Tensor ? tensorValue(made) : knownValue(made));

/** Kernels are called by the last part of a node's name. */
function named({ name, opType }: NodeProto, value: Value): Value {
  if (value.folds) return value;
  const last = name.split('/').filter(Boolean).slice(-2).join('_') || opType;
  const plain = last.replace(/[^\p{L}\d_]+/gu, '_').replace(/^[^\p{L}]+/u, '');
  bind(plain || opType.toLowerCase(), value.tensor());
  return value;
}
