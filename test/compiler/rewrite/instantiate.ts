/**
 * The left side of a rule as a graph: free values become inputs and parameters of random shapes, as the rule's sample says,
 * and everything a rule leaves open (order of commutative operands, product or quotient) is drawn at random.
 */
import { GraphBuilder, sizeOf, type AttrValue, type Graph, type Node } from '../../../compiler/ir/index.ts';
import { Functional, opTable, type Random } from '../../../compiler/ops/index.ts';
import {
  freeTerms,
  lastAxis,
  NEUTRAL,
  rootsOf,
  type Call,
  type Operand,
  type Rule,
} from '../../../compiler/rewrite/rule.ts';
import { drawValues } from '../../helpers/samples.ts';

export interface Instance {
  readonly graph: Graph;
  readonly bindings: Record<string, Float64Array>;
}

/** Names of the rule that may be absent. */
export const optionalNames = (rule: Rule): string[] =>
  freeTerms(rule)
    .filter((term) => term.optional)
    .map((term) => term.name);

export function instantiate(rule: Rule, absent: ReadonlySet<string>, random: Random): Instance {
  return new Instantiation(rule, absent, random).run();
}

class Instantiation {
  private readonly f = new Functional(new GraphBuilder(opTable));
  private readonly bindings: Record<string, Float64Array> = {};
  private readonly inputs: Node[] = [];
  private readonly values = new Map<string, Node>();
  private readonly scalars = new Map<string, number>();
  private readonly sizes = new Map<string, number>();
  private readonly batch: readonly number[];
  private readonly members: number;
  private readonly rule: Rule;
  private readonly absent: ReadonlySet<string>;
  private readonly random: Random;

  constructor(rule: Rule, absent: ReadonlySet<string>, random: Random) {
    this.rule = rule;
    this.absent = absent;
    this.random = random;
    this.batch = random.shape(0, 2, 3);
    this.members = rootsOf(rule)[0].target.family ? random.int(2, 4) : 1;
  }

  run(): Instance {
    const outputs = Array.from({ length: this.members }, (_, member) => {
      for (const { target, call } of this.rule.match)
        this.values.set(this.key(target.name, member), this.call(call, member));
      return rootsOf(this.rule).map(({ target }) => this.values.get(this.key(target.name, member))!);
    }).flat();
    if (this.rule.when.some(({ predicate }) => predicate === 'read_together')) outputs.push(this.productOf(outputs));
    const graph: Graph = {
      name: this.rule.name,
      inputs: this.inputs,
      outputs: outputs.map((node, i) => ({ name: `out${i}`, node })),
      updates: [],
    };
    return { graph, bindings: this.bindings };
  }

  /** A product that reads all the values. */
  private productOf(nodes: readonly Node[]): Node {
    const { f } = this;
    const rows = nodes.map((node) => f.reshape(node, [sizeOf(node.type.shape), 1]));
    const column = f.concat(rows, 0);
    return f.matmul(f.transpose(column), column);
  }

  private isAsked = (asked: string, name: string): boolean =>
    this.rule.when.some(({ predicate, args }) => predicate === asked && args.some((arg) => arg.name === name));

  private key = (name: string, member: number): string =>
    name.endsWith('*') ? `${name.slice(1, -1)}.${member}` : name.slice(1);

  private call(call: Call, member: number): Node {
    const { f, random } = this;
    const present = call.operands.filter((x) => x.kind !== 'value' || !this.absent.has(x.name));
    const [first, second] = present;
    if (call.op in NEUTRAL && (!second || (second.kind === 'scalar' && this.absent.has(second.name)))) {
      return this.operand(first, member);
    }
    if (call.op === 'scale') {
      const x = this.operand(first, member);
      const s = this.number(second);
      return random.pick([() => f.mul(x, s), () => f.mul(s, x), () => f.div(x, 1 / s)])();
    }
    const operands = present.map((x) => this.operand(x, member));
    if (call.op === 'transpose') return f.transpose(operands[0]);
    if (['add', 'mul', 'max', 'min'].includes(call.op) && random.next() < 0.5) operands.reverse();
    const attrs = Object.entries(call.attrs).map(([name, term]): [string, AttrValue] => {
      if (term.kind === 'last') return [name, lastAxis(term, operands[0].type.shape.length)];
      return [name, term.kind === 'literal' ? term.value : this.number(term.factors[0])];
    });
    return f.op(call.op, operands, Object.fromEntries(attrs));
  }

  private operand(x: Operand, member: number): Node {
    if (x.kind === 'call') return this.call(x, member);
    if (x.kind !== 'value') return this.f.constant(this.number(x));
    const key = this.key(x.name, member);
    const node = this.values.get(key) ?? this.free(x.name, key, member);
    this.values.set(key, node);
    return node;
  }

  private number(x: Operand | string | number): number {
    if (typeof x === 'number') return x;
    if (typeof x !== 'string' && x.kind === 'number') return x.value;
    const name = typeof x === 'string' ? x : (x as { name: string }).name;
    if (!this.scalars.has(name)) this.scalars.set(name, this.random.uniform(0.25, 1.5));
    return this.scalars.get(name)!;
  }

  private free(name: string, key: string, member: number): Node {
    const sample = this.rule.sample.find((s) => s.value.name === name)!;
    const shape = sample.sizes.flatMap((size) => {
      if (typeof size === 'number') return [size];
      if (size === '...') return this.batch;
      const letter = size.endsWith('*') ? `${size}${member}` : size;
      if (!this.sizes.has(letter)) this.sizes.set(letter, this.random.int(1, 6));
      return [this.sizes.get(letter)!];
    });
    const [isParam, dtype] = [sample.kind === 'param', sample.kind === 'bool' ? 'bool' : 'f32'];
    const node = this.f.op(isParam ? 'param' : 'input', [], { name: key, dtype, shape });
    if (!isParam) this.inputs.push(node);
    this.bindings[key] = drawValues(this.random, node.type);
    const { f } = this;
    if (this.isAsked('normalised', name)) return f.op('layer_norm', [node], { eps: 1e-5 });
    return this.isAsked('of_product', name) ? f.matmul(f.matmul(node, f.transpose(node)), node) : node;
  }
}
