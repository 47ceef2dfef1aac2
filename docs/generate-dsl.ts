/** Writes docs/dsl.md from compiler/dsl: `npm run docs`. test/compiler/dsl/docs.test.ts fails when it is stale. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Node, Project, type ClassDeclaration, type JSDocableNode } from 'ts-morph';

const HEADER = `# The DSL

<!-- Written by docs/generate-dsl.ts from compiler/dsl. Do not edit. -->

All that \`import { … } from 'ditc/dsl'\` gives a model file. Shapes are plain numbers, known when the model is built, so loops and
conditions of TypeScript unroll; [loops](#loops) that do not are \`scan\` and \`foriLoop\`; what depends on values is \`where\`, \`gather\`, \`maximum\`. Methods chain; functions wrap.

\`\`\`ts
import { defineModel, softmax } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    forward(e) {
      const x = e.input('x', [e.batch, 16, 32]);
      const [q, k, v] = e.params.linear('qkv', x, 96).split(3);
      const weights = softmax(q.mul(32 ** -0.5).matmul(k.transpose()));
      return { out: x.add(e.params.linear('out', weights.matmul(v), 32)) };
    },
  },
});
\`\`\`
`;

/** One row of the page. */
export interface Member {
  readonly name: string;
  readonly signature: string;
  readonly doc: string;
}

interface Section {
  readonly title: string;
  readonly about: string;
  readonly members: readonly Member[];
}

let known: readonly Section[] | undefined;

/** Sections in the order of the page, read from the sources once. */
export const dslSections = (): readonly Section[] => (known ??= readSections());

function readSections(): Section[] {
  const folder = fileURLToPath(new URL('../compiler/dsl/', import.meta.url));
  const tsConfigFilePath = fileURLToPath(new URL('../tsconfig.json', import.meta.url));
  const project = new Project({ tsConfigFilePath, skipAddingFilesFromTsConfig: true });
  project.addSourceFilesAtPaths(`${folder}*.ts`);
  const file = (name: string) => project.getSourceFileOrThrow(`${folder}${name}.ts`);
  const section = (title: string, source: string, name: string): Section => {
    const found = file(source).getClassOrThrow(name);
    return { title, about: docOf(found), members: membersOf(found) };
  };
  const model = ['defineModel'].map((name) => variable(file('model').getVariableDeclarationOrThrow(name)));
  function exportedOf(source: string): Member[] {
    const declared = [...file(source).getExportedDeclarations().values()].map(([node]) => node);
    return declared
      .filter((node) => node.getSourceFile() === file(source))
      .sort((a, b) => a.getStart() - b.getStart())
      .flatMap((node) => {
        if (Node.isVariableDeclaration(node)) return variable(node);
        return Node.isFunctionDeclaration(node)
          ? { name: node.getName()!, signature: signatureOf(node), doc: docOf(node) }
          : [];
      });
  }
  return [
    {
      title: 'Model',
      about: 'A model is a set of entries, each a function that is traced into one graph.',
      members: model,
    },
    section('Entry', 'model', 'Entry'),
    section('Scope', 'model', 'Scope'),
    section('Tensor', 'tensor', 'Tensor'),
    {
      title: 'Functions',
      about: 'Of tensors, to import by name.',
      members: [...exportedOf('functions'), ...exportedOf('constants')],
    },
    {
      title: 'Indices',
      about: 'What is chosen, moved and written by indices that the model computes.',
      members: exportedOf('indexing'),
    },
    { title: 'Order', about: 'Where the largest are, and which.', members: exportedOf('ordering') },
    {
      title: 'Along an axis',
      about: 'What is carried from element to element, without a loop.',
      members: exportedOf('scans'),
    },
    {
      title: 'Loops',
      about:
        'Turns that are not unrolled: the body is compiled once and replayed, so that a thousand take as many kernels as ten. `Alike<C>` is tensors in the form of C: one tensor, a list of as many, or an object of the same names.',
      members: exportedOf('loops').filter(({ name }) => name === 'scan' || name === 'foriLoop'),
    },
    {
      title: 'Pictures',
      about: 'Of [N,C,H,W]. A convolution is a product over windows, which nobody writes to memory.',
      members: [...exportedOf('convolution'), ...exportedOf('resize')],
    },
    { title: 'Positions', about: 'Rotary ones; others are tables, or sines of `iota`.', members: exportedOf('rotary') },
    {
      title: 'Initial values',
      about: 'How a parameter starts when no checkpoint gives its value.',
      members: exportedOf('init'),
    },
  ];
}

function membersOf(found: ClassDeclaration): Member[] {
  const accessors = found.getGetAccessors().map((node) => {
    return { name: node.getName(), signature: `: ${plain(node.getReturnType().getText(node))}`, doc: docOf(node) };
  });
  const methods = found.getMethods().filter((node) => !node.hasModifier('private') && !node.getName().startsWith('#'));
  const fields = found.getProperties().filter((node) => node.getJsDocs().length && !node.hasModifier('private'));
  const rows = [...methods, ...fields]
    .sort((a, b) => a.getStart() - b.getStart())
    .map((node) => ({ name: node.getName(), signature: signatureOf(node), doc: docOf(node) }));
  return [...accessors, ...rows];
}

const variable = (node: Node & { getName(): string }): Member => {
  const statement = node.getFirstAncestorOrThrow(Node.isVariableStatement);
  return { name: node.getName(), signature: signatureOf(node), doc: docOf(statement) };
};

/** `(x: Tensor, eps?: number): Tensor`, or `: Init` of a value. */
function signatureOf(node: Node): string {
  const [call] = node.getType().getCallSignatures();
  if (!call) return `: ${plain(node.getType().getText(node))}`;
  const parameters = call.getParameters().map((parameter) => {
    const declared = parameter.getValueDeclarationOrThrow();
    const isRest = Node.isParameterDeclaration(declared) && declared.isRestParameter();
    const isOptional = !isRest && Node.isParameterDeclaration(declared) && declared.isOptional();
    const name = parameter.getName().startsWith('__') ? 'options' : parameter.getName();
    const type = plain(parameter.getTypeAtLocation(node).getText(node));
    return `${isRest ? '…' : ''}${name}${isOptional ? '?' : ''}: ${type}`;
  });
  return `(${parameters.join(', ')}): ${plain(call.getReturnType().getText(node))}`;
}

/** A type without the path that it was imported from. */
const plain = (type: string): string =>
  type
    .replaceAll(/import\("[^"]*"\)\./g, '')
    .replaceAll(' | undefined', '')
    .replaceAll(DTYPES, 'DType');

const DTYPES = '"f32" | "f16" | "i32" | "u32" | "bool"';

const docOf = (node: JSDocableNode): string =>
  (node.getJsDocs().at(-1)?.getDescription() ?? '').trim().replaceAll(/\s*\n\s*/g, ' ');

export function dslMarkdown(): string {
  const body = dslSections().flatMap(({ title, about, members }) => [
    `## ${title}`,
    '',
    about,
    '',
    '| | |',
    '|---|---|',
    ...members.map(
      ({ name, signature, doc }) =>
        `| \`${name}${signature.replaceAll('|', '\\|')}\` | ${doc.replaceAll('|', '\\|')} |`,
    ),
    '',
  ]);
  return [HEADER, ...body].join('\n');
}

const target = fileURLToPath(new URL('dsl.md', import.meta.url));
if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, dslMarkdown());
