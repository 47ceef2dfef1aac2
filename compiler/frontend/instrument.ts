/**
 * The rewriting of a user's file before it runs. It never changes what the file means:
 *   q.matmul(k)          →  q.matmul(at("my.ts:4:13", k))      last argument: every other part has been evaluated by then
 *   x.neg()              →  at("my.ts:5:3", x).neg()           no argument: the receiver carries the place
 *   const s = f(x)       →  const s = bind("s", f(x))
 *   const [a, , b] = xs  →  const [a, , b] = bindAll(["a", null, "b"], xs)
 *   { out: f(x) }        →  { out: bind("out", f(x)) }
 *   return { a, b }      →  return at("my.ts:6:3", { a, b })    what is wrong with an output is wrong there
 * Left alone: `super(…)`, `import(…)`, `f()`, decorators, tagged templates, and functions and classes bound to a
 * variable (the engine names them after it).
 */
import type { ts } from 'ts-morph';
import { typescript } from './morph.ts';

/** Parameters of the function an instrumented file becomes. */
export const HOOK_NAMES = { at: '__ditc_at', bind: '__ditc_bind', bindAll: '__ditc_bindAll', meta: '__ditc_meta' };

/** `display` is the file's name in locations. */
export function instrument(display: string): ts.TransformerFactory<ts.SourceFile> {
  return (context) => (source) => new Instrumenter(context, source, display).run();
}

class Instrumenter {
  private readonly ts = typescript();
  private readonly factory: ts.NodeFactory;
  private readonly context: ts.TransformationContext;
  private readonly source: ts.SourceFile;
  private readonly display: string;

  constructor(context: ts.TransformationContext, source: ts.SourceFile, display: string) {
    this.context = context;
    this.factory = context.factory;
    this.source = source;
    this.display = display;
  }

  run(): ts.SourceFile {
    return this.ts.visitEachChild(this.source, this.visit, this.context);
  }

  private readonly visit = (node: ts.Node): ts.Node => {
    const { ts } = this;
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return node;
    if (ts.isDecorator(node)) return node;
    if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) {
      return this.factory.createIdentifier(HOOK_NAMES.meta);
    }
    const inner = ts.visitEachChild(node, this.visit, this.context);
    if (ts.isCallExpression(node)) return this.call(node, inner as ts.CallExpression);
    if (ts.isVariableDeclaration(node)) return this.declaration(inner as ts.VariableDeclaration);
    if (ts.isBinaryExpression(node)) return this.assignment(inner as ts.BinaryExpression);
    if (ts.isPropertyAssignment(node)) return this.property(node, inner as ts.PropertyAssignment);
    if (ts.isReturnStatement(node)) return this.returned(node, inner as ts.ReturnStatement);
    return inner;
  };

  /** `node` is the call as written, `inner` the same with its parts instrumented. */
  private call(node: ts.CallExpression, inner: ts.CallExpression): ts.Node {
    const { ts, factory } = this;
    const callee = node.expression;
    if (callee.kind === ts.SyntaxKind.SuperKeyword || callee.kind === ts.SyntaxKind.ImportKeyword) return inner;
    const place = this.placeOf(callee);
    const { length } = inner.arguments;
    if (length) {
      const last = inner.arguments[length - 1];
      const marked = ts.isSpreadElement(last)
        ? factory.updateSpreadElement(last, this.at(place, last.expression))
        : this.at(place, last);
      const args = [...inner.arguments.slice(0, -1), marked];
      return factory.updateCallExpression(inner, inner.expression, inner.typeArguments, args);
    }
    const access = inner.expression;
    if (!ts.isPropertyAccessExpression(access) && !ts.isElementAccessExpression(access)) return inner;
    if (access.expression.kind === ts.SyntaxKind.SuperKeyword) return inner;
    // In `a?.b.c()` the receiver `a?.b` is part of the chain: apart from it, it would no longer skip `.c()`.
    if (ts.isOptionalChain(access) && !access.questionDotToken) return inner;
    const receiver = this.at(place, access.expression);
    const marked = ts.isPropertyAccessExpression(access)
      ? factory.updatePropertyAccessExpression(access, receiver, access.name)
      : factory.updateElementAccessExpression(access, receiver, access.argumentExpression);
    return factory.updateCallExpression(inner, marked, inner.typeArguments, inner.arguments);
  }

  private declaration(node: ts.VariableDeclaration): ts.Node {
    if (!node.initializer) return node;
    const value = this.named(node.name, node.initializer);
    return this.factory.updateVariableDeclaration(node, node.name, node.exclamationToken, node.type, value);
  }

  private assignment(node: ts.BinaryExpression): ts.Node {
    if (node.operatorToken.kind !== this.ts.SyntaxKind.EqualsToken) return node;
    return this.factory.updateBinaryExpression(node, node.left, node.operatorToken, this.named(node.left, node.right));
  }

  /** Only calls: `{ a: b }` may be the target of a destructuring assignment, `{ a: f() }` may not. */
  private property(original: ts.PropertyAssignment, node: ts.PropertyAssignment): ts.Node {
    const { ts } = this;
    if (!ts.isIdentifier(node.name) && !ts.isStringLiteral(node.name)) return node;
    if (!ts.isCallExpression(this.core(original.initializer))) return node;
    return this.factory.updatePropertyAssignment(node, node.name, this.bind(node.name.text, node.initializer));
  }

  private returned(original: ts.ReturnStatement, node: ts.ReturnStatement): ts.Node {
    const { expression } = original;
    if (!expression || !node.expression || !this.ts.isObjectLiteralExpression(this.core(expression))) return node;
    return this.factory.updateReturnStatement(node, this.at(this.placeAt(original), node.expression));
  }

  private named(target: ts.Node, value: ts.Expression): ts.Expression {
    const { ts } = this;
    if (ts.isIdentifier(target)) return this.canBeTensor(value) ? this.bind(target.text, value) : value;
    if (ts.isArrayBindingPattern(target)) {
      return this.bindAll(
        target.elements.map((e) => (ts.isBindingElement(e) && !e.dotDotDotToken ? e.name : e)),
        value,
      );
    }
    return ts.isArrayLiteralExpression(target) ? this.bindAll(target.elements, value) : value;
  }

  /** Also keeps `const f = () => …` as it is, for the engine to name the function `f`. */
  private canBeTensor(value: ts.Expression): boolean {
    const { ts } = this;
    const core = this.core(value);
    const never = ts.isFunctionExpression(core) || ts.isArrowFunction(core) || ts.isClassExpression(core);
    return !never && !ts.isLiteralExpression(core) && !ts.isObjectLiteralExpression(core);
  }

  /** The expression without parentheses, casts and `!`. */
  private core(expression: ts.Expression): ts.Expression {
    const { ts } = this;
    const wrapped =
      ts.isParenthesizedExpression(expression) ||
      ts.isAsExpression(expression) ||
      ts.isSatisfiesExpression(expression) ||
      ts.isNonNullExpression(expression) ||
      ts.isTypeAssertionExpression(expression);
    return wrapped ? this.core(expression.expression) : expression;
  }

  private at(place: string, value: ts.Expression): ts.Expression {
    return this.hook(HOOK_NAMES.at, this.factory.createStringLiteral(place), value);
  }

  private bind(name: string, value: ts.Expression): ts.Expression {
    return this.hook(HOOK_NAMES.bind, this.factory.createStringLiteral(name), value);
  }

  private bindAll(targets: readonly ts.Node[], value: ts.Expression): ts.Expression {
    const { factory } = this;
    const names = targets.map((t) =>
      this.ts.isIdentifier(t) ? factory.createStringLiteral(t.text) : factory.createNull(),
    );
    return this.hook(HOOK_NAMES.bindAll, factory.createArrayLiteralExpression(names), value);
  }

  private hook(name: string, ...args: ts.Expression[]): ts.Expression {
    return this.factory.createCallExpression(this.factory.createIdentifier(name), undefined, args);
  }

  /** Where a reader would point: at the method's name, so that chained calls differ, or at the function. */
  private placeOf(callee: ts.Expression): string {
    const { ts } = this;
    const core = this.core(callee);
    const target = ts.isPropertyAccessExpression(core)
      ? core.name
      : ts.isElementAccessExpression(core)
        ? core.argumentExpression
        : core;
    return this.placeAt(target);
  }

  private placeAt(target: ts.Node): string {
    const { line, character } = this.source.getLineAndCharacterOfPosition(target.getStart(this.source));
    return `${this.display}:${line + 1}:${character + 1}`;
  }
}
