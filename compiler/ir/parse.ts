/** Parses the text form back into graphs. Types are recomputed and must equal the written ones. */
import type * as ohm from 'ohm-js';
import { DitcError } from './error.ts';
import { GraphBuilder, type OpTable } from './graph.ts';
import { graphGrammar } from './grammar.ts';
import { once } from './once.ts';
import {
  DTYPES,
  formatType,
  type AttrValue,
  type DType,
  type TensorType,
  type Graph,
  type Node,
  type Part,
} from './types.ts';
import { verify, VerifyError } from './verify.ts';

/** Reads text from outside: parsed, names of graphs told apart, and verified, with every mistake at its place in the text. */
export function readGraphs(text: string, ops: OpTable, file: string, named?: ParsedNames): Graph[] {
  const offsets = new Map<Node, number>();
  const graphs = parseGraphs(text, ops, file, offsets, named);
  const names = new Set<string>();
  for (const graph of graphs) {
    if (names.has(graph.name)) throw new DitcError({ code: 'ir', where: file, what: `two graphs are @${graph.name}` });
    names.add(graph.name);
    try {
      verify(graph, ops);
    } catch (error) {
      const offset = error instanceof VerifyError && error.node ? offsets.get(error.node) : undefined;
      if (!(error instanceof VerifyError) || offset === undefined) throw error;
      const { code, what, why, fix } = error;
      throw new DitcError({ code, where: `${file}:${placeAt(text, offset)}`, what, why, fix }, { cause: error });
    }
  }
  return graphs;
}

/** What each graph's text calls its values. */
export type ParsedNames = Map<Graph, ReadonlyMap<string, Node>>;

/**
 * Parses every `graph @name(…) {…}` in a text; `file` is for error places. `offsets` learns where each node stands, `named` what
 * the text calls it.
 */
export function parseGraphs(
  text: string,
  ops: OpTable,
  file = '<text>',
  offsets = new Map<Node, number>(),
  named: ParsedNames = new Map(),
): Graph[] {
  const match = graphGrammar().match(text);
  if (match.failed()) throw syntaxError(match, text, file);
  return semantics()(match).build({ ops, file, text, offsets, named }) as Graph[];
}

export function parseGraph(text: string, ops: OpTable, file?: string): Graph {
  return parseGraphs(text, ops, file)[0];
}

export function syntaxError(match: ohm.MatchResult, text: string, file: string): DitcError {
  const failure = match as ohm.FailedMatchResult;
  const where = `${file}:${placeAt(text, failure.getRightmostFailurePosition())}`;
  return new DitcError({ code: 'syntax', where, what: 'syntax error', why: `expected ${failure.getExpectedText()}` });
}

function placeAt(text: string, offset: number): string {
  const before = text.slice(0, offset).split('\n');
  return `${before.length}:${before[before.length - 1].length + 1}`;
}

interface Context {
  ops: OpTable;
  file: string;
  text: string;
  offsets: Map<Node, number>;
  named: ParsedNames;
}

class Scope {
  readonly builder: GraphBuilder;
  readonly values = new Map<string, Node>();
  /** The last graph of each name among the attributes. */
  readonly bodies = new Map<string, Graph>();
  readonly context: Context;

  constructor(context: Context) {
    this.context = context;
    this.builder = new GraphBuilder(context.ops);
  }

  get(ref: ohm.Node): Node {
    const node = this.values.get(ref.sourceString);
    return node ?? this.fail(ref, `${ref.sourceString} is used before it is defined`);
  }

  define(ref: ohm.Node, node: Node, type: TensorType): void {
    if (this.values.has(ref.sourceString)) this.fail(ref, `${ref.sourceString} is defined twice`);
    if (formatType(node.type) !== formatType(type)) {
      this.fail(
        ref,
        `${ref.sourceString} is written ${formatType(type)} but ${node.op} gives ${formatType(node.type)}`,
      );
    }
    this.values.set(ref.sourceString, node);
    // Two lines may say the same node: the first one made it.
    const { offsets } = this.context;
    if (!offsets.has(node)) offsets.set(node, ref.source.startIdx);
  }

  /** What `make` gives; its errors get the place of `at`. */
  attempt<T>(at: ohm.Node, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof DitcError)) throw error;
      throw error.at(this.place(at));
    }
  }

  fail(at: ohm.Node, what: string): never {
    throw new DitcError({ code: 'ir', where: this.place(at), what });
  }

  private place(at: ohm.Node): string {
    return `${this.context.file}:${placeAt(this.context.text, at.source.startIdx)}`;
  }
}

const children = (list: ohm.Node): ohm.Node[] => list.asIteration().children;
const baseName = (ref: string): string | undefined =>
  /^%\d/.test(ref) ? undefined : ref.slice(1).replace(/\.\d+$/, '');

const BUILD: ohm.ActionDict<unknown> = {
  File(functions) {
    return functions.children.map((f) => f.build(this.args.context));
  },
  Function(_graph, _at, name, _open, args, _close, part, _brace, nodes, updates, ret, _end) {
    const context = this.args.context as Context;
    const scope = new Scope(context);
    const inputs = children(args).map((a) => a.make(scope) as Node);
    for (const node of nodes.children) node.make(scope);
    const graph: Graph = {
      name: name.sourceString,
      inputs,
      outputs: ret.make(scope),
      updates: updates.children.map((u) => u.make(scope)),
      ...(part.children.length && { part: part.children[0].read(scope) as Part }),
    };
    context.named.set(graph, scope.values);
    return graph;
  },
};

const MAKE: ohm.ActionDict<unknown> = {
  Argument(ref, _colon, type) {
    const scope = this.args.scope as Scope;
    const node = scope.attempt(type, () => {
      return scope.builder.apply('input', [], inputAttrs(ref.sourceString.slice(1), type.read(scope) as TensorType));
    });
    scope.define(ref, node, node.type);
    return node;
  },
  Node(ref, _eq, op, copy, operands, attrs, _colon, type, location) {
    const scope = this.args.scope as Scope;
    const inputs = children(operands).map((v) => scope.get(v));
    const attrMap = scope.attempt(attrs, () => (attrs.children[0]?.read(scope) ?? {}) as Record<string, AttrValue>);
    const time = copy.children[0]?.read(scope) as number | undefined;
    const node = scope.attempt(ref, () => scope.builder.apply(op.sourceString, inputs, attrMap, undefined, time));
    node.name ??= baseName(ref.sourceString);
    node.loc ??= location.children[0]?.read(scope) as string | undefined;
    scope.define(
      ref,
      node,
      scope.attempt(type, () => type.read(scope) as TensorType),
    );
    return node;
  },
  Update(_update, state, _eq, value) {
    const scope = this.args.scope as Scope;
    return { state: scope.get(state), node: scope.get(value) };
  },
  Return(_return, list) {
    return children(list).map((r) => r.make(this.args.scope));
  },
  Result(name, _eq, value) {
    return { name: name.sourceString, node: (this.args.scope as Scope).get(value) };
  },
};

const READ: ohm.ActionDict<unknown> = {
  Copy(_mark, time) {
    return Number(time.sourceString);
  },
  Attrs(_open, list, _close) {
    const pairs = children(list).map((a) => a.read(this.args.scope) as [string, AttrValue]);
    const twice = pairs.find(([name], i) => pairs.findIndex(([other]) => other === name) < i);
    if (twice) throw new DitcError({ code: 'ir', what: `the attribute ${twice[0]} is given twice` });
    return Object.fromEntries(pairs);
  },
  Attr(name, _eq, value) {
    return [name.sourceString, value.read(this.args.scope)];
  },
  AttrValue_data(_data, _open, list, _close) {
    return Float64Array.from(children(list), (n) => Number(n.sourceString));
  },
  AttrValue_base64(_data, text) {
    const bytes = Uint8Array.from(Buffer.from(readString(text), 'base64'));
    if (bytes.length % 8 === 0) return new Float64Array(bytes.buffer);
    const why = `${bytes.length} bytes are no whole number of float64s`;
    throw new DitcError({ code: 'ir', what: 'data is cut off', why });
  },
  AttrValue_graph(graph) {
    const { context, bodies } = this.args.scope as Scope;
    const built = graph.build(context) as Graph;
    bodies.set(built.name, built);
    return built;
  },
  AttrValue_same(mark, name) {
    const scope = this.args.scope as Scope;
    return scope.bodies.get(name.sourceString) ?? scope.fail(mark, `@${name.sourceString} is not written before`);
  },
  AttrValue_list(_open, list, _close) {
    return children(list).map((n) => Number(n.sourceString));
  },
  AttrValue_string(text) {
    return readString(text);
  },
  AttrValue_number(text) {
    return Number(text.sourceString);
  },
  AttrValue_bool(text) {
    return text.sourceString === 'true';
  },
  Part(times, _times, _before, _at, of) {
    return { of: of.sourceString, times: Number(times.sourceString) };
  },
  Type(dtype, _open, dims, _close) {
    return { dtype: readDType(dtype.sourceString), shape: children(dims).map((n) => Number(n.sourceString)) };
  },
  Location(_at, place) {
    return place.sourceString.trim();
  },
};

const semantics = once(() =>
  graphGrammar()
    .createSemantics()
    .addOperation('build(context)', BUILD)
    .addOperation('make(scope)', MAKE)
    .addOperation('read(scope)', READ),
);

/** A string with the escapes of JSON. */
function readString(text: ohm.Node): string {
  try {
    return JSON.parse(text.sourceString) as string;
  } catch {
    throw new DitcError({ code: 'ir', what: 'a string has an escape that JSON does not know', why: text.sourceString });
  }
}

function readDType(name: string): DType {
  if ((DTYPES as readonly string[]).includes(name)) return name as DType;
  throw new DitcError({ code: 'ir', what: `unknown dtype ${name}`, fix: `use one of ${DTYPES.join(', ')}` });
}

export const inputAttrs = (name: string, type: TensorType) => ({ name, dtype: type.dtype, shape: type.shape });
