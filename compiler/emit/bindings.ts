/** `index.ts` of an artefact: the names, shapes and dtypes of its entries as TypeScript types, for the code that runs it. */
import { Project, VariableDeclarationKind, type OptionalKind, type PropertySignatureStructure } from 'ts-morph';
import type { Manifest, TensorSpec } from './artefact.ts';

/** The array type that holds a tensor's values on the host: what the runtime takes and returns. */
const ARRAYS: Record<TensorSpec['dtype'], string> = {
  f32: 'Float32Array',
  f16: 'Float32Array',
  i32: 'Int32Array',
  u32: 'Uint32Array',
  bool: 'Uint32Array',
};

const HEADER = (manifest: Manifest) => `
/**
 * ${manifest.model}: what its entries take and give. Written by \`ditc build ${manifest.source}\` for device
 * ${manifest.device}; building again replaces it.
 */
`;

const HELPERS = `
/** A tensor's shape and dtype, and the array that holds its values row by row. */
export interface Tensor<Shape extends readonly number[], DType extends string, Values> {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: Values;
}

export type EntryName = keyof Entries;
export type InputName<E extends EntryName> = keyof Entries[E]['inputs'] & string;
export type OutputName<E extends EntryName> = keyof Entries[E]['outputs'] & string;

/** The values of all inputs (or outputs) of an entry. */
export type InputValues<E extends EntryName> = ValuesOf<Entries[E]['inputs']>;
export type OutputValues<E extends EntryName> = ValuesOf<Entries[E]['outputs']>;
type ValuesOf<T> = { [K in keyof T]: T[K] extends Tensor<readonly number[], string, infer V> ? V : never };

export type ParamName = keyof Params & string;
export type StateName = keyof States & string;
`;

/** The text of `index.ts`. */
export function bindingsText(manifest: Manifest): string {
  const project = new Project({ useInMemoryFileSystem: true, manipulationSettings: { quoteKind: "'" as never } });
  const file = project.createSourceFile('index.ts', `${HEADER(manifest).trim()}\n`);
  file.addVariableStatement({
    isExported: true,
    declarationKind: VariableDeclarationKind.Const,
    declarations: [{ name: 'model', initializer: quoted(manifest.model) }],
    leadingTrivia: '\n',
  });
  file.addInterface({
    isExported: true,
    name: 'Entries',
    docs: ['Inputs and outputs of each entry.'],
    properties: Object.entries(manifest.entries).map(([name, entry]) => ({
      name: key(name),
      type: `{\n${group('inputs', entry.inputs)}\n${group('outputs', entry.outputs)}\n}`,
    })),
  });
  const { params, states } = manifest;
  file.addInterface({ isExported: true, name: 'Params', docs: ['Weights.'], properties: tensors(params) });
  const docs = ['What the device keeps between runs.'];
  file.addInterface({ isExported: true, name: 'States', docs, properties: tensors(states) });
  file.addStatements(HELPERS.trim());
  file.formatText({ indentSize: 2 });
  return file.getFullText();
}

const group = (name: string, specs: readonly TensorSpec[]): string =>
  `${name}: {${specs.length ? '\n' : ''}${specs.map((s) => `${key(s.name)}: ${tensorType(s)};\n`).join('')}};`;

const tensors = (specs: readonly TensorSpec[]): OptionalKind<PropertySignatureStructure>[] =>
  specs.map((spec) => ({ name: key(spec.name), type: tensorType(spec) }));

const tensorType = ({ shape, dtype }: TensorSpec): string =>
  `Tensor<[${shape.join(', ')}], ${quoted(dtype)}, ${ARRAYS[dtype]}>`;

const key = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name));

const quoted = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
