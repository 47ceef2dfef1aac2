/** Reads .rules files: the calls, values and attributes are those of the graph's text form. See rule.ts for the meaning. */
import type * as ohm from 'ohm-js';
import { syntaxError } from '../ir/index.ts';
import { graphGrammar, ohm as parser } from '../ir/grammar.ts';
import { once } from '../ir/once.ts';
import { checkRule } from './rule-check.ts';
import type { AttrTerm, Call, Condition, Equation, Operand, Rule, SampleShape, Term } from './rule.ts';

const GRAMMAR = String.raw`
Rules <: Graph {
  Rules     = Rule+
  Rule      = equation "rule" ident "{" Match When? Rewrite Sample "}"
  Match     = "match" "{" Equation+ "}"
  When      = "when" "{" ListOf<Condition, ","> "}"
  Rewrite   = "rewrite" "{" Equation+ "}"
  Sample    = "sample" "{" Shape* "}"
  Equation  = Term "=" Call ";"?
  Condition = ident "(" ListOf<Term, ","> ")"
  Shape     = Term ":" ("param" | "bool")? "[" ListOf<size, ","> "]" ";"?
  Call      = ident "(" ListOf<Operand, ","> ")" CallAttrs?
  Operand   = Call | Term | number
  CallAttrs = "{" ListOf<CallAttr, ","> "}"
  CallAttr  = ident "=" AttrTerm
  AttrTerm  = "[" "last" "]"                 -- lastInList
            | "last"                         -- last
            | "[" ListOf<number, ","> "]"    -- list
            | string                         -- string
            | bool                           -- bool
            | NonemptyListOf<Factor, "*">    -- product
  Factor    = scalar | number
  Term      = optional | family | value | scalar
  family    = value "*"
  optional  = (family | value | scalar) "?"
  scalar    = "$" ident
  size      = "..." | perMember | ident | integer
  perMember = ident "*"
  equation  = "#" (~"\n" any)*
}`;

const grammar = once(() => parser().grammar(GRAMMAR, { Graph: graphGrammar() }));
const semantics = once(() => grammar().createSemantics().addOperation('read(file)', READ));

/** The rules of a text, each checked. @throws DitcError `syntax` or `rule`, at file:line:col. */
export function parseRules(text: string, file = '<rules>'): Rule[] {
  const match = grammar().match(text, 'Rules');
  if (match.failed()) throw syntaxError(match, text, file);
  const rules = semantics()(match).read(file) as Rule[];
  rules.forEach((rule) => checkRule(rule));
  return rules;
}

const children = (list: ohm.Node): ohm.Node[] => list.asIteration().children;

function place(node: ohm.Node, file: string): string {
  const { lineNum, colNum } = node.source.getLineAndColumn() as unknown as { lineNum: number; colNum: number };
  return `${file}:${lineNum}:${colNum}`;
}

function term(node: ohm.Node, file: string): Term {
  const text = node.sourceString;
  const optional = text.endsWith('?');
  return {
    kind: text.startsWith('%') ? 'value' : 'scalar',
    name: optional ? text.slice(0, -1) : text,
    family: /\*\??$/.test(text),
    optional,
    at: place(node, file),
  };
}

const READ: ohm.ActionDict<unknown> = {
  Rules(rules) {
    return rules.children.map((rule) => rule.read(this.args.file) as Rule);
  },
  Rule(equation, _rule, name, _open, match, when, rewrite, sample, _close): Rule {
    const { file } = this.args as { file: string };
    return {
      name: name.sourceString,
      equation: equation.sourceString.slice(1).trim(),
      match: match.read(file) as Equation[],
      when: (when.children[0]?.read(file) ?? []) as Condition[],
      rewrite: rewrite.read(file) as Equation[],
      sample: sample.read(file) as SampleShape[],
      at: place(name, file),
    };
  },
  Match(_match, _open, equations, _close) {
    return equations.children.map((e) => e.read(this.args.file));
  },
  When(_when, _open, conditions, _close) {
    return children(conditions).map((c) => c.read(this.args.file));
  },
  Rewrite(_rewrite, _open, equations, _close) {
    return equations.children.map((e) => e.read(this.args.file));
  },
  Sample(_sample, _open, shapes, _close) {
    return shapes.children.map((s) => s.read(this.args.file));
  },
  Equation(target, _eq, call, _end): Equation {
    return { target: target.read(this.args.file) as Term, call: call.read(this.args.file) as Call };
  },
  Condition(predicate, _open, args, _close): Condition {
    const { file } = this.args as { file: string };
    const terms = children(args).map((arg) => arg.read(file) as Term);
    return { predicate: predicate.sourceString, args: terms, at: place(this, file) };
  },
  Shape(value, _colon, kind, _open, sizes, _close, _end): SampleShape {
    return {
      value: value.read(this.args.file) as Term,
      kind: (kind.sourceString || 'value') as SampleShape['kind'],
      sizes: children(sizes).map(({ sourceString: size }) => (/^\d/.test(size) ? Number(size) : size)),
    };
  },
  Call(op, _open, operands, _close, attrs): Call {
    const { file } = this.args as { file: string };
    return {
      kind: 'call',
      op: op.sourceString,
      operands: children(operands).map((x) => x.read(file) as Operand),
      attrs: (attrs.children[0]?.read(file) ?? {}) as Record<string, AttrTerm>,
      at: place(op, file),
    };
  },
  CallAttrs(_open, list, _close) {
    return Object.fromEntries(children(list).map((attr) => attr.read(this.args.file) as [string, AttrTerm]));
  },
  CallAttr(name, _eq, value) {
    return [name.sourceString, value.read(this.args.file)];
  },
  AttrTerm_lastInList(_open, _last, _close): AttrTerm {
    return { kind: 'last', inList: true };
  },
  AttrTerm_last(_last): AttrTerm {
    return { kind: 'last', inList: false };
  },
  AttrTerm_list(_open, list, _close): AttrTerm {
    return { kind: 'literal', value: children(list).map((n) => Number(n.sourceString)) };
  },
  AttrTerm_string(text): AttrTerm {
    return { kind: 'literal', value: JSON.parse(text.sourceString) as string };
  },
  AttrTerm_bool(text): AttrTerm {
    return { kind: 'literal', value: text.sourceString === 'true' };
  },
  AttrTerm_product(list): AttrTerm {
    const factors = children(list).map(({ sourceString: x }) => (x.startsWith('$') ? x : Number(x)));
    return { kind: 'product', factors };
  },
  Term(_term): Term {
    return term(this, this.args.file as string);
  },
  number(_minus, _digits) {
    return { kind: 'number', value: Number(this.sourceString) };
  },
};
