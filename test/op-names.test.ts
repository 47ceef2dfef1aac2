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

/** Folders that may name ops, how often at most, and why. */
const ALLOWED: Readonly<Record<string, readonly [count: number, why: string]>> = {
  autodiff: [4, 'gradient and detach are what it takes away'],
  emit: [1, 'which inputs a select passes on'],
  fusion: [8, 'slices and transposes that are bindings, and the norm that is recognised between products'],
  plans: [1, 'the transpose that turns a tile'],
  rewrite: [26, 'algebra: identities are of named ops'],
};

it('names of ops are no more than these', () => {
  const counts: Record<string, number> = {};
  for (const file of filesUnder('compiler', /\.ts$/)) {
    const [, folder] = file.split('/');
    if (folder === 'ops') continue;
    const { length } = namesIn(readFileSync(join(ROOT, file), 'utf8'));
    if (length) counts[folder] = (counts[folder] ?? 0) + length;
  }
  const more = Object.entries(counts).filter(([folder, count]) => count > (ALLOWED[folder]?.[0] ?? 0));
  expect(more).toEqual([]);
});

it('which are seen', () => {
  expect(namesIn("if (node.op === 'matmul' || ['exp', 'param'].includes(x.op) || 'log' !== op) f('tanh');")).toEqual([
    'matmul',
    'exp',
    'log',
  ]);
});
