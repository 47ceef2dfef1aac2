/** Tensors where JavaScript wants a yes or no: to it every object is a yes, so `if (x.gt(0))` would trace one branch, always. */
import type { ts } from 'ts-morph';
import { DitcError } from '../ir/index.ts';
import { placeOf } from './check.ts';
import { typescript } from './morph.ts';
import type { OpenedModel } from './project.ts';

/** Throws a DitcError `condition` at the first tensor that decides something. */
export function checkConditions({ program, sources }: OpenedModel, display: (file: string) => string): void {
  const ts = typescript();
  const checker = program.getTypeChecker();
  const visit = (node: ts.Node, file: ts.SourceFile): void => {
    const condition = conditionOf(ts, node);
    if (condition && isTensor(checker.getTypeAtLocation(condition))) {
      const start = condition.getStart(file);
      throw new DitcError({
        code: 'condition',
        where: placeOf({ file, start }, display),
        what: 'a tensor cannot decide what the model does: it has no value yet',
        why: `the file runs once, to trace the graph, and there ${condition.getText(file)} is always true`,
        fix: 'choose per element, with where(condition, a, b), or by a number of the configuration',
      });
    }
    ts.forEachChild(node, (child) => visit(child, file));
  };
  for (const file of sources) visit(file, file);
}

/** The part of a statement or expression that is taken for true or false; what may be undefined is asked whether it is there. */
function conditionOf({ SyntaxKind }: typeof ts, node: ts.Node): ts.Node | undefined {
  switch (node.kind) {
    case SyntaxKind.IfStatement:
    case SyntaxKind.WhileStatement:
    case SyntaxKind.DoStatement:
      return (node as ts.IfStatement | ts.WhileStatement | ts.DoStatement).expression;
    case SyntaxKind.ConditionalExpression:
      return (node as ts.ConditionalExpression).condition;
    case SyntaxKind.PrefixUnaryExpression: {
      const { operator, operand } = node as ts.PrefixUnaryExpression;
      return operator === SyntaxKind.ExclamationToken ? operand : undefined;
    }
    case SyntaxKind.BinaryExpression: {
      const { operatorToken, left } = node as ts.BinaryExpression;
      const decides = [SyntaxKind.AmpersandAmpersandToken, SyntaxKind.BarBarToken].includes(operatorToken.kind);
      return decides ? left : undefined;
    }
    default:
      return undefined;
  }
}

function isTensor(type: ts.Type): boolean {
  const declared = type.symbol?.declarations?.[0]?.getSourceFile().fileName ?? '';
  return type.symbol?.name === 'Tensor' && declared.endsWith('compiler/dsl/tensor.ts');
}
