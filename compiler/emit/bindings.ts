/** `index.ts` of an artefact: the names, shapes and dtypes of its entries as TypeScript types, for the code that runs it. */
import { IndentationText, Project, StructureKind } from 'ts-morph';
import type {
  CodeBlockWriter,
  InterfaceDeclarationStructure,
  OptionalKind,
  PropertySignatureStructure,
} from 'ts-morph';
import type { Manifest, TensorSpec } from './artefact.ts';

/** The array type that holds a tensor's values on the host: what the runtime takes and returns. */
const ARRAYS: Record<TensorSpec['dtype'], string> = {
  f32: 'Float32Array',
  f16: 'Float32Array',
  i32: 'Int32Array',
  u32: 'Uint32Array',
  bool: 'Uint32Array',
};

const header = ({ model, source, device }: Manifest) => `/**
 * ${model}: what its entries take and give. Written by \`ditc build ${source}\` for device ${device};
 * building again replaces it.
 */`;

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
  const { params, states } = manifest;
  const project = new Project({
    useInMemoryFileSystem: true,
    manipulationSettings: { indentationText: IndentationText.TwoSpaces },
  });
  // Given all at once: ts-morph reparses the file after each statement added.
  const file = project.createSourceFile('index.ts', {
    statements: [
      header(manifest),
      `\nexport const model = ${quoted(manifest.model)};\n`,
      (writer) => writeEntries(writer, manifest),
      exportedInterface('Params', 'Weights.', params.map(property)),
      exportedInterface('States', 'What the device keeps between runs.', states.map(property)),
      HELPERS.trim(),
    ],
  });
  return file.getFullText();
}

const exportedInterface = (
  name: string,
  doc: string,
  properties: OptionalKind<PropertySignatureStructure>[],
): InterfaceDeclarationStructure => ({
  kind: StructureKind.Interface,
  isExported: true,
  name,
  docs: [doc],
  properties,
});

/** Written out, because ts-morph has no structure for a type literal inside an interface. */
function writeEntries(writer: CodeBlockWriter, { entries }: Manifest): void {
  writer.newLine().writeLine('/** Inputs and outputs of each entry. */');
  writer.write('export interface Entries').block(() => {
    for (const [name, { inputs, outputs }] of Object.entries(entries)) {
      writer.write(`${key(name)}: `).inlineBlock(() => {
        writeGroup(writer, 'inputs', inputs);
        writeGroup(writer, 'outputs', outputs);
      });
      writer.write(';').newLine();
    }
  });
}

function writeGroup(writer: CodeBlockWriter, name: string, specs: readonly TensorSpec[]): void {
  if (!specs.length) return void writer.writeLine(`${name}: {};`);
  writer.write(`${name}: `).inlineBlock(() => {
    for (const spec of specs) writer.writeLine(`${key(spec.name)}: ${tensorType(spec)};`);
  });
  writer.write(';').newLine();
}

const property = (spec: TensorSpec) => ({ name: key(spec.name), type: tensorType(spec) });

const tensorType = ({ shape, dtype }: TensorSpec): string =>
  `Tensor<[${shape.join(', ')}], ${quoted(dtype)}, ${ARRAYS[dtype]}>`;

const key = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name));

const quoted = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
