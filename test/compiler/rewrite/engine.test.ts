/** The engine and the rule language: when rules fire, when they do not, and how mistakes are reported. */
import { describe, expect, it } from 'vitest';
import { parseGraph, printGraph, verify } from '../../../compiler/ir/index.ts';
import { opTable } from '../../../compiler/ops/index.ts';
import { applyRules, RewriteStats, type RewriteOptions } from '../../../compiler/rewrite/engine.ts';
import { allRules } from '../../../compiler/rewrite/recognise.ts';
import { parseRules } from '../../../compiler/rewrite/rule-parse.ts';

function rewrite(body: string, rules = allRules(), options: RewriteOptions = {}) {
  const graph = verify(parseGraph(`graph @g${body}`, opTable), opTable);
  const stats = new RewriteStats();
  const text = printGraph(verify(applyRules(graph, rules, { ...options, stats }), opTable));
  return { text, hits: Object.fromEntries(stats.hits), firings: stats.firings };
}

const attend = (lines: string, ret = 'out = %o') => `(%q: f32[2,3,4], %k: f32[2,5,4], %v: f32[2,5,6]) {
  %kt = permute %k {perm = [0, 2, 1]} : f32[2,4,5]
  %s = matmul %q, %kt : f32[2,3,5]
  ${lines}
  return ${ret}
}`;
const PLAIN = attend('%w = softmax %s : f32[2,3,5]  @ my.ts:3:4\n  %o = matmul %w, %v : f32[2,3,6]  @ my.ts:4:4');

describe('online_attention', () => {
  it('keeps the name and place of the result, and says where it fired', () => {
    const { text, firings } = rewrite(PLAIN);
    expect(text).toContain('%o = attention %q, %k, %v {scale = 1} : f32[2,3,6]  @ my.ts:4:4');
    expect(firings).toEqual([{ rule: 'online_attention', value: 'o', at: 'my.ts:4:4' }]);
  });

  it('multiplies every factor into the scale', () => {
    const { text } = rewrite(
      attend(`%c = constant {dtype = "f32", shape = [], value = 4} : f32[]
  %half = constant {dtype = "f32", shape = [], value = 0.5} : f32[]
  %qs = mul %half, %q : f32[2,3,4]
  %s2 = matmul %qs, %kt : f32[2,3,5]
  %d = div %s2, %c : f32[2,3,5]
  %w = softmax %d : f32[2,3,5]
  %o = matmul %w, %v : f32[2,3,6]`),
    );
    expect(text).toContain('attention %q, %k, %v {scale = 0.125}');
  });

  it('takes keys in any layout, by a view', () => {
    const { text } = rewrite(`(%q: f32[2,3,4], %k: f32[4,5,2], %v: f32[2,5,6]) {
  %kt = permute %k {perm = [2, 0, 1]} : f32[2,4,5]
  %s = matmul %q, %kt : f32[2,3,5]
  %w = softmax %s : f32[2,3,5]
  %o = matmul %w, %v : f32[2,3,6]
  return out = %o
}`);
    expect(text).toContain('permute %k {perm = [2, 1, 0]} : f32[2,5,4]');
    expect(text).not.toContain('matmul');
  });

  it('takes keys that all heads share', () => {
    const { text } = rewrite(`(%q: f32[2,3,4], %k: f32[4,5], %v: f32[2,5,6]) {
  %s = matmul %q, %k : f32[2,3,5]
  %w = softmax %s : f32[2,3,5]
  %o = matmul %w, %v : f32[2,3,6]
  return out = %o
}`);
    expect(text).toContain('%o = attention %q, %0, %v {scale = 1} : f32[2,3,6]');
  });

  it('sums two biases, and puts a temperature on the queries', () => {
    const { text } = rewrite(
      attend(`%t = param {dtype = "f32", name = "t", shape = [2, 1, 1]} : f32[2,1,1]
  %bias = param {dtype = "f32", name = "bias", shape = [3, 5]} : f32[3,5]
  %more = param {dtype = "f32", name = "more", shape = [5]} : f32[5]
  %c = mul %s, %t : f32[2,3,5]
  %d = add %c, %bias : f32[2,3,5]
  %e = add %more, %d : f32[2,3,5]
  %w = softmax %e : f32[2,3,5]
  %o = matmul %w, %v : f32[2,3,6]`),
    );
    expect(text).toContain('mul %q, %t : f32[2,3,4]');
    expect(text).toContain('add %bias, %more : f32[3,5]');
    expect(text).not.toContain('softmax');
  });

  it('hides what a mask hides', () => {
    const { hits, text } = rewrite(
      attend(`%keep = input {dtype = "bool", name = "keep", shape = [3, 5]} : bool[3,5]
  %low = constant {dtype = "f32", shape = [], value = -Infinity} : f32[]
  %m = select %keep, %s, %low : f32[2,3,5]
  %w = softmax %m : f32[2,3,5]
  %o = matmul %w, %v : f32[2,3,6]`)
        .replace(') {', ', %keep: bool[3,5]) {')
        .replace(/ {2}%keep = .*\n|%keep = .*\n/, ''),
    );
    expect(hits).toEqual({ masked_attention: 1 });
    expect(text).toContain('attention %q, %k, %v, %keep {fill = -Infinity, scale = 1}');
  });

  const OUT = '%o = matmul %w, %v : f32[2,3,6]';
  it.each([
    [
      'the scores are scaled by no finite number',
      attend(
        `%all = constant {dtype = "f32", shape = [], value = Infinity} : f32[]
  %big = mul %s, %all : f32[2,3,5]
  %w = softmax %big : f32[2,3,5]
  ${OUT}`,
      ),
    ],
    [
      'the scores are read twice',
      attend(`%w = softmax %s : f32[2,3,5]\n  ${OUT}\n  %e = exp %s : f32[2,3,5]`, 'a = %o, b = %e'),
    ],
    ['the weights are returned', attend(`%w = softmax %s : f32[2,3,5]\n  ${OUT}`, 'out = %o, weights = %w')],
    [
      'the scaled scores are read twice',
      attend(
        `%c = constant {dtype = "f32", shape = [], value = 2} : f32[]
  %z = mul %s, %c : f32[2,3,5]\n  %w = softmax %z : f32[2,3,5]\n  ${OUT}`,
        'out = %o, z = %z',
      ),
    ],
    ['the factor is not a number', attend(`%z = mul %s, %s : f32[2,3,5]\n  %w = softmax %z : f32[2,3,5]\n  ${OUT}`)],
  ])('does not fire when %s', (_when, body) => expect(rewrite(body).hits).toEqual({}));
});

const W = (name: string, n: number, k = 4) =>
  `%${name} = param {dtype = "f32", name = "${name}", shape = [${n}, ${k}]} : f32[${n},${k}]`;
const B = (name: string, n: number) => `%${name} = param {dtype = "f32", name = "${name}", shape = [${n}]} : f32[${n}]`;
const linears = (middle: string, tail = '') => `(%x: f32[2,4]) {
  ${W('w1', 3)}\n  ${W('w2', 3)}\n  ${B('b1', 3)}\n  ${B('b2', 3)}
  %y1 = linear %x, %w1, %b1 : f32[2,3]
  ${middle}
  ${tail}
  return a = %y1, b = %y2
}`;

describe('merge_linears', () => {
  it('packs weights in the order of the linears', () => {
    const { text } = rewrite(linears('%y2 = linear %x, %w2, %b2 : f32[2,3]'));
    expect(text).toContain('concat %w1, %w2 {axis = 0} : f32[6,4]');
    expect(text).toContain('%y2 = slice %2 {size = [2, 3], start = [0, 3], step = [1, 1]} : f32[2,3]');
  });

  it.each([
    ['only one has a bias', linears('%y2 = linear %x, %w2 : f32[2,3]')],
    ['inputs differ', linears('%z = exp %x : f32[2,4]\n  %y2 = linear %z, %w2, %b2 : f32[2,3]')],
    ['a weight is computed', linears('%e = exp %w2 : f32[3,4]\n  %y2 = linear %x, %e, %b2 : f32[2,3]')],
    [
      'the graph updates a weight',
      linears('%y2 = linear %x, %w2, %b2 : f32[2,3]', '%e = exp %w2 : f32[3,4]\n  update %w2 = %e'),
    ],
  ])('does not fire when %s', (_when, body) => expect(rewrite(body).hits).toEqual({}));

  it('does not fire when the pack is larger than a binding', () => {
    const body = linears('%y2 = linear %x, %w2, %b2 : f32[2,3]');
    expect(rewrite(body, allRules(), { maxBindingBytes: 95 }).hits).toEqual({});
    expect(rewrite(body, allRules(), { maxBindingBytes: 96 }).hits).toEqual({ merge_linears: 1 });
  });
});

const WIDE = `${W('w3', 5)}\n  %y2 = linear %x, %w3 : f32[2,5]`;
const ofWidths = (lines: string, out: string) => `(%x: f32[2,4], %z: f32[3,5]) {
  ${W('w1', 3)}\n  %y1 = linear %x, %w1 : f32[2,3]\n  ${WIDE}
  ${lines}
  return ${out}
}`;

describe('merge_projections', () => {
  it('joins widths that one product reads', () => {
    const lines = `%p = matmul %y1, %z : f32[2,5]\n  %t = permute %y2 {perm = [1, 0]} : f32[5,2]\n  %q = matmul %t, %y1 : f32[5,3]`;
    const { text, hits } = rewrite(ofWidths(lines, 'p = %p, q = %q'));
    expect(hits).toEqual({ merge_projections: 1 });
    expect(text).toContain('concat %w1, %w3 {axis = 0} : f32[8,4]');
  });

  it('leaves alone what different products read', () => {
    const lines = `%p = matmul %y1, %z : f32[2,5]\n  %zt = permute %z {perm = [1, 0]} : f32[5,3]\n  %q = matmul %y2, %zt : f32[2,3]`;
    expect(rewrite(ofWidths(lines, 'p = %p, q = %q')).hits).toEqual({});
  });
});

const rule = (match: string, more = 'rewrite { %y = exp(%x) } sample { %x: [n] }') =>
  `# an equation\nrule r {\n  match { ${match} }\n  ${more}\n}`;

describe('the language', () => {
  it('replaces several results at once, unless one is computed from another', () => {
    const text = `# sin and cos of one value\nrule both { match { %a = sin(%x) %b = cos(%x) }
      rewrite { %t = tanh(%x) %a = exp(%t) %b = log(%t) } sample { %x: [n] } }`;
    const { text: out, hits } = rewrite(
      '(%x: f32[3]) {\n %p = cos %x : f32[3]\n %q = sin %x : f32[3]\n return p = %p, q = %q\n}',
      parseRules(text),
    );
    expect(hits).toEqual({ both: 1 });
    expect(out).toMatch(/%p = log %0/);
    const chained = text.replace('%b = cos(%x)', '%b = mul(%x, %z)').replace('%x: [n]', '%x: [n] %z: [n]');
    const chain = '(%x: f32[3]) {\n %q = sin %x : f32[3]\n %p = mul %x, %q : f32[3]\n return p = %p, q = %q\n}';
    expect(rewrite(chain, parseRules(chained)).hits).toEqual({});
  });

  it('captures attributes and matches literals', () => {
    const text = rule(
      '%y = layer_norm(add(%x, 0)) {eps = $e}',
      'rewrite { %y = layer_norm(%x) {eps = $e} } sample { %x: [n] }',
    );
    const body = `(%x: f32[3]) {
  %z = constant {dtype = "f32", shape = [], value = 0} : f32[]
  %a = add %z, %x : f32[3]
  %n = layer_norm %a {eps = 0.5} : f32[3]
  return out = %n
}`;
    expect(rewrite(body, parseRules(text)).text).toContain('layer_norm %x {eps = 0.5}');
  });

  it('takes one name for one value', () => {
    const rules = parseRules(rule('%y = mul(%x, %x)'));
    const body = (other: string) => `(%x: f32[3], %z: f32[3]) {\n %y = mul %x, ${other} : f32[3]\n return out = %y\n}`;
    expect(rewrite(body('%x'), rules).hits).toEqual({ r: 1 });
    expect(rewrite(body('%z'), rules).hits).toEqual({});
  });

  it('names rules that undo each other', () => {
    const there = rule('%y = sin(%x)', 'rewrite { %y = cos(%x) } sample { %x: [n] }').replace('rule r', 'rule there');
    const back = rule('%y = cos(%x)', 'rewrite { %y = sin(%x) } sample { %x: [n] }').replace('rule r', 'rule back');
    const body = '(%x: f32[3]) {\n %y = sin %x : f32[3]\n %z = cos %y : f32[3]\n return out = %z\n}';
    expect(() => rewrite(body, parseRules(`${there}\n${back}`))).toThrow(
      /@g: rules still fire.*(there, back|back, there)/,
    );
  });

  it.each([
    ['rule r {}', 'a.rules:1:1: syntax error'],
    [rule('%y = wat(%x)'), 'a.rules:3:16: rule r: unknown op wat'],
    [rule('%z = sin(%x)'), 'a.rules:3:11: rule r: %z is not replaced'],
    [rule('%y = sin(%x)', 'when { lucky(%x) } rewrite { %y = exp(%x) } sample { %x: [n] }'), 'unknown condition lucky'],
    [
      rule('%y = sin(%x)', 'rewrite { %y = exp(%q) } sample { %x: [n] }'),
      'a.rules:4:22: rule r: %q is not in the match',
    ],
    [rule('%y = sin(%x)', 'rewrite { %y = exp(%x) } sample { }'), 'sample has no shape for %x'],
    [rule('%y = sin(%x) %z = cos(%x)'), '%z is not replaced'],
    [rule('%y = sin(%x?)', 'rewrite { %y = sin(%q) } sample { %x: [n] }'), '%q is not in the match'],
    [
      rule('%y = sub(%z?, %x)', 'rewrite { %y = exp(%x) } sample { %x: [n] %z: [n] }'),
      'only the last operand of sub may be absent',
    ],
  ])('%#: reports a mistake at its place', (text, message) => {
    expect(() => parseRules(text, 'a.rules')).toThrow(message);
  });
});
