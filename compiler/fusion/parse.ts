/** Reads the text form of fusions (print.ts): `fusion @f {…}` after the graph that it is of. */
import type * as ohm from 'ohm-js';
import { DitcError, readGraphs, syntaxError, type Graph, type Node, type ParsedNames } from '../ir/index.ts';
import { graphGrammar, ohm as parser } from '../ir/grammar.ts';
import { once } from '../ir/once.ts';
import { opTable } from '../ops/index.ts';
import { familyOf, type Plan } from '../plans/registry.ts';
import { groupOf, type Fusion, type FusionGroup, type Result } from './group.ts';
import { LISTS } from './print.ts';

const GRAMMAR = String.raw`
Fusions <: Graph {
  Fusions = Fusion*
  Fusion  = "fusion" "@" ident "{" Group* Concat* Stored? "}"
  Group   = kind value Field*
  kind    = "contraction" | "row" | "map"
  Field   = "anchor" value                                              -- anchor
          | "pieces" ListOf<value, ","> "of" integer "by" integer       -- pieces
          | "plan" json                                                 -- plan
          | "gives" ("nothing" | NonemptyListOf<Given, ",">)            -- gives
          | listName NonemptyListOf<value, ",">                         -- list
  json    = "{" (json | ~("{" | "}") any)* "}"
  listName = ${Object.keys(LISTS)
    .map((name) => `"${name}"`)
    .join(' | ')}
  Given   = value From? Via?
  From    = "from" value
  Via     = "via" "[" ListOf<value, ","> "]"
  Concat  = "concat" value "of" ListOf<value, ",">
  Stored  = "stored" ListOf<value, ",">
}`;

const grammar = once(() => parser().grammar(GRAMMAR, { Graph: graphGrammar() }));
const semantics = once(() => grammar().createSemantics().addOperation('read(scope)', READ));

/** What a name of the text stands for. */
interface Scope {
  readonly graphs: ReadonlyMap<string, { readonly graph: Graph; readonly names: ReadonlyMap<string, Node> }>;
  readonly place: (node: ohm.Node) => string;
  names?: ReadonlyMap<string, Node>;
}

/** Graphs of a text from outside, and the fusions that it has of them. */
export function readFusions(text: string, file: string): { graphs: Graph[]; fusions: Map<Graph, Fusion> } {
  const names: ParsedNames = new Map();
  const graphs = readGraphs(only('graph', text), opTable, file, names);
  const rest = only('fusion', text);
  const match = grammar().match(rest, 'Fusions');
  if (match.failed()) throw syntaxError(match, rest, file);
  const place = ({ source }: ohm.Node) => {
    const { lineNum, colNum } = source.getLineAndColumn() as unknown as { lineNum: number; colNum: number };
    return `${file}:${lineNum}:${colNum}`;
  };
  const scope: Scope = {
    graphs: new Map(graphs.map((graph) => [graph.name, { graph, names: names.get(graph)! }])),
    place,
  };
  const read = semantics()(match).read(scope) as Fusion[];
  return { graphs, fusions: new Map(read.map((fusion) => [fusion.graph, fusion])) };
}

/** A text with blank lines for all but the graphs, or the fusions: places are those of the text. */
function only(kind: 'graph' | 'fusion', text: string): string {
  const blocks = text.split(/^(?=(?:graph|fusion)\s*@)/m);
  const isFusion = (block: string) => block.startsWith('fusion');
  return blocks
    .map((block) => (isFusion(block) === (kind === 'fusion') ? block : block.replace(/[^\n]/g, '')))
    .join('');
}

const children = (list: ohm.Node): ohm.Node[] => list.asIteration().children;

function valueOf(ref: ohm.Node, { names, place }: Scope): Node {
  const node = names!.get(ref.sourceString);
  if (node) return node;
  throw new DitcError({ code: 'ir', where: place(ref), what: `the graph has no ${ref.sourceString}` });
}

const valuesOf = (list: ohm.Node, scope: Scope): Node[] => children(list).map((ref) => valueOf(ref, scope));

function planIn(json: ohm.Node, { place }: Scope): Plan {
  try {
    const plan = JSON.parse(json.sourceString) as Plan;
    familyOf(plan);
    return plan;
  } catch (error) {
    throw new DitcError({
      code: 'ir',
      where: place(json),
      what: 'there is no such plan',
      why: (error as Error).message,
    });
  }
}

/** Fields of a group; `results` where the text says what it gives. */
type Fields = Partial<FusionGroup>;

const READ: ohm.ActionDict<unknown> = {
  Fusions(fusions) {
    return fusions.children.map((fusion) => fusion.read(this.args.scope) as Fusion);
  },
  Fusion(_fusion, _at, name, _open, groups, concats, stored, _close) {
    const all = this.args.scope as Scope;
    const known = all.graphs.get(name.sourceString);
    if (!known)
      throw new DitcError({ code: 'ir', where: all.place(name), what: `there is no graph @${name.sourceString}` });
    const scope: Scope = { ...all, names: known.names };
    return {
      graph: known.graph,
      groups: groups.children.map((group) => group.read(scope) as FusionGroup),
      concats: new Map(concats.children.map((concat) => concat.read(scope) as [Node, Node[]])),
      stored: new Set(stored.children.flatMap((values) => values.read(scope) as Node[])),
    };
  },
  Group(kind, root, fields) {
    const scope = this.args.scope as Scope;
    const read: Fields = Object.assign({}, ...fields.children.map((field) => field.read(scope) as Fields));
    const { results, ...more } = read;
    const group = groupOf(kind.sourceString as FusionGroup['kind'], valueOf(root, scope), more);
    return results ? { ...group, results } : group;
  },
  Field_anchor(_anchor, value) {
    return { anchor: valueOf(value, this.args.scope as Scope) };
  },
  Field_pieces(_pieces, values, _of, rows, _by, columns) {
    const reductions = valuesOf(values, this.args.scope as Scope);
    return { pieces: { reductions, rows: Number(rows.sourceString), columns: Number(columns.sourceString) } };
  },
  Field_plan(_plan, json) {
    return { plan: planIn(json, this.args.scope as Scope) };
  },
  Field_gives(_gives, given) {
    const { scope } = this.args as { scope: Scope };
    const list = given.sourceString === 'nothing' ? [] : children(given);
    return { results: list.map((each) => each.read(scope) as Result) };
  },
  Field_list(name, values) {
    const key = LISTS[name.sourceString as keyof typeof LISTS];
    return { [key]: valuesOf(values, this.args.scope as Scope) };
  },
  Given(value, from, via) {
    const scope = this.args.scope as Scope;
    const [anchor] = from.children.map((each) => each.read(scope) as Node);
    const [views = []] = via.children.map((each) => each.read(scope) as Node[]);
    return { node: valueOf(value, scope), views, ...(anchor && { anchor }) };
  },
  From(_from, value) {
    return valueOf(value, this.args.scope as Scope);
  },
  Via(_via, _open, values, _close) {
    return valuesOf(values, this.args.scope as Scope);
  },
  Concat(_concat, value, _of, parts) {
    const scope = this.args.scope as Scope;
    return [valueOf(value, scope), valuesOf(parts, scope)];
  },
  Stored(_stored, values) {
    return valuesOf(values, this.args.scope as Scope);
  },
};
