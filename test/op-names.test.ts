/**
 * Ops are known by what their records say (compiler/ops): code beside them and the rules that asks for an op by its name does not see
 * the next op of its kind. Where a name is meant, it is counted here: fewer is better, more is for a reason.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import ts from 'typescript';
import { allOps } from '../compiler/ops/index.ts';
import { filesUnder, ROOT } from './helpers/imports.ts';

const NAMES = new Set(allOps().map(({ name }) => name));
/** What a graph declares: there will be no others of their kind. */
const DECLARED = new Set(['param', 'state', 'input', 'constant']);

/** Names of ops that code compares `….op` with, outside of compiler/ops; those of what a graph declares aside. */
function namesIn(text: string): string[] {
  const source = ts.createSourceFile('x.ts', text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const isOp = (node: ts.Expression): boolean =>
    ts.isPropertyAccessExpression(node) ? node.name.text === 'op' : ts.isIdentifier(node) && node.text === 'op';
  const add = (node: ts.Node) => {
    if (ts.isStringLiteral(node) && NAMES.has(node.text) && !DECLARED.has(node.text)) found.push(node.text);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node)) {
      if (isOp(node.left)) add(node.right);
      if (isOp(node.right)) add(node.left);
    }
    const asked = ts.isCallExpression(node) && node.arguments.length === 1 && isOp(node.arguments[0]);
    if (
      asked &&
      ts.isPropertyAccessExpression(node.expression) &&
      ts.isArrayLiteralExpression(node.expression.expression)
    )
      node.expression.expression.elements.forEach(add);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Files of the compiler that name ops, how often, and why no property would say it better. */
const ALLOWED: Readonly<Record<string, readonly [count: number, why: string]>> = {
  'autodiff/resolve.ts': [4, '`gradient` and `detach` are what it takes away'],
  'emit/input-range.ts': [1, 'the first operand of a select chooses, the others are passed on'],
  'fusion/concats.ts': [1, 'what is cut out of a concatenation is bound as its window: only a slice is one'],
  'fusion/passes/eliminate-concats.ts': [1, 'a copy is pointwise, and yet computes nothing'],
  'fusion/pieces.ts': [4, 'the norm between two products is recognised by its formula; the one permutation on the way'],
  'fusion/row-sums.ts': [1, 'the left operand as it is, or transposed'],
  'fusion/windows.ts': [1, 'only a slice is a stretch that a binding can start at'],
  'plans/tile-partials.ts': [1, 'the transpose that turns a tile'],
  'rewrite/assemble.ts': [3, 'its subject is sums of pads'],
  'rewrite/chunk.ts': [1, 'its subject is slices'],
  'rewrite/cut.ts': [1, 'a stretch moves with its axis through a permutation'],
  'rewrite/deepen.ts': [5, 'algebra: what is scaled and shifted'],
  'rewrite/match.ts': [6, 'rules say `scale` and `transpose` of what graphs have as mul, div and permute'],
  'rewrite/predicates.ts': [1, 'its subject: products of a softmax'],
  'rewrite/row-views.ts': [2, 'whole rows are permuted, or cut out'],
  'rewrite/simplify.ts': [5, 'algebra: permutations of permutations, slices of slices, opposites'],
  'rewrite/stretches.ts': [1, 'only a slice is a stretch'],
};

it('names of ops are those of which it is told why', () => {
  const counts = filesUnder('compiler', /\.ts$/)
    .filter((file) => !file.startsWith('compiler/ops/'))
    .map((file) => [file.slice('compiler/'.length), namesIn(readFileSync(join(ROOT, file), 'utf8')).length] as const)
    .filter(([, count]) => count);
  const allowed = Object.entries(ALLOWED).map(([file, [count]]) => [file, count]);
  expect(Object.fromEntries(counts)).toEqual(Object.fromEntries(allowed));
});

it('which are seen', () => {
  expect(namesIn("if (node.op === 'matmul' || ['exp', 'param'].includes(x.op) || 'log' !== op) f('tanh');")).toEqual([
    'matmul',
    'exp',
    'log',
  ]);
});
