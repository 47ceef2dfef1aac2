/** Type errors in what the step of a loop returns: TypeScript tells them by the types of `scan`, which nobody has written. */
import type { ts } from 'ts-morph';
import { STEP_RETURNS } from '../dsl/loops.ts';
import { morph } from './morph.ts';

/** What the step is to return, where the error is just there and not inside of what it computes. */
export function fixOfStep({ file, start }: Pick<ts.Diagnostic, 'file' | 'start'>): string | undefined {
  if (!file || start === undefined) return undefined;
  const { ts } = morph();
  const find = (node: ts.Node): string | undefined => {
    if (start < node.pos || start >= node.end) return undefined;
    return ts.forEachChild(node, find) ?? (ts.isCallExpression(node) ? fixOfCall(node, start, file) : undefined);
  };
  return find(file);
}

function fixOfCall(node: ts.CallExpression, start: number, file: ts.SourceFile): string | undefined {
  const { ts } = morph();
  const call = node.expression.getText(file);
  const step = node.arguments.find((given) => ts.isArrowFunction(given) || ts.isFunctionExpression(given));
  if (!step || !Object.hasOwn(STEP_RETURNS, call)) return undefined;
  const isResult = resultsOf(step).some((place) => place.getStart(file) === start);
  return isResult ? `the step of ${call} is to ${STEP_RETURNS[call as keyof typeof STEP_RETURNS]}` : undefined;
}

/** Where TypeScript reports what a function returns: at the function, at its expression, or at a `return`. */
function resultsOf(step: ts.ArrowFunction | ts.FunctionExpression): ts.Node[] {
  const { ts } = morph();
  const found: ts.Node[] = [step];
  const add = (value: ts.Node): void => {
    found.push(value);
    if (ts.isParenthesizedExpression(value)) add(value.expression);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isReturnStatement(node)) [node, node.expression].forEach((value) => value && add(value));
    else if (!ts.isFunctionLike(node)) ts.forEachChild(node, visit);
  };
  if (ts.isBlock(step.body)) visit(step.body);
  else add(step.body);
  return found;
}
